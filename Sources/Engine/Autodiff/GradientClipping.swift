/// The Euclidean norm of all gradients together, summed in double in the order of names.
public func globalNorm(_ gradients: [String: Tensor]) -> Double {
  var total = 0.0
  for (_, gradient) in gradients.sorted(by: { $0.key < $1.key }) {
    gradient.withUnsafeBuffer { for value in $0 { total += Double(value) * Double(value) } }
  }
  return total.squareRoot()
}

/// What gradients are multiplied by so that their norm does not exceed `limit` (Pascanu et al. 2013; torch.nn.utils.clip_grad_norm_).
public func clippingFactor(norm: Double, limit: Double) -> Double { min(1, limit / (norm + 1e-6)) }
