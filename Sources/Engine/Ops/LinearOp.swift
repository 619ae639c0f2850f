extension Tensor {
  /// `x W^T + b` over the last dimension (torch.nn.functional.linear).
  /// - Parameters:
  ///   - weight: `[n, k]`, as PyTorch stores it; used where it lies, also inside a mapped file.
  ///   - bias: `[n]` or nil.
  /// - Returns: `[..., n]` for self `[..., k]`.
  func linear(_ weight: Tensor, _ bias: Tensor?) -> Tensor {
    let (n, k) = (weight.shape[0], weight.shape[1])
    precondition(shape[-1] == k, "linear: input \(shape), weight \(weight.shape)")
    if records(self, weight, bias) { return recordedLinear(weight, bias) }
    var d = shape.dimensions
    d[d.count - 1] = n
    let out = Tensor(uninitialized: Shape(d))
    let m = shape.rows
    if let bias { parallelFill(out.storage.pointer, rows: m, c: n, bias.data) }
    parallelProduct(
      m, n, k, Matrix(pointer: data, stride: k), Matrix(pointer: weight.data, stride: k, transposed: true), beta: bias == nil ? 0 : 1,
      out.storage.pointer, n)
    withExtendedLifetime((self, weight)) {}
    return out
  }

  /// `self += x W^T + b`: a linear layer whose result joins a residual, without a buffer in between.
  mutating func addLinear(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?) {
    let (n, k) = (weight.shape[0], weight.shape[1])
    precondition(
      x.shape[-1] == k && shape[-1] == n && shape.rows == x.shape.rows, "addLinear: \(x.shape) through \(weight.shape) into \(shape)")
    if records(self, x, weight, bias) {
      self = recordedSum(withLinear: x, weight, bias)
      return
    }
    let target = mutableData()
    let m = shape.rows
    if let bias {
      let b = bias.data
      parallel(m, grain: 64) { rows in
        for r in rows { Kernel.table.add(target + r * n, b, n) }
      }
    }
    parallelProduct(
      m, n, k, Matrix(pointer: x.data, stride: k), Matrix(pointer: weight.data, stride: k, transposed: true), beta: 1, target, n)
    withExtendedLifetime((x, weight, bias)) {}
  }
}

/// Sets `rows` rows of `c` values to `bias`, before a product adds to them.
func parallelFill(_ out: UnsafeMutablePointer<Float>, rows: Int, c: Int, _ bias: UnsafePointer<Float>?) {
  parallel(rows, grain: max(1, 16384 / max(c, 1))) { range in
    Kernel.table.fill_rows(out + range.lowerBound * c, range.count, c, bias)
  }
}
