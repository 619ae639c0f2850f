extension Tensor {
  /// Each element cut to `low ... high`; no gradient goes through what was cut (torch.clamp).
  func clamped(_ low: Float, _ high: Float) -> Tensor {
    let out = detached.map { min(high, max(low, $0)) }
    guard records(self) else { return out }
    return out.recorded(from: [self]) { g in
      let inside = Tensor(uninitialized: g.shape)
      for i in 0..<g.count { inside.storage.pointer[i] = self.data[i] >= low && self.data[i] <= high ? g.data[i] : 0 }
      return [inside]
    }
  }

  /// The mean over rows of weight times the mean squared error of the row, `[1]`; sums in double.
  /// - Parameters:
  ///   - target: of this tensor's shape; no gradient goes to it.
  ///   - weights: one for each entry of the first dimension; all 1 when nil.
  public func meanSquaredError(_ target: Tensor, weights: [Float]? = nil) -> Tensor {
    precondition(shape == target.shape, "meanSquaredError: \(shape) and \(target.shape)")
    let n = shape[0]
    precondition((weights?.count ?? n) == n, "meanSquaredError: \(weights?.count ?? n) weights for \(shape)")
    let size = count / n
    var total = 0.0
    for row in 0..<n {
      var sum = 0.0
      for i in row * size..<(row + 1) * size {
        let difference = Double(data[i]) - Double(target.data[i])
        sum += difference * difference
      }
      total += Double(weights?[row] ?? 1) * sum / Double(size)
    }
    let out = Tensor([Float(total / Double(n))], [1])
    guard records(self) else { return out }
    return out.recorded(from: [self]) { g in
      let gradient = Tensor(uninitialized: self.shape)
      let seed = g.data[0]
      for row in 0..<n {
        let factor = seed * 2 * (weights?[row] ?? 1) / Float(self.count)
        for i in row * size..<(row + 1) * size { gradient.storage.pointer[i] = factor * (self.data[i] - target.data[i]) }
      }
      return [gradient]
    }
  }
}
