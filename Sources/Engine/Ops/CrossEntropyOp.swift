import Foundation

extension Tensor {
  /// The mean negative logarithm of the probability that each row gives its label, `[1]` (torch.nn.functional.cross_entropy); sums in double.
  ///
  /// With weights the mean is weighted, as PyTorch's is: the sum of weight times loss over the sum of the rows' weights.
  /// - Parameters:
  ///   - labels: the right class of each row of logits `[..., classes]`, `0..<classes`.
  ///   - weights: one a class, none negative and not all of those that occur 0; all 1 when nil.
  public func crossEntropy(_ labels: [Int], weights: [Float]? = nil) -> Tensor {
    let (rows, classes) = (shape.rows, shape[-1])
    precondition(labels.count == rows, "crossEntropy: \(labels.count) labels for \(shape)")
    precondition(labels.allSatisfy { (0..<classes).contains($0) }, "crossEntropy: a label is none of \(classes) classes")
    precondition((weights?.count ?? classes) == classes, "crossEntropy: \(weights?.count ?? 0) weights for \(classes) classes")
    let shares = labels.map { Double(weights?[$0] ?? 1) }
    let all = shares.reduce(0, +)
    precondition(all > 0 && shares.allSatisfy { $0 >= 0 }, "crossEntropy: weights of \(all) in all")
    var total = 0.0
    for row in 0..<rows { total += shares[row] * (logSum(row) - Double(data[row * classes + labels[row]])) }
    let out = Tensor([Float(total / all)], [1])
    guard records(self) else { return out }
    return out.recorded(from: [self]) { g in
      let gradient = Tensor(uninitialized: self.shape)
      for row in 0..<rows {
        let (factor, sum) = (Double(g.data[0]) * shares[row] / all, self.logSum(row))
        for k in 0..<classes {
          let i = row * classes + k
          gradient.storage.pointer[i] = Float(factor * (exp(Double(self.data[i]) - sum) - (k == labels[row] ? 1 : 0)))
        }
      }
      return [gradient]
    }
  }

  /// log of the sum of exp over a row, safe for large values.
  private func logSum(_ row: Int) -> Double {
    let classes = shape[-1]
    let values = UnsafeBufferPointer(start: data + row * classes, count: classes)
    let top = Double(values.max() ?? 0)
    return top + log(values.reduce(0) { $0 + exp(Double($1) - top) })
  }
}
