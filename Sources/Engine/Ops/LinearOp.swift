extension Tensor {
  /// `x W^T + b` over the last dimension (torch.nn.functional.linear).
  /// - Parameter bias: `[n]` or nil.
  /// - Returns: `[..., n]` for self `[..., k]`.
  func linear(_ weight: LinearWeight, _ bias: Tensor?) -> Tensor {
    precondition(shape[-1] == weight.input, "linear: input \(shape), weight of \(weight.input) channels")
    if records(self, weight.recorded, bias) { return recordedLinear(weight, bias) }
    var d = shape.dimensions
    d[d.count - 1] = weight.output
    let out = Tensor(uninitialized: Shape(d))
    parallelProduct(
      shape.rows, data, weight.input, weight.panels, bias: bias?.data, adds: false, out.storage.pointer, weight.output)
    withExtendedLifetime((self, bias)) {}
    return out
  }

  /// `self += x W^T + b`: a linear layer whose result joins a residual, without a buffer in between.
  mutating func addLinear(_ x: Tensor, _ weight: LinearWeight, _ bias: Tensor?) {
    precondition(
      x.shape[-1] == weight.input && shape[-1] == weight.output && shape.rows == x.shape.rows,
      "addLinear: \(x.shape) through \(weight.input) to \(weight.output) channels into \(shape)")
    if records(self, x, weight.recorded, bias) {
      self = recordedSum(withLinear: x, weight, bias)
      return
    }
    let target = mutableData()
    parallelProduct(x.shape.rows, x.data, weight.input, weight.panels, bias: bias?.data, adds: true, target, weight.output)
    withExtendedLifetime((x, bias)) {}
  }
}
