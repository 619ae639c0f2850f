/// DDIM run backwards, from a picture's latents to the noise they would come from. Source: Song et al., ICLR 2021, section 4.3; diffusers'
/// DDIMInverseScheduler, which is also what Prompt-to-Prompt's null-text code does.
///
///     x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps(x_s, t)
///
/// from timestep s = t - T / n (below 0: the final abar) to t. The network is asked at t, the level it goes to and at which sampling will ask, but
/// shown x_s: what it would say of x_t is not known yet. That is the whole error of the inversion, of first order in the size of the step; a network whose
/// answer does not depend on x is inverted exactly.
struct DDIMInversion: Sampler {
  let plan: SamplingPlan
  var schedule: NoiseSchedule { sampler.schedule }
  /// The sampler whose steps are undone, the last one first.
  private let sampler: DDIM

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    guard options.eta == 0 else {
      throw InputError(.usage, "DDIM inversion with eta \(options.eta): steps with fresh noise have no way back", hint: "leave eta at 0")
    }
    let ddim = try DDIM(config, steps: steps, options: options)
    let forward = ddim.plan
    let levels = forward.indices.reversed().map { ddim.levels($0).to }
    sampler = ddim
    plan = SamplingPlan(
      steps: steps, timesteps: forward.timesteps.reversed(), signalScales: levels.map { $0.squareRoot() },
      noiseScales: levels.map { (1 - $0).squareRoot() }, inputDivisors: levels.map { _ in 1 }, initialNoiseSigma: 1, order: 1)
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let (abarT, abarS) = sampler.levels(plan.timesteps.count - 1 - i)
    let (alpha, sigma) = (abarS.squareRoot(), (1 - abarS).squareRoot())
    let output = try denoise(x, plan.timesteps[i])
    let x0 = sampler.clip(schedule.prediction.original(output, x, alpha: alpha, sigma: sigma))
    let epsilon = schedule.prediction.noise(output, x, alpha: alpha, sigma: sigma)
    return SamplerStep(sample: abarT.squareRoot() * x0 + (1 - abarT).squareRoot() * epsilon, predictedOriginal: x0)
  }
}
