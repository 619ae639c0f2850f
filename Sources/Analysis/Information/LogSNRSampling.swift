import Engine
import Foundation

/// Noise levels for an integral over the logarithmic signal-to-noise ratio, by importance sampling.
///
/// A truncated logistic distribution: logSNR = location + scale logit(p), p uniform between sigmoid(-clip) and sigmoid(clip), so that logSNR lies within
/// location ± clip scale. The weight is one over the density, scale tanh(clip / 2) / (sigmoid(z) sigmoid(-z)) with z = (logSNR - location) / scale; the mean of
/// weight times integrand estimates the integral over that range. Source: Kong et al., "Information-Theoretic Diffusion", ICLR 2023, and the published code
/// of "Interpretable Diffusion via Information Decomposition", ICLR 2024 (`logistic_integrate`).
public struct LogSNRSampling: Sendable {
  public var location = 1.0
  public var scale = 2.0
  public var clip = 3.0

  public init() {}

  public var range: ClosedRange<Double> { location - clip * scale...location + clip * scale }

  public struct Level: Sendable, Equatable {
    public let logSNR: Double
    public let weight: Double
    /// Share of the signal's variance, sigmoid(logSNR).
    public var signal: Double { 1 / (1 + exp(-logSNR)) }
    /// Share of the noise's variance, sigmoid(-logSNR), without the loss of 1 - signal.
    public var noise: Double { 1 / (1 + exp(logSNR)) }

    public init(logSNR: Double, weight: Double) {
      self.logSNR = logSNR
      self.weight = weight
    }
  }

  /// - Parameter uniform: in 0..<1.
  public func level(_ uniform: Double) -> Level {
    func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    let p = sigmoid(-clip) + (sigmoid(clip) - sigmoid(-clip)) * uniform
    let z = log(p / (1 - p))
    return Level(logSNR: location + scale * z, weight: scale * tanh(clip / 2) / (p * (1 - p)))
  }
}

extension NoiseSchedule {
  /// The timestep whose logSNR, log(abar / (1 - abar)), is nearest; the first of equals.
  public func timestep(logSNR: Double) -> Int {
    var best = (t: 0, distance: Double.infinity)
    for (t, a) in alphasCumprod.enumerated() {
      let distance = abs(log(Double(a)) - log1p(-Double(a)) - logSNR)
      if distance < best.distance { best = (t, distance) }
    }
    return best.t
  }
}
