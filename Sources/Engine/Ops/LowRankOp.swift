extension Tensor {
  /// `self + scale * up down`: a weight and its low-rank addition (Hu et al., LoRA, ICLR 2022). For the sum's gradient g, the gradient of `up` is
  /// `scale * g down^T` and that of `down` `scale * up^T g`.
  /// - Parameters:
  ///   - up: `[n, r]`
  ///   - down: `[r, k]`
  /// - Returns: `[n, k]` for self `[n, k]`.
  func addingLowRank(_ up: Tensor, _ down: Tensor, scale: Float) -> Tensor {
    let (n, k, r) = (up.shape[0], down.shape[1], down.shape[0])
    precondition(shape == [n, k] && up.shape[1] == r, "addingLowRank: \(up.shape) times \(down.shape) into \(shape)")
    // As `LowRankDelta.add`, so that the file gives the network that was trained.
    let left = scale * up.detached
    var out = detached
    let target = out.mutableData()
    parallelProduct(n, k, r, Matrix(pointer: left.data, stride: r), Matrix(pointer: down.data, stride: k), beta: 1, target, k)
    withExtendedLifetime((left, down)) {}
    guard records(self, up, down) else { return out }
    return out.recorded(from: [self, up, down]) { g in
      var (dUp, dDown): (Tensor?, Tensor?)
      if up.node != nil {
        let product = Tensor(uninitialized: [n, r])
        parallelProduct(
          n, r, k, Matrix(pointer: g.data, stride: k), Matrix(pointer: down.data, stride: k, transposed: true), beta: 0,
          product.storage.pointer, r)
        dUp = scale * product
      }
      if down.node != nil { dDown = left.transposedProduct(g, n, r, k) }
      withExtendedLifetime((g, down)) {}
      return [self.node == nil ? nil : g, dUp, dDown]
    }
  }
}
