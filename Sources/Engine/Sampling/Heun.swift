/// Heun's method on dx/dsigma = (x - x0(x, sigma)) / sigma: an Euler step, then the same step again with the mean of the slopes at both
/// ends. Source: Karras et al., NeurIPS 2022, algorithm 1 without churn; diffusers' HeunDiscreteScheduler.
///
/// As in diffusers each of the two evaluations is a step of the plan, so that a caller can look at, or blend into, the latents between
/// them. The last step, to sigma = 0, is Euler's.
struct Heun: Sampler {
  let plan: SamplingPlan
  let schedule: NoiseSchedule
  /// sigma_0, sigma_1, sigma_1, sigma_2, sigma_2, ..., 0.
  let sigmas: [Float]
  let clip: Clipping

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    schedule = try NoiseSchedule(config, .init(betaStart: 0.00085, betaEnd: 0.012, spacing: .linspace, usesSigmas: true), options)
    clip = try Clipping(config, clips: false, thresholds: false)
    let (timesteps, levels) = try schedule.levels(steps, SigmaCurve(config, options))
    func doubled<T>(_ values: [T]) -> [T] { values.prefix(1) + values.dropFirst().flatMap { [$0, $0] } }
    sigmas = doubled(levels.map(Float.init)) + [0]
    plan = SamplingPlan(steps: steps, timesteps: doubled(timesteps), sigmas: sigmas, spacing: schedule.spacing, order: 2)
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let sigma = sigmas[i]
    let output = try denoise(plan.scaleModelInput(x, at: i), plan.timesteps[i])
    let x0 = clip(schedule.prediction.denoised(output, x, sigma: sigma))
    let d = (x - x0) / sigma
    if let start = state.anchor, let first = state.history.last {
      state = SamplerState()
      return SamplerStep(sample: start + (sigma - sigmas[i - 1]) * ((first + d) / 2), predictedOriginal: x0)
    }
    state.anchor = x
    state.remember(d, limit: 1)
    return SamplerStep(sample: x + (sigmas[i + 1] - sigma) * d, predictedOriginal: x0)
  }
}
