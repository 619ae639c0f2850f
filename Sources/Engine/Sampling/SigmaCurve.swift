import Foundation

/// How the noise levels of a run lie between the highest and the lowest.
enum SigmaCurve: Sendable {
  /// Those of the timesteps.
  case timesteps
  /// Even in sigma^(1/7). Source: Karras et al., NeurIPS 2022, equation 5.
  case karras
  /// Even in log sigma.
  case exponential
  /// Even in lambda = -log sigma, over the training range. Source: Lu et al., NeurIPS 2022 (DPM-Solver).
  case lu

  /// Reads `use_*_sigmas`. `options.karras` wins over the config.
  init(_ config: ConfigReader, _ options: SamplerOptions, hasLu: Bool = false) throws {
    try config.refuse(unless: !config.bool("use_beta_sigmas", false), "use_beta_sigmas", "false")
    try config.refuse(
      unless: !config.bool("use_flow_sigmas", false), "use_flow_sigmas", "false (a flow model is no Stable Diffusion 1 or 2)")
    let exponential = try config.bool("use_exponential_sigmas", false)
    let karras = try options.karras ?? config.bool("use_karras_sigmas", false)
    let lu = try hasLu && config.bool("use_lu_lambdas", false)
    try config.refuse(unless: options.karras != nil || !(karras && exponential), "use_exponential_sigmas", "false beside use_karras_sigmas")
    self = karras ? .karras : lu ? .lu : exponential ? .exponential : .timesteps
  }

  /// n falling noise levels from `high` to `low`. Not for `.timesteps`, which are no curve.
  func sigmas(_ n: Int, from high: Double, to low: Double) -> [Double] {
    switch self {
    case .timesteps: preconditionFailure("the timesteps have their own noise levels")
    case .karras:
      let (a, b) = (pow(high, 1 / 7.0), pow(low, 1 / 7.0))
      return evenly(from: 0, to: 1, n).map { pow(a + $0 * (b - a), 7) }
    case .exponential: return evenly(from: log(high), to: log(low), n).map { exp($0) }
    case .lu:
      let (a, b) = (log(high), log(low))
      return evenly(from: 0, to: 1, n).map { exp(a + $0 * (b - a)) }
    }
  }
}

/// Where the last step ends, by diffusers' names.
enum FinalSigma: String, CaseIterable {
  case zero
  /// The lowest noise level of the training.
  case sigmaMin = "sigma_min"
}

extension NoiseSchedule {
  /// Timesteps and falling noise levels of k-diffusion's samplers, n of each, without the final level.
  ///
  /// A curve runs between the levels of the first and the last timestep, or `low` and `high`.
  func levels(_ n: Int, _ curve: SigmaCurve, low: Double? = nil, high: Double? = nil) -> (timesteps: [Double], sigmas: [Double]) {
    let table = sigmas
    let timesteps = (spacing ?? .linspace).fractional(n, of: trainSteps, offset: stepsOffset)
    let levels = timesteps.map { interpolate($0, table) }
    if case .timesteps = curve { return (timesteps, levels) }
    let curved = curve.sigmas(n, from: high ?? levels[0], to: low ?? levels[n - 1])
    let logs = table.map { log($0) }
    return (curved.map { Double(Float(Self.timestep(sigma: $0, logSigmas: logs))) }, curved)
  }
}
