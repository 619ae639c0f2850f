/// DPM-Solver and DPM-Solver++ with earlier outputs as slopes (2M, 3M and their stochastic kinds). Source: Lu et al., NeurIPS 2022 and
/// arXiv 2211.01095; diffusers' DPMSolverMultistepScheduler.
struct DPMSolverMultistep: Sampler {
  let plan: SamplingPlan
  let solver: DPMSolver
  let lowerOrderFinal: Bool
  let eulerAtFinal: Bool
  var schedule: NoiseSchedule { solver.schedule }

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions, algorithm: DPMAlgorithm? = nil) throws {
    solver = try DPMSolver(config, steps: steps, options: options, algorithm: algorithm, singlestep: false)
    lowerOrderFinal = try config.bool("lower_order_final", true)
    eulerAtFinal = try config.bool("euler_at_final", false)
    plan = solver.plan(steps)
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let (m0, x0) = solver.convert(try denoise(x, plan.timesteps[i]), x, at: i)
    state.remember(m0, limit: solver.order)
    let z = solver.algorithm.drawsNoise ? try noise() : nil

    let left = plan.timesteps.count - i
    let short = lowerOrderFinal && plan.timesteps.count < 15
    var order = min(solver.order, state.history.count)
    if left == 1 && (eulerAtFinal || short || solver.final == .zero) { order = 1 }
    if left == 2 && short { order = min(order, 2) }

    let l = solver.levels
    let (s, t) = (l[i], l[i + 1])
    let h = t.lambda - s.lambda
    let m = Array(state.history.reversed())
    let next: Tensor
    switch order {
    case 1: next = solver.update(x, from: s, to: t, m0, midpoint: true, noise: z)
    case 2:
      let r0 = (s.lambda - l[i - 1].lambda) / h
      let d1 = (1 / r0) * (m0 - m[1])
      next = solver.update(x, from: s, to: t, m0, d1, midpoint: !solver.heun, noise: z)
    default:
      let r0 = (s.lambda - l[i - 1].lambda) / h
      let r1 = (l[i - 1].lambda - l[i - 2].lambda) / h
      let a = (1 / r0) * (m0 - m[1])
      let b = (1 / r1) * (m[1] - m[2])
      let d1 = a + (r0 / (r0 + r1)) * (a - b)
      let d2 = (1 / (r0 + r1)) * (a - b)
      next = solver.update(x, from: s, to: t, m0, d1, d2, midpoint: false, noise: z)
    }
    return SamplerStep(sample: next, predictedOriginal: x0)
  }
}
