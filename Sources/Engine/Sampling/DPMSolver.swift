import Foundation

/// A noise level as DPM-Solver sees it: x = alpha x0 + sigma eps, alpha^2 + sigma^2 = 1, lambda = log(alpha / sigma).
struct NoiseLevel: Sendable {
  let alpha: Float
  let sigma: Float
  let lambda: Float

  /// From the noise-to-signal ratio.
  init(ratio: Float) {
    alpha = 1 / (ratio * ratio + 1).squareRoot()
    sigma = ratio * alpha
    lambda = log(alpha) - log(sigma)
  }
}

/// What DPM-Solver integrates: x0 (++) or eps, as an ordinary or a stochastic differential equation. Names are diffusers'.
enum DPMAlgorithm: String, CaseIterable {
  case dpmSolver = "dpmsolver"
  case plusPlus = "dpmsolver++"
  case sde = "sde-dpmsolver"
  case sdePlusPlus = "sde-dpmsolver++"

  var predictsOriginal: Bool { self == .plusPlus || self == .sdePlusPlus }
  var drawsNoise: Bool { self == .sde || self == .sdePlusPlus }
}

/// What DPMSolverMultistep and DPMSolverSinglestep share: settings, the conversion of the model's output and the updates.
struct DPMSolver: Sendable {
  /// How the slope D1 of a second-order step is weighted.
  enum Kind: String, CaseIterable {
    case midpoint
    case heun
    // Names of other solvers' kinds, for which diffusers takes midpoint.
    case logrho
    case bh1
    case bh2
  }
  let schedule: NoiseSchedule
  let algorithm: DPMAlgorithm
  let heun: Bool
  /// 1 to 3.
  let order: Int
  let final: FinalSigma
  let clip: Clipping
  /// Where each step begins, and last where the run ends.
  let levels: [NoiseLevel]
  let timesteps: [Int]

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions, algorithm forced: DPMAlgorithm?, singlestep: Bool) throws {
    schedule = try NoiseSchedule(
      config, .init(spacing: singlestep ? nil : .linspace, zeroSNR: singlestep ? .ignored : .lifted, usesSigmas: true), options)
    let written = try config.string("algorithm_type", "dpmsolver++")
    algorithm = try forced ?? (written == "deis" ? .plusPlus : config.choice("algorithm_type", .plusPlus))
    heun = try config.choice("solver_type", Kind.midpoint) == .heun
    order = try config.int("solver_order", 2, in: 1...3)
    final = try config.choice("final_sigmas_type", .zero)
    clip = try Clipping(config, clips: nil)
    try config.refuse(
      unless: !config.has("variance_type") || config.string("variance_type", "").hasPrefix("fixed"), "variance_type", "null")
    try config.refuse(unless: algorithm != .sde || (order < 3 && !singlestep), "algorithm_type", "sde-dpmsolver++ for this solver_order")
    try config.refuse(
      unless: algorithm.predictsOriginal || final == .sigmaMin, "final_sigmas_type", "sigma_min beside \(algorithm.rawValue)")

    let curve = try SigmaCurve(config, options, hasLu: !singlestep)
    let table = schedule.sigmas
    let total = schedule.trainSteps
    // Timesteps noisier than this are left out: the cosine schedule's first ones have next to no signal.
    let lowest = try config.double("lambda_min_clipped", -.infinity)
    let last = total - schedule.alphasCumprod.reversed().prefix { log($0.squareRoot()) - log((1 - $0).squareRoot()) < Float(lowest) }.count
    try config.refuse(unless: last > 0, "lambda_min_clipped", "a number that leaves a timestep")
    let spacing = schedule.spacing ?? .linspace
    let plain = spacing.solver(steps, upTo: last, of: total, offset: schedule.stepsOffset)
    var ratios: [Double]
    if case .timesteps = curve {
      timesteps = plain
      ratios = plain.map { interpolate(Double($0), table) }
    } else {
      ratios = curve.sigmas(steps, from: Double(table[total - 1]), to: Double(table[0]))
      let logs = table.map { log($0) }
      let fractional = ratios.map { NoiseSchedule.timestep(sigma: $0, logSigmas: logs) }
      // diffusers rounds for Karras' and Lu's curves, cuts for the exponential one, and the multistep class cuts for the cosine schedule.
      var rounds = true
      if case .exponential = curve { rounds = false }
      if !singlestep, try config.string("beta_schedule", "linear") == BetaSchedule.squaredCosine.rawValue { rounds = false }
      timesteps = fractional.map { Int(rounds ? $0.rounded(.toNearestOrEven) : $0) }
    }
    try NoiseSchedule.requireFalling(ratios.map(Float.init), steps: steps)
    ratios.append(final == .zero ? 0 : Double(table[0]))
    levels = ratios.map { NoiseLevel(ratio: Float($0)) }
  }

  func plan(_ steps: Int) -> SamplingPlan { SamplingPlan(timesteps: timesteps, levels: levels, steps: steps) }

  /// The model's output before step i as what is integrated (x0 or eps), and x0.
  func convert(_ output: Tensor, _ x: Tensor, at i: Int) -> (integrand: Tensor, original: Tensor) {
    let (alpha, sigma) = (levels[i].alpha, levels[i].sigma)
    let x0 = clip(schedule.prediction.original(output, x, alpha: alpha, sigma: sigma))
    if algorithm.predictsOriginal { return (x0, x0) }
    if case .threshold = clip { return ((x - alpha * x0) / sigma, x0) }
    return (schedule.prediction.noise(output, x, alpha: alpha, sigma: sigma), x0)
  }

  /// From the latents `x` at level s to level t, where the integrand is D0 + D1 (second order) or a parabola with D1 and D2 (third order).
  ///
  /// Source: Lu et al., NeurIPS 2022 (DPM-Solver) and arXiv 2211.01095 (DPM-Solver++), with h = lambda_t - lambda_s; the weights of D1
  /// and D2 are phi functions of h, for `midpoint` half of the weight of D0.
  func update(
    _ x: Tensor, from s: NoiseLevel, to t: NoiseLevel, _ d0: Tensor, _ d1: Tensor? = nil, _ d2: Tensor? = nil, midpoint: Bool,
    noise: Tensor?
  ) -> Tensor {
    let h = t.lambda - s.lambda
    let scale: Float
    let w0: Float
    let w1: Float
    let w2: Float
    var z: Float = 0
    switch algorithm {
    case .plusPlus:
      let e = exp(-h) - 1
      scale = t.sigma / s.sigma
      w0 = -(t.alpha * e)
      w1 = midpoint ? -0.5 * (t.alpha * e) : t.alpha * (e / h + 1)
      w2 = -(t.alpha * ((e + h) / (h * h) - 0.5))
    case .dpmSolver:
      let e = exp(h) - 1
      scale = t.alpha / s.alpha
      w0 = -(t.sigma * e)
      w1 = midpoint ? -0.5 * (t.sigma * e) : -(t.sigma * (e / h - 1))
      w2 = -(t.sigma * ((e - h) / (h * h) - 0.5))
    case .sdePlusPlus:
      let e = 1 - exp(-2 * h)
      scale = t.sigma / s.sigma * exp(-h)
      w0 = t.alpha * e
      w1 = midpoint ? 0.5 * (t.alpha * e) : t.alpha * (e / (-2 * h) + 1)
      w2 = t.alpha * ((e - 2 * h) / (4 * h * h) - 0.5)
      z = t.sigma * e.squareRoot()
    case .sde:
      let e = exp(h) - 1
      scale = t.alpha / s.alpha
      w0 = -2 * (t.sigma * e)
      w1 = midpoint ? -(t.sigma * e) : -2 * (t.sigma * (e / h - 1))
      w2 = 0
      z = t.sigma * (exp(2 * h) - 1).squareRoot()
    }
    var next = scale * x + w0 * d0
    if let d1 { next = next + w1 * d1 }
    if let d2 { next = next + w2 * d2 }
    if let noise { next = next + z * noise }
    return next
  }
}
