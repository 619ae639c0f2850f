/// DPM-Solver and DPM-Solver++ in groups of one to three evaluations: each group starts anew from the latents of its first one (2S, 3S).
/// Source: Lu et al., NeurIPS 2022 and arXiv 2211.01095; diffusers' DPMSolverSinglestepScheduler.
///
/// n is the number of evaluations, so 2S with n = 20 does ten second-order groups (less the last, which is of first order).
struct DPMSolverSinglestep: Sampler {
  let plan: SamplingPlan
  let solver: DPMSolver
  /// The place of each evaluation in its group, 1 to 3.
  let orders: [Int]
  var schedule: NoiseSchedule { solver.schedule }

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    solver = try DPMSolver(config, steps: steps, options: options, algorithm: nil, singlestep: true)
    let lowerOrderFinal = try config.bool("lower_order_final", false) || steps % solver.order != 0 || solver.final == .zero
    orders = Self.orders(steps, solver.order, lowerOrderFinal: lowerOrderFinal, endsAtZero: solver.final == .zero)
    plan = solver.plan(steps)
  }

  private static func orders(_ steps: Int, _ order: Int, lowerOrderFinal: Bool, endsAtZero: Bool) -> [Int] {
    // Whole groups, then what is left; a whole last group is broken up for the sake of a first-order end.
    var orders = (0..<steps).map { $0 % order + 1 }
    if lowerOrderFinal && steps % order == 0 || endsAtZero { orders[steps - 1] = 1 }
    return orders
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let (m0, x0) = solver.convert(try denoise(x, plan.timesteps[i]), x, at: i)
    state.remember(m0, limit: solver.order)
    let z = solver.algorithm.drawsNoise ? try noise() : nil
    // Image to image may start in the middle of a group: then the first evaluations are of the order that the history allows.
    let order = min(orders[i], state.history.count)
    if order == 1 { state.anchor = x }
    let start = state.anchor ?? x

    let l = solver.levels
    let t = l[i + 1]
    let m = Array(state.history.reversed())
    let next: Tensor
    switch order {
    case 1: next = solver.update(start, from: l[i], to: t, m0, midpoint: true, noise: z)
    case 2:
      let s = l[i - 1]
      let r0 = (l[i].lambda - s.lambda) / (t.lambda - s.lambda)
      next = solver.update(start, from: s, to: t, m[1], (1 / r0) * (m0 - m[1]), midpoint: !solver.heun, noise: z)
    default:
      let s = l[i - 2]
      let h = t.lambda - s.lambda
      let r0 = (l[i].lambda - s.lambda) / h
      let r1 = (l[i - 1].lambda - s.lambda) / h
      let a = (1 / r1) * (m[1] - m[2])
      let b = (1 / r0) * (m0 - m[2])
      if solver.heun {
        let d1 = (r0 * a - r1 * b) / (r0 - r1)
        let d2 = (2.0 * (b - a)) / (r0 - r1)
        next = solver.update(start, from: s, to: t, m[2], d1, d2, midpoint: false, noise: z)
      } else {
        next = solver.update(start, from: s, to: t, m[2], b, midpoint: false, noise: z)
      }
    }
    return SamplerStep(sample: next, predictedOriginal: x0)
  }
}
