/// Multistep sampling of a latent consistency model. Source: Luo et al., 2023 (arXiv 2310.04378), algorithm 3; diffusers' LCMScheduler.
///
///     x0' = c_out(t) x0 + c_skip(t) x,   x_s = sqrt(abar_s) x0' + sqrt(1 - abar_s) z
///
/// at n timesteps out of the `original_inference_steps` (50) that the model was distilled with; the last step gives x0' itself.
struct LCM: Sampler {
  let plan: SamplingPlan
  let schedule: NoiseSchedule
  let clip: Clipping
  let timestepScaling: Float

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    schedule = try NoiseSchedule(
      config, .init(betaStart: 0.00085, betaEnd: 0.012, betaSchedule: .scaledLinear, zeroSNR: .exact), options)
    clip = try Clipping(config, clips: false)
    timestepScaling = Float(try config.double("timestep_scaling", 10))
    let original = try config.int("original_inference_steps", 50)
    try config.refuse(unless: (1...schedule.trainSteps).contains(original), "original_inference_steps", "1 to \(schedule.trainSteps)")
    guard steps <= original else {
      throw InputError(.usage, "\(steps) steps: lcm takes at most \(original)", hint: "4 to 8 are usual")
    }
    let stride = schedule.trainSteps / original
    let timesteps = (0..<steps).map { i in
      let place = Int(Double(i) * (Double(original) / Double(steps)))
      return (original - place) * stride - 1
    }
    plan = try SamplingPlan(steps: steps, timesteps: timesteps, schedule)
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let t = plan.timesteps[i]
    let output = try denoise(x, t)
    let x0 = clip(schedule.prediction.original(output, x, alpha: plan.signalScales[i], sigma: plan.noiseScales[i]))
    // The boundary condition x0'(x, 0) = x of consistency models, with sigma_data = 1/2.
    let scaled = Float(t) * timestepScaling
    let cSkip = 0.25 / (scaled * scaled + 0.25)
    let cOut = scaled / (scaled * scaled + 0.25).squareRoot()
    let denoised = cOut * x0 + cSkip * x
    guard i + 1 < plan.timesteps.count else { return SamplerStep(sample: denoised, predictedOriginal: denoised) }
    return SamplerStep(sample: plan.addNoise(denoised, try noise(), at: i + 1), predictedOriginal: denoised)
  }
}
