/// Euler steps that go too far down and add fresh noise, so that the noise level is right again. Source: K. Crowson's k-diffusion,
/// `sample_euler_ancestral`; diffusers' EulerAncestralDiscreteScheduler.
///
///     sigma_up^2 = sigma_s^2 (sigma_t^2 - sigma_s^2) / sigma_t^2,  sigma_down^2 = sigma_s^2 - sigma_up^2
///     x_s = x + (sigma_down - sigma_t) (x - x0) / sigma_t + sigma_up z
struct EulerAncestral: Sampler {
  let plan: SamplingPlan
  let schedule: NoiseSchedule
  let sigmas: [Float]

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    schedule = try NoiseSchedule(
      config, .init(spacing: .linspace, zeroSNR: .lifted, usesSigmas: true, predictions: [.epsilon, .vPrediction]), options)
    let (timesteps, levels) = schedule.levels(steps, .timesteps)
    sigmas = levels.map(Float.init) + [0]
    plan = SamplingPlan(steps: steps, timesteps: timesteps, sigmas: sigmas, spacing: schedule.spacing)
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let (from, to) = (sigmas[i], sigmas[i + 1])
    let output = try denoise(plan.scaleModelInput(x, at: i), plan.timesteps[i])
    let x0 = schedule.prediction.denoised(output, x, sigma: from)
    let up = (to * to * (from * from - to * to) / (from * from)).squareRoot()
    let down = (to * to - up * up).squareRoot()
    let d = (x - x0) / from
    return SamplerStep(sample: x + (down - from) * d + up * (try noise()), predictedOriginal: x0)
  }
}
