extension Tensor {
  /// `x * sigmoid(x)`, in place.
  mutating func silu() { mapInPlace(Kernel.table.silu) }

  /// `x * Phi(x)` with the exact normal distribution function, in place.
  mutating func gelu() { mapInPlace(Kernel.table.gelu) }

  /// `x * sigmoid(1.702 x)`: the approximation that OpenAI's CLIP was trained with, in place.
  mutating func quickGELU() { mapInPlace(Kernel.table.quick_gelu) }

  /// Gated GELU (Shazeer 2020): `[..., 2c]` to `[..., c]`, the first half times the GELU of the second.
  func geglu() -> Tensor {
    var d = shape.dimensions
    let c = d[d.count - 1] / 2
    d[d.count - 1] = c
    let out = Tensor(uninitialized: Shape(d))
    let (source, target) = (data, out.storage.pointer)
    parallel(shape.rows, grain: max(1, 8192 / max(1, c))) { rows in
      Kernel.table.geglu(source + rows.lowerBound * 2 * c, target + rows.lowerBound * c, rows.count, c)
    }
    withExtendedLifetime(self) {}
    return out
  }

  /// `self += other`, elementwise.
  mutating func add(_ other: Tensor) {
    precondition(shape == other.shape, "add: \(shape) and \(other.shape)")
    let target = mutableData()
    let source = other.data
    parallel(count, grain: 16384) { r in Kernel.table.add(target + r.lowerBound, source + r.lowerBound, r.count) }
    withExtendedLifetime(other) {}
  }

  private mutating func mapInPlace(_ f: @convention(c) (UnsafeMutablePointer<Float>?, Int) -> Void) {
    let target = mutableData()
    parallel(count, grain: 8192) { r in f(target + r.lowerBound, r.count) }
  }
}
