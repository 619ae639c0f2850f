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
    if terms.contains(where: { records($0.1) }) {
      return out.recorded(from: terms.map(\.1)) { gradient in
        terms.map { factor, tensor in tensor.node == nil ? nil : factor == 1 ? gradient : combination((factor, gradient)) }
      }
    }
    return out
  }

  public static func + (a: Tensor, b: Tensor) -> Tensor { combination((1, a), (1, b)) }
  public static func - (a: Tensor, b: Tensor) -> Tensor { combination((1, a), (-1, b)) }
  public static func * (s: Double, a: Tensor) -> Tensor { combination((s, a)) }
  public static func * (s: Float, a: Tensor) -> Tensor {
    let out = a.detached.map { s * $0 }
    return records(a) ? out.recorded(from: [a]) { [s * $0] } : out
  }
  /// Divides, rather than multiplying by the reciprocal, so that results are PyTorch's.
  public static func / (a: Tensor, s: Float) -> Tensor {
    let out = a.detached.map { $0 / s }
    return records(a) ? out.recorded(from: [a]) { [$0 / s] } : out
  }

  /// Any function of each element; no gradient goes through it.
  public func map(_ f: (Float) -> Float) -> Tensor {
    precondition(!records(self), "no gradient goes through a function that nobody knows the derivative of")
    let out = Tensor(uninitialized: shape)
    for i in 0..<count { out.storage.pointer[i] = f(data[i]) }
    return out
  }
}
