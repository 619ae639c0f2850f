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
    let losses = perRow { self.logSum($0) - Double(self.data[$0 * classes + labels[$0]]) }
    let total = zip(shares, losses).reduce(0) { $0 + $1.0 * $1.1 }
    let out = Tensor([Float(total / all)], [1])
    guard records(self) else { return out }
    return out.recorded(from: [self]) { g in
      let gradient = Tensor(uninitialized: self.shape)
      let target = gradient.storage.pointer
      let seed = Double(g.data[0]) / all
      parallel(rows, grain: 256) { range in
        for row in range {
          let (factor, sum) = (seed * shares[row], self.logSum(row))
          for k in 0..<classes {
            let i = row * classes + k
            target[i] = Float(factor * (exp(Double(self.data[i]) - sum) - (k == labels[row] ? 1 : 0)))
          }
        }
      }
      return [gradient]
    }
  }

  /// A number for each row, on all threads.
  private func perRow(_ body: (Int) -> Double) -> [Double] {
    [Double](unsafeUninitializedCapacity: shape.rows) { out, count in
      count = shape.rows
      guard let target = out.baseAddress else { return }
      parallel(count, grain: 256) { range in for row in range { target[row] = body(row) } }
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
