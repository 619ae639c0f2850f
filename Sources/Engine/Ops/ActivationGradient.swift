/// Recorded activations: the input is kept, the slope is computed on the way back.
extension Tensor {
  typealias SlopeLoop = @convention(c) (UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafeMutablePointer<Float>?, Int) -> Void

  /// This result of an elementwise function of `input`, with the way back by `loop`: g times the slope at the input.
  func recorded(from input: Tensor, slope loop: @escaping SlopeLoop) -> Tensor {
    recorded(from: [input]) { g in
      let out = Tensor(uninitialized: g.shape)
      let (x, from, to) = (input.data, g.data, out.storage.pointer)
      parallel(g.count, grain: 8192) { r in loop(x + r.lowerBound, from + r.lowerBound, to + r.lowerBound, r.count) }
      withExtendedLifetime((input, g)) {}
      return [out]
    }
  }

  /// The gradient of `geglu` for self its input `[..., 2c]`.
  func gegluGradient(_ g: Tensor) -> Tensor {
    let c = shape[-1] / 2
    let out = Tensor(uninitialized: shape)
    let (x, from, to) = (data, g.data, out.storage.pointer)
    parallel(shape.rows, grain: max(1, 8192 / max(1, c))) { rows in
      Kernel.table.geglu_gradient(
        x + rows.lowerBound * 2 * c, from + rows.lowerBound * c, to + rows.lowerBound * 2 * c, rows.count, c)
    }
    withExtendedLifetime((self, g)) {}
    return out
  }
}
