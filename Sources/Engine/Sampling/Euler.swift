import Foundation

/// Euler's method on dx/dsigma = (x - x0(x, sigma)) / sigma. Source: Karras et al., NeurIPS 2022, algorithm 1 without churn; diffusers'
/// EulerDiscreteScheduler.
struct Euler: Sampler {
  enum Interpolation: String, CaseIterable {
    case linear
    case logLinear = "log_linear"
  }
  let plan: SamplingPlan
  let schedule: NoiseSchedule
  /// sigma_0 > ... > sigma_n, Float32.
  let sigmas: [Float]

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    schedule = try NoiseSchedule(config, .init(spacing: .linspace, zeroSNR: .lifted, usesSigmas: true), options)
    let curve = try SigmaCurve(config, options)
    let interpolation = try config.choice("interpolation_type", Interpolation.linear)
    let final = try config.choice("final_sigmas_type", FinalSigma.zero)
    let continuous = try config.string("timestep_type", "discrete") == "continuous"
    try config.refuse(unless: !(continuous && schedule.prediction == .vPrediction), "timestep_type", "discrete")
    let low = config.has("sigma_min") ? try config.double("sigma_min", 0) : nil
    let high = config.has("sigma_max") ? try config.double("sigma_max", 0) : nil
    try config.refuse(unless: low.map { $0 > 0 } ?? true, "sigma_min", "a number above 0")
    try config.refuse(unless: high.map { $0 > 0 } ?? true, "sigma_max", "a number above 0")

    let table = schedule.sigmas
    var (timesteps, levels) = schedule.levels(steps, curve, low: low, high: high)
    var last = final == .zero ? 0 : table[0]
    if interpolation == .logLinear {
      let even = linspace(log(table[table.count - 1]), log(table[0]), steps + 1).map { exp($0) }
      if case .timesteps = curve {
        // n + 1 levels, of which the last is where the last step ends.
        levels = even.dropLast().map(Double.init)
        last = even[steps]
      } else {
        levels = curve.sigmas(steps, from: high ?? Double(even[0]), to: low ?? Double(even[steps]))
        let logs = table.map { log($0) }
        timesteps = levels.map { Double(Float(NoiseSchedule.timestep(sigma: $0, logSigmas: logs))) }
      }
    }
    sigmas = levels.map(Float.init) + [last]
    plan = SamplingPlan(steps: steps, timesteps: timesteps, sigmas: sigmas, spacing: schedule.spacing)
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let sigma = sigmas[i]
    let output = try denoise(plan.scaleModelInput(x, at: i), plan.timesteps[i])
    let x0 = schedule.prediction.denoised(output, x, sigma: sigma)
    let d = (x - x0) / sigma
    return SamplerStep(sample: x + (sigmas[i + 1] - sigma) * d, predictedOriginal: x0)
  }
}
