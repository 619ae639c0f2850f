/// Pseudo linear multistep sampling, with or without its Runge-Kutta start. Source: Liu et al., ICLR 2022, equations 9, 12 and 13;
/// without the start (`skip_prk_steps`, as Stable Diffusion has it) K. Crowson's PLMS; diffusers' PNDMScheduler.
///
///     x_s = sqrt(abar_s / abar_t) x - (abar_s - abar_t) e / (abar_t sqrt(1 - abar_s) + sqrt(abar_t (1 - abar_t) abar_s))
///
/// where e combines the model's outputs of this and up to three earlier evaluations. What an evaluation does depends on how many were made
/// in this run, also when image to image starts in the middle, as in diffusers.
struct PNDM: Sampler {
  let plan: SamplingPlan
  let schedule: NoiseSchedule
  let finalAbar: Float
  /// Timesteps of the 12 evaluations of the Runge-Kutta start; empty without it.
  let rungeKutta: [Int]

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    schedule = try NoiseSchedule(config, .init(spacing: .leading, predictions: [.epsilon, .vPrediction]), options)
    finalAbar = try config.bool("set_alpha_to_one", false) ? 1 : schedule.alphasCumprod[0]
    let spacing = schedule.spacing ?? .leading
    let t = spacing.whole(steps, of: schedule.trainSteps, offset: schedule.stepsOffset)
    if try config.bool("skip_prk_steps", false) {
      // The second timestep comes twice: a predicting and a correcting evaluation.
      rungeKutta = []
      let evaluations: [Int] = Array(t.prefix(2)) + Array(t.dropFirst())
      plan = try SamplingPlan(steps: steps, timesteps: evaluations, schedule)
    } else {
      guard steps >= 4 else {
        throw InputError(
          .usage, "\(steps) steps: pndm with its Runge-Kutta start takes 4 or more", hint: "take more steps or another sampler")
      }
      // Three Runge-Kutta steps: each asks at its start, twice at its middle and at its end, which is the next one's start.
      let half = schedule.trainSteps / steps / 2
      rungeKutta = (0..<3).flatMap { (k: Int) -> [Int] in
        let middle = t[k + 1] + half
        return [t[k], middle, middle, t[k + 1]]
      }
      plan = try SamplingPlan(steps: steps, timesteps: rungeKutta + Array(t.dropFirst(3)), schedule)
    }
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let t = Int(plan.timesteps[i])
    let output = try denoise(x, Double(t))
    let alpha = plan.signalScales[i]
    let x0 = schedule.prediction.original(output, x, alpha: alpha, sigma: plan.noiseScales[i])
    let next = state.count < rungeKutta.count ? rungeKuttaStep(t, x, output, &state) : multistep(t, x, output, &state)
    state.count += 1
    return SamplerStep(sample: next, predictedOriginal: x0)
  }

  /// Equation 13: four evaluations weighted 1, 2, 2, 1, all from the latents of the first.
  private func rungeKuttaStep(_ t: Int, _ x: Tensor, _ output: Tensor, _ state: inout SamplerState) -> Tensor {
    let phase = state.count % 4
    let start = rungeKutta[state.count / 4 * 4]
    let target = phase % 2 == 1 ? t : t - schedule.trainSteps / plan.steps / 2
    var e = output
    switch phase {
    case 0:
      state.sum = Tensor.combination((1 / 6, output))
      state.remember(output, limit: 4)
      state.anchor = x
    case 1, 2: state.sum = state.sum.map { .combination((1, $0), (1 / 3, output)) }
    default:
      e = state.sum.map { .combination((1, $0), (1 / 6, output)) } ?? output
      state.sum = nil
    }
    return transfer(state.anchor ?? x, e, from: start, to: target)
  }

  /// Equation 12 and its lower orders.
  private func multistep(_ t: Int, _ x: Tensor, _ output: Tensor, _ state: inout SamplerState) -> Tensor {
    let stride = schedule.trainSteps / plan.steps
    if state.count == 1, let first = state.history.last, let anchor = state.anchor {
      // The correcting evaluation: the first step again, with the mean of both ends. No spacing has neighbours closer than the stride, so
      // t + stride is not above the first timestep.
      return transfer(anchor, (output + first) / 2, from: t + stride, to: t)
    }
    state.remember(output, limit: 4)
    if state.count == 0 { state.anchor = x }
    let e = Array(state.history.reversed())
    let mean: Tensor =
      switch e.count {
      case 1: e[0]
      case 2: .combination((3, e[0]), (-1, e[1])) / 2
      case 3: .combination((23, e[0]), (-16, e[1]), (5, e[2])) / 12
      default: Float(1.0 / 24) * .combination((55, e[0]), (-59, e[1]), (37, e[2]), (-9, e[3]))
      }
    return transfer(x, mean, from: t, to: t - stride)
  }

  /// Equation 9, from timestep t to s.
  private func transfer(_ x: Tensor, _ output: Tensor, from t: Int, to s: Int) -> Tensor {
    let abarT = schedule.alphasCumprod[t]
    let abarS = s >= 0 ? schedule.alphasCumprod[s] : finalAbar
    let e = schedule.prediction.noise(output, x, alpha: abarT.squareRoot(), sigma: (1 - abarT).squareRoot())
    let denominator = abarT * (1 - abarS).squareRoot() + (abarT * (1 - abarT) * abarS).squareRoot()
    return (abarS / abarT).squareRoot() * x - ((abarS - abarT) * e) / denominator
  }
}
