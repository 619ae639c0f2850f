import Foundation

/// What a diffusion model was trained with: how much signal is left at each timestep, and what its output means.
///
/// Notation: T training timesteps, betas beta_t, `alphasCumprod[t]` = abar_t = product of (1 - beta_s) for s <= t, in Float32 and equal
/// to what PyTorch computes; sigma_t = sqrt((1 - abar_t) / abar_t) is the noise-to-signal ratio of k-diffusion's samplers. Source: Ho et
/// al., NeurIPS 2020; the keys and defaults are those of diffusers' `scheduler_config.json`.
public struct NoiseSchedule: Sendable, Equatable {
  /// abar_t for t in `0..<trainSteps`.
  public let alphasCumprod: [Float]
  public let prediction: PredictionType
  /// nil where the sampler has one spacing of its own.
  public let spacing: TimestepSpacing?
  /// Added to every timestep of the leading spacing.
  public let stepsOffset: Int

  /// T, 1000 for Stable Diffusion.
  public var trainSteps: Int { alphasCumprod.count }

  /// What one scheduler class of diffusers assumes for keys that the config does not write.
  struct Defaults {
    enum ZeroSNR {
      /// The class has no such key.
      case ignored
      case exact
      /// The last abar is lifted from 0 to 2^-24, so that the first sigma is finite.
      case lifted
    }
    var betaStart = 0.0001
    var betaEnd = 0.02
    var betaSchedule = BetaSchedule.linear
    /// nil where the class has no such key.
    var spacing: TimestepSpacing?
    var zeroSNR = ZeroSNR.ignored
    /// The sampler divides by sigma and takes its logarithm.
    var usesSigmas = false
    var predictions: [PredictionType] = PredictionType.allCases
  }

  /// Reads a `scheduler_config.json` as diffusers' DDPMScheduler does, which is what models are trained with.
  public init(_ config: ConfigReader) throws {
    try self.init(config, Defaults(spacing: .leading, zeroSNR: .exact), SamplerOptions())
  }

  /// Reads a `scheduler_config.json`; `options` win over it.
  ///
  /// Throws `InputError` for a schedule that this program does not know, betas outside [0, 1] and options that the sampler does not have.
  init(_ config: ConfigReader, _ defaults: Defaults, _ options: SamplerOptions) throws {
    let steps = try config.int("num_train_timesteps", 1000, in: 1...100_000)
    let start = try config.double("beta_start", defaults.betaStart)
    let end = try config.double("beta_end", defaults.betaEnd)
    let kind = try config.choice("beta_schedule", defaults.betaSchedule)
    var betas: [Float]
    if let trained = try config.doubles("trained_betas") {
      try config.refuse(unless: trained.count == steps, "trained_betas", "\(steps) numbers, one for each training timestep")
      betas = trained.map(Float.init)
    } else {
      try config.refuse(unless: start >= 0 && start <= 1, "beta_start", "a number from 0 to 1")
      try config.refuse(unless: end >= 0 && end <= 1, "beta_end", "a number from 0 to 1")
      betas = kind.betas(from: start, to: end, count: steps)
    }
    let zeroSNR = try defaults.zeroSNR != .ignored && config.bool("rescale_betas_zero_snr", false)
    if zeroSNR { betas = Self.rescaledToZeroSNR(betas) }
    var abar = Self.cumulativeProduct(betas.map { 1 - $0 })
    if zeroSNR && defaults.zeroSNR == .lifted { abar[steps - 1] = 0x1p-24 }
    guard abar.allSatisfy({ $0 >= 0 && $0 <= 1 }) else {
      throw InputError(.badData, "\(config.file): the betas give no noise schedule: some product of (1 - beta) is not in 0 to 1")
    }
    guard !defaults.usesSigmas || abar.allSatisfy({ $0 > 0 && $0 < 1 }) else {
      throw InputError(
        .badData, "\(config.file): the betas leave no signal or no noise at some timestep, which this sampler cannot do",
        hint: "use ddpm or ddim")
    }
    alphasCumprod = abar

    let written = try config.choice("prediction_type", PredictionType.epsilon)
    prediction = options.prediction ?? written
    if !defaults.predictions.contains(prediction) {
      let known = defaults.predictions.map(\.rawValue).joined(separator: " or ")
      if options.prediction == nil { throw config.wrong("prediction_type", "\(known) for this sampler") }
      throw InputError(.usage, "prediction type \(prediction.rawValue): expected \(known) for this sampler", hint: "choose another sampler")
    }
    if let own = defaults.spacing {
      spacing = try options.spacing ?? config.choice("timestep_spacing", own)
    } else if options.spacing != nil {
      throw InputError(.usage, "this sampler has a timestep spacing of its own", hint: "leave the spacing out or choose another sampler")
    } else {
      spacing = nil
    }
    stepsOffset = try config.int("steps_offset", 0)
  }

  /// sigma_t in Float32, for every t.
  var sigmas: [Float] { alphasCumprod.map { ((1 - $0) / $0).squareRoot() } }

  /// sigma at a fractional timestep, linear between the whole ones, constant outside of them.
  public func sigma(at t: Double) -> Double { interpolate(t, sigmas) }

  /// The fractional timestep at which the noise-to-signal ratio is `sigma`, linear in log sigma, within `0...trainSteps - 1`.
  public func timestep(sigma: Double) -> Double { Self.timestep(sigma: sigma, logSigmas: sigmas.map { log($0) }) }

  static func timestep(sigma: Double, logSigmas: [Float]) -> Double {
    if logSigmas.count < 2 { return 0 }
    let target = log(max(sigma, 1e-10))
    let low = min(logSigmas.lastIndex { Double($0) <= target } ?? 0, logSigmas.count - 2)
    let (a, b) = (logSigmas[low], logSigmas[low + 1])
    let w = min(max((Double(a) - target) / Double(a - b), 0), 1)
    return (1 - w) * Double(low) + w * Double(low + 1)
  }

  /// Throws `InputError` unless each level is below the one before: solvers divide by the differences.
  static func requireFalling(_ levels: [Float], steps: Int) throws {
    guard zip(levels, levels.dropFirst()).allSatisfy({ $0 > $1 }) else {
      throw InputError(
        .usage, "\(steps) steps: two of them have the same noise level, which this sampler cannot do",
        hint: "take fewer steps, another spacing or another sampler")
    }
  }

  /// `torch.cumprod`: Float32 values, running product in double precision.
  static func cumulativeProduct(_ factors: [Float]) -> [Float] {
    var product = 1.0
    return factors.map { factor in
      product *= Double(factor)
      return Float(product)
    }
  }

  /// Betas whose last timestep is pure noise. Source: Lin et al., WACV 2024 (arXiv 2305.08891), algorithm 1.
  static func rescaledToZeroSNR(_ betas: [Float]) -> [Float] {
    var root = cumulativeProduct(betas.map { 1 - $0 }).map { $0.squareRoot() }
    let (first, last) = (root[0], root[root.count - 1])
    if first == last { return betas }
    root = root.map { ($0 - last) * (first / (first - last)) }
    let abar = root.map { $0 * $0 }
    return abar.indices.map { 1 - ($0 == 0 ? abar[0] : abar[$0] / abar[$0 - 1]) }
  }
}

/// How beta grows with the timestep, by diffusers' names.
enum BetaSchedule: String, CaseIterable {
  case linear
  /// Linear in sqrt(beta): latent diffusion's.
  case scaledLinear = "scaled_linear"
  /// From abar(t) = cos^2((t / T + 0.008) / 1.008 * pi / 2). Source: Nichol and Dhariwal, ICML 2021, equation 17.
  case squaredCosine = "squaredcos_cap_v2"

  func betas(from start: Double, to end: Double, count: Int) -> [Float] {
    switch self {
    case .linear: return linspace(Float(start), Float(end), count)
    case .scaledLinear: return linspace(Float(start.squareRoot()), Float(end.squareRoot()), count).map { $0 * $0 }
    case .squaredCosine:
      func abar(_ t: Double) -> Double {
        let c = cos((t + 0.008) / 1.008 * Double.pi / 2)
        return c * c
      }
      let n = Double(count)
      return (0..<count).map { Float(min(1 - abar(Double($0 + 1) / n) / abar(Double($0) / n), 0.999)) }
    }
  }
}

extension ConfigReader {
  /// One of the values of a string enumeration.
  func choice<E: RawRepresentable & CaseIterable>(_ key: String, _ fallback: E) throws -> E where E.RawValue == String {
    let value = try string(key, fallback.rawValue)
    guard let known = E(rawValue: value) else { throw wrong(key, E.allCases.map(\.rawValue).joined(separator: ", ")) }
    return known
  }
}
