import Foundation

/// Ancestral sampling of the reverse diffusion process. Source: Ho et al., NeurIPS 2020, equations 6, 7 and 15; diffusers' DDPMScheduler.
///
///     mu = sqrt(abar_s) beta_t / (1 - abar_t) x0 + sqrt(alpha_t) (1 - abar_s) / (1 - abar_t) x
///     x_s = mu + sqrt(variance) eps
///
/// from timestep t to the next lower one s, with alpha_t = abar_t / abar_s, beta_t = 1 - alpha_t, and abar_s = 1 after the last step.
struct DDPM: Sampler {
  /// The variance of the added noise.
  enum Variance: String, CaseIterable {
    /// (1 - abar_s) / (1 - abar_t) beta_t.
    case fixedSmall = "fixed_small"
    /// The same through the logarithm.
    case fixedSmallLog = "fixed_small_log"
    /// beta_t.
    case fixedLarge = "fixed_large"
  }
  let plan: SamplingPlan
  let schedule: NoiseSchedule
  let variance: Variance
  let clip: Clipping

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    schedule = try NoiseSchedule(config, .init(spacing: .leading, zeroSNR: .exact), options)
    variance = try config.choice("variance_type", .fixedSmall)
    clip = try Clipping(config, clips: true)
    let spacing = schedule.spacing ?? .leading
    plan = try SamplingPlan(steps: steps, timesteps: spacing.whole(steps, of: schedule.trainSteps, offset: schedule.stepsOffset), schedule)
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let t = plan.timesteps[i]
    let abarT = schedule.alphasCumprod[Int(t)]
    let abarS = i + 1 < plan.timesteps.count ? schedule.alphasCumprod[Int(plan.timesteps[i + 1])] : 1
    let alpha = abarT / abarS
    let beta = 1 - alpha
    let output = try denoise(x, t)
    let x0 = clip(schedule.prediction.original(output, x, alpha: abarT.squareRoot(), sigma: (1 - abarT).squareRoot()))
    let mu = (abarS.squareRoot() * beta / (1 - abarT)) * x0 + (alpha.squareRoot() * (1 - abarS) / (1 - abarT)) * x
    guard t > 0 else { return SamplerStep(sample: mu, predictedOriginal: x0) }

    let small = max((1 - abarS) / (1 - abarT) * beta, 1e-20)
    let deviation: Float =
      switch variance {
      case .fixedSmall: small.squareRoot()
      case .fixedSmallLog: exp(0.5 * log(small))
      case .fixedLarge: beta.squareRoot()
      }
    return SamplerStep(sample: mu + deviation * (try noise()), predictedOriginal: x0)
  }
}
