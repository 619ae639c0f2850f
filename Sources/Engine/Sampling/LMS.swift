/// Linear multistep (Adams-Bashforth) on dx/dsigma = (x - x0(x, sigma)) / sigma, with up to four slopes. Source: K. Crowson's k-diffusion,
/// `sample_lms`; diffusers' LMSDiscreteScheduler.
///
///     x_{i+1} = x_i + sum_k c_k d_{i-k},  c_k = integral from sigma_i to sigma_{i+1} of the Lagrange polynomial of sigma_{i-k}
struct LMS: Sampler {
  let plan: SamplingPlan
  let schedule: NoiseSchedule
  let sigmas: [Float]

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    schedule = try NoiseSchedule(config, .init(spacing: .linspace, usesSigmas: true), options)
    let (timesteps, levels) = try schedule.levels(steps, SigmaCurve(config, options))
    sigmas = levels.map(Float.init) + [0]
    try NoiseSchedule.requireFalling(sigmas, steps: steps)
    plan = SamplingPlan(steps: steps, timesteps: timesteps, sigmas: sigmas, spacing: schedule.spacing)
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let output = try denoise(plan.scaleModelInput(x, at: i), plan.timesteps[i])
    let x0 = schedule.prediction.denoised(output, x, sigma: sigmas[i])
    state.remember((x - x0) / sigmas[i], limit: 4)
    // The order counts the steps of the whole run; image to image starts with fewer slopes than that, and diffusers leaves the rest out.
    let order = min(i + 1, 4)
    var change: Tensor?
    for (k, d) in state.history.reversed().enumerated() {
      let term = coefficient(k, order: order, at: i) * d
      change = change.map { $0 + term } ?? term
    }
    return SamplerStep(sample: change.map { x + $0 } ?? x, predictedOriginal: x0)
  }

  /// c_k, exactly: the polynomial has degree 3 at most, for which two Gauss points suffice.
  func coefficient(_ k: Int, order: Int, at i: Int) -> Double {
    let nodes = (0..<order).map { Double(sigmas[i - $0]) }
    func lagrange(_ sigma: Double) -> Double {
      nodes.indices.reduce(1) { $1 == k ? $0 : $0 * (sigma - nodes[$1]) / (nodes[k] - nodes[$1]) }
    }
    let (a, b) = (Double(sigmas[i]), Double(sigmas[i + 1]))
    let (middle, offset) = ((a + b) / 2, (b - a) / 2 / 3.0.squareRoot())
    return (b - a) / 2 * (lagrange(middle - offset) + lagrange(middle + offset))
  }
}
