extension Tensor {
  /// `x * sigmoid(x)`, in place.
  mutating func silu() { apply(Kernel.table.silu, slope: Kernel.table.silu_gradient) }

  /// `x * Phi(x)` with the exact normal distribution function, in place.
  mutating func gelu() { apply(Kernel.table.gelu, slope: Kernel.table.gelu_gradient) }

  /// `x * sigmoid(1.702 x)`: the approximation that OpenAI's CLIP was trained with, in place.
  mutating func quickGELU() { apply(Kernel.table.quick_gelu, slope: Kernel.table.quick_gelu_gradient) }

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
    return records(self) ? out.recorded(from: [self]) { [self.gegluGradient($0)] } : out
  }

  /// `self += other`, elementwise.
  mutating func add(_ other: Tensor) {
    precondition(shape == other.shape, "add: \(shape) and \(other.shape)")
    if records(self, other) {
      self = self + other
      return
    }
    let target = mutableData()
    let source = other.data
    parallel(count, grain: 16384) { r in Kernel.table.add(target + r.lowerBound, source + r.lowerBound, r.count) }
    withExtendedLifetime(other) {}
  }

  private mutating func apply(_ f: @convention(c) (UnsafeMutablePointer<Float>?, Int) -> Void, slope: SlopeLoop) {
    guard records(self) else { return mapInPlace(f) }
    let input = self
    var out = detached
    out.mapInPlace(f)
    self = out.recorded(from: input, slope: slope)
  }

  private mutating func mapInPlace(_ f: @convention(c) (UnsafeMutablePointer<Float>?, Int) -> Void) {
    let target = mutableData()
    parallel(count, grain: 8192) { r in f(target + r.lowerBound, r.count) }
  }
}
