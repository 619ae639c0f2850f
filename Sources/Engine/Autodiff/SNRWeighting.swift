/// Minimum-SNR weighting of the loss over timesteps (Hang et al. 2023): steps with little noise, whose signal-to-noise ratio is high, do not drown
/// the others.
public struct SNRWeighting: Sendable {
  /// Ratios above it are cut.
  public let gamma: Double

  public init(gamma: Double = 5) { self.gamma = gamma }

  /// The loss weight at signal share `abar` in (0, 1), for the squared error of what the network predicts: min(SNR, gamma) times the factor
  /// that turns the squared error of the prediction into that of x0 (1 / SNR for noise, 1 / (SNR + 1) for velocity, 1 for x0).
  public func callAsFunction(alphaBar abar: Double, _ prediction: PredictionType) -> Double {
    let snr = abar / (1 - abar)
    let cut = min(snr, gamma)
    switch prediction {
    case .epsilon: return cut / snr
    case .vPrediction: return cut / (snr + 1)
    case .sample: return cut
    }
  }
}
