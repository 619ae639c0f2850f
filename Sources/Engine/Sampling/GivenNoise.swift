/// A sampler whose noise is given instead of drawn: edit-friendly inversion's way back.
struct GivenNoise: Sampler {
  let base: DDIM
  /// For each step of the plan, in the shape of the latents. Empty: none.
  let noises: [Tensor]
  /// Added behind the last step.
  let remainder: Tensor?

  var plan: SamplingPlan { base.plan }
  var schedule: NoiseSchedule { base.schedule }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let step = try base.step(i, x, state: &state, denoise: denoise, noise: { noises.isEmpty ? Tensor.zeros(x.shape) : noises[i] })
    guard let remainder, i == plan.timesteps.count - 1 else { return step }
    return SamplerStep(sample: step.sample + remainder, predictedOriginal: step.predictedOriginal)
  }
}
