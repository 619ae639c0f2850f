extension Tensor {
  /// The mean of the absolute differences, `[1]` (torch.nn.functional.l1_loss); the sum is in double. Where nothing differs, the gradient is 0.
  /// - Parameter target: of this tensor's shape; no gradient goes to it.
  public func meanAbsoluteError(_ target: Tensor) -> Tensor {
    precondition(shape == target.shape, "meanAbsoluteError: \(shape) and \(target.shape)")
    var sum = 0.0
    for i in 0..<count { sum += abs(Double(data[i]) - Double(target.data[i])) }
    let out = Tensor([Float(sum / Double(count))], [1])
    guard records(self) else { return out }
    return out.recorded(from: [self]) { g in
      let gradient = Tensor(uninitialized: self.shape)
      let share = g.data[0] / Float(self.count)
      for i in 0..<self.count { gradient.storage.pointer[i] = share * sign(self.data[i] - target.data[i]) }
      return [gradient]
    }
  }

  /// How far the steps from pixel to pixel are from those of the target: with d the difference of the two, the mean of |d(y, x+1) - d(y, x)| plus the mean of
  /// |d(y+1, x) - d(y, x)|, `[1]`. Blurred edges cost here what they do not cost in the error itself.
  /// - Parameter target: of this tensor's shape `[n, height, width, channels]`; no gradient goes to it.
  public func meanEdgeError(_ target: Tensor) -> Tensor {
    precondition(shape == target.shape && shape.rank == 4, "meanEdgeError: \(shape) and \(target.shape)")
    let d = Tensor(uninitialized: shape)
    for i in 0..<count { d.storage.pointer[i] = data[i] - target.data[i] }
    var sum = 0.0
    shape.neighbours { sum += $2 * abs(Double(d.data[$1]) - Double(d.data[$0])) }
    let out = Tensor([Float(sum)], [1])
    guard records(self) else { return out }
    return out.recorded(from: [self]) { g in
      let gradient = Tensor.zeros(d.shape)
      let (target, seed) = (gradient.storage.pointer, g.data[0])
      d.shape.neighbours { here, next, share in
        let slope = seed * Float(share) * sign(d.data[next] - d.data[here])
        target[next] += slope
        target[here] -= slope
      }
      return [gradient]
    }
  }
}

private func sign(_ x: Float) -> Float { x > 0 ? 1 : x < 0 ? -1 : 0 }

extension Shape {
  /// Every pair of values beside each other in one of the pictures `[n, height, width, channels]`, first those of a row, then those of a column, with one over the number of pairs of
  /// its direction.
  fileprivate func neighbours(_ body: (_ here: Int, _ next: Int, _ share: Double) -> Void) {
    let (n, h, w, c) = (self[0], self[1], self[2], self[3])
    for (height, width, distance) in [(h, w - 1, c), (h - 1, w, w * c)] where height * width > 0 {
      let share = 1 / Double(n * height * width * c)
      for picture in 0..<n {
        for y in 0..<height {
          let start = (picture * h + y) * w * c
          for i in start..<start + width * c { body(i, i + distance, share) }
        }
      }
    }
  }
}
