/// The steps of one run: at which timesteps the model is asked and how much noise a latent has there.
///
/// Step i asks the model once, at `timesteps[i]`; x there is `signalScales[i]` x0 + `noiseScales[i]` eps. Indices are those of the whole
/// run, also when image to image starts in its middle.
public struct SamplingPlan: Sendable, Equatable {
  /// The number of steps that was asked for. `timesteps` may be longer: PNDM asks the model 1 or 9 times more, Heun 2 n - 1 times.
  public let steps: Int
  /// What the model is told, one a model evaluation, whole or fractional, in `0..<trainSteps`.
  public let timesteps: [Double]
  /// alpha_i: the factor of x0 in the latents before step i; 1 for k-diffusion's samplers.
  public let signalScales: [Float]
  /// sigma_i: the factor of the noise in the latents before step i.
  public let noiseScales: [Float]
  /// The model sees x / `inputDivisors[i]`.
  public let inputDivisors: [Float]
  /// A run from pure noise starts with standard normal noise times this.
  public let initialNoiseSigma: Float
  /// Model evaluations per step when the place to start is sought: 2 for Heun.
  public let order: Int

  /// Every step: a run from pure noise.
  public var indices: Range<Int> { 0..<timesteps.count }

  /// The steps of image to image: the last int(n * strength) of n steps, as diffusers counts them.
  ///
  /// Start from `addNoise(x0, noise, at: indices.lowerBound)`. Throws `InputError` for a strength outside [0, 1] or one that leaves no
  /// step.
  public func indices(strength: Double) throws -> Range<Int> {
    guard strength >= 0, strength <= 1 else {
      throw InputError(.usage, "strength \(strength): expected 0 to 1")
    }
    let start = (steps - min(Int(Double(steps) * strength), steps)) * order
    guard start < timesteps.count else {
      throw InputError(
        .usage, "strength \(strength) of \(steps) steps leaves no step to do", hint: "raise the strength or the number of steps")
    }
    return start..<timesteps.count
  }

  /// Noise-to-signal ratio before each step.
  public var sigmas: [Float] { indices.map { noiseScales[$0] / signalScales[$0] } }

  /// What the model sees of the latents before step i.
  public func scaleModelInput(_ x: Tensor, at i: Int) -> Tensor { inputDivisors[i] == 1 ? x : x / inputDivisors[i] }

  /// Latents as they are before step i for a picture `x0`, both of any one shape; `noise` is standard normal.
  public func addNoise(_ x0: Tensor, _ noise: Tensor, at i: Int) -> Tensor { signalScales[i] * x0 + noiseScales[i] * noise }

  /// The latents with which a run from pure noise starts.
  public func initialLatents(_ noise: Tensor) -> Tensor { initialNoiseSigma * noise }
}

extension SamplingPlan {
  /// For samplers on x = sqrt(abar) x0 + sqrt(1 - abar) eps (DDPM, DDIM, PNDM, LCM).
  ///
  /// Throws `InputError` when a timestep lies outside of the training's.
  init(steps: Int, timesteps: [Int], _ schedule: NoiseSchedule) throws {
    for t in timesteps where !schedule.alphasCumprod.indices.contains(t) {
      throw InputError(
        .usage,
        "\(steps) steps with steps_offset \(schedule.stepsOffset) reach timestep \(t), the model knows 0 to \(schedule.trainSteps - 1)",
        hint: "take fewer steps or another spacing")
    }
    let abar = timesteps.map { schedule.alphasCumprod[$0] }
    self.init(
      steps: steps, timesteps: timesteps.map(Double.init), signalScales: abar.map { $0.squareRoot() },
      noiseScales: abar.map { (1 - $0).squareRoot() }, inputDivisors: abar.map { _ in 1 }, initialNoiseSigma: 1, order: 1)
  }

  /// For samplers on x = x0 + sigma eps (Euler, LMS, Heun); `sigmas` may have a last one more, where the run ends.
  init(steps: Int, timesteps: [Double], sigmas: [Float], spacing: TimestepSpacing?, order: Int = 1) {
    let high = sigmas.max() ?? 0
    let levels = Array(sigmas.prefix(timesteps.count))
    self.init(
      steps: steps, timesteps: timesteps, signalScales: levels.map { _ in 1 }, noiseScales: levels,
      inputDivisors: levels.map { ($0 * $0 + 1).squareRoot() },
      // The leading spacing does not start at pure noise, so the start has a share of signal as well.
      initialNoiseSigma: spacing == .leading ? (high * high + 1).squareRoot() : high, order: order)
  }

  /// For samplers on x = alpha x0 + sigma eps whose steps are counted in sigma / alpha (DPM-Solver, UniPC).
  init(timesteps: [Int], levels: [NoiseLevel], steps: Int) {
    self.init(
      steps: steps, timesteps: timesteps.map(Double.init), signalScales: timesteps.indices.map { levels[$0].alpha },
      noiseScales: timesteps.indices.map { levels[$0].sigma }, inputDivisors: timesteps.map { _ in 1 }, initialNoiseSigma: 1, order: 1)
  }
}
