/// Source: Song et al., ICLR 2021, equations 12 and 16; diffusers' DDIMScheduler.
///
///     sigma = eta sqrt((1 - abar_s) / (1 - abar_t)) sqrt(1 - abar_t / abar_s)
///     x_s = sqrt(abar_s) x0 + sqrt(1 - abar_s - sigma^2) eps(x, t) + sigma z
///
/// from timestep t to s = t - T / n (rounded down); abar_s below 0 is 1 or abar_0 (`set_alpha_to_one`).
struct DDIM: AsymmetricSampler {
  let plan: SamplingPlan
  let schedule: NoiseSchedule
  let clip: Clipping
  let finalAbar: Float
  let eta: Float

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    schedule = try NoiseSchedule(config, .init(spacing: .leading, zeroSNR: .exact), options)
    clip = try Clipping(config, clips: true)
    finalAbar = try config.bool("set_alpha_to_one", true) ? 1 : schedule.alphasCumprod[0]
    guard (0...1).contains(options.eta) else { throw InputError(.usage, "eta \(options.eta): expected 0 to 1") }
    eta = Float(options.eta)
    let spacing = schedule.spacing ?? .leading
    plan = try SamplingPlan(steps: steps, timesteps: spacing.whole(steps, of: schedule.trainSteps, offset: schedule.stepsOffset), schedule)
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let output = try denoise(x, plan.timesteps[i])
    return try advance(i, x, original: output, direction: output, noise: noise)
  }

  func step(
    _ i: Int, _ x: Tensor, denoise: (Tensor, Double) throws -> Tensor, original: (Tensor, Double) throws -> Tensor,
    noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let direction = try denoise(x, plan.timesteps[i])
    return try advance(i, x, original: original(x, plan.timesteps[i]), direction: direction, noise: noise)
  }

  /// abar before step i and after it.
  func levels(_ i: Int) -> (from: Float, to: Float) {
    let t = Int(plan.timesteps[i])
    let s = t - schedule.trainSteps / plan.steps
    return (schedule.alphasCumprod[t], s >= 0 ? schedule.alphasCumprod[s] : finalAbar)
  }

  /// (1 - abar_s) / (1 - abar_t) (1 - abar_t / abar_s): the variance of step i's noise at eta = 1.
  func variance(_ i: Int) -> Float {
    let (abarT, abarS) = levels(i)
    return (1 - abarS) / (1 - abarT) * (1 - abarT / abarS)
  }

  /// - Parameters:
  ///   - original: the network's output of which x0 is taken.
  ///   - direction: that of which eps is taken; the same one in DDIM itself.
  private func advance(_ i: Int, _ x: Tensor, original: Tensor, direction output: Tensor, noise: () throws -> Tensor) rethrows
    -> SamplerStep
  {
    let (abarT, abarS) = levels(i)
    let (alpha, sigma) = (abarT.squareRoot(), (1 - abarT).squareRoot())
    let x0 = clip(schedule.prediction.original(original, x, alpha: alpha, sigma: sigma))
    let epsilon = schedule.prediction.noise(output, x, alpha: alpha, sigma: sigma)

    let variance = variance(i)
    // diffusers squares eta sqrt(variance) again, which at zero signal leaves sqrt(0 +- rounding), at times not a number.
    let direction = max(1 - abarS - eta * eta * variance, 0).squareRoot()
    var next = abarS.squareRoot() * x0 + direction * epsilon
    if eta > 0 { next = next + (eta * variance.squareRoot()) * (try noise()) }
    return SamplerStep(sample: next, predictedOriginal: x0)
  }
}
