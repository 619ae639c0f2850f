/// What the network's output means, independent of the sampler. Raw values are diffusers'.
public enum PredictionType: String, Sendable, CaseIterable {
  /// The noise eps in x = alpha x0 + sigma eps.
  case epsilon
  /// v = alpha eps - sigma x0. Source: Salimans and Ho, ICLR 2022.
  case vPrediction = "v_prediction"
  /// x0 itself.
  case sample

  /// x0 from the output at `x` = alpha x0 + sigma eps with alpha^2 + sigma^2 = 1.
  public func original(_ output: Tensor, _ x: Tensor, alpha: Float, sigma: Float) -> Tensor {
    switch self {
    case .epsilon: (x - sigma * output) / alpha
    case .vPrediction: alpha * x - sigma * output
    case .sample: output
    }
  }

  /// eps from the output at `x` = alpha x0 + sigma eps with alpha^2 + sigma^2 = 1.
  public func noise(_ output: Tensor, _ x: Tensor, alpha: Float, sigma: Float) -> Tensor {
    switch self {
    case .epsilon: output
    case .vPrediction: alpha * output + sigma * x
    case .sample: (x - alpha * output) / sigma
    }
  }

  /// x0 from the output at `x` = x0 + sigma eps, where the network was shown x / sqrt(sigma^2 + 1).
  public func denoised(_ output: Tensor, _ x: Tensor, sigma: Float) -> Tensor {
    switch self {
    case .epsilon: x - sigma * output
    case .vPrediction: (-sigma / (sigma * sigma + 1).squareRoot()) * output + x / (sigma * sigma + 1)
    case .sample: output
    }
  }
}
