/// Elementwise arithmetic on whole tensors. Used by samplers and guidance, where tensors are small; the networks use fused operations.
extension Tensor {
  /// `sum of factor * tensor`, each product and sum in Float32, left to right, as the schedulers of diffusers compute it.
  public static func combination(_ terms: (Double, Tensor)...) -> Tensor {
    let first = terms[0]
    let out = Tensor(uninitialized: first.1.shape)
    let o = out.storage.pointer
    let n = out.count
    for (index, (factor, tensor)) in terms.enumerated() {
      precondition(tensor.shape == out.shape, "\(tensor.shape) beside \(out.shape)")
      let f = Float(factor)
      let p = tensor.data
      if index == 0 { for i in 0..<n { o[i] = f * p[i] } } else { for i in 0..<n { o[i] += f * p[i] } }
    }
    return out
  }

  public static func + (a: Tensor, b: Tensor) -> Tensor { combination((1, a), (1, b)) }
  public static func - (a: Tensor, b: Tensor) -> Tensor { combination((1, a), (-1, b)) }
  public static func * (s: Double, a: Tensor) -> Tensor { combination((s, a)) }
  public static func * (s: Float, a: Tensor) -> Tensor { a.map { s * $0 } }
  /// Divides, rather than multiplying by the reciprocal, so that results are PyTorch's.
  public static func / (a: Tensor, s: Float) -> Tensor { a.map { $0 / s } }

  public func map(_ f: (Float) -> Float) -> Tensor {
    let out = Tensor(uninitialized: shape)
    for i in 0..<count { out.storage.pointer[i] = f(data[i]) }
    return out
  }
}
