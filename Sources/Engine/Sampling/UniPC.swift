import Foundation

/// A predictor (UniP) and a corrector (UniC) of the same family, the corrector with the output that the next step needs anyway. Source:
/// Zhao et al., NeurIPS 2023 (arXiv 2302.04867), algorithms 5 to 8 with B(h); diffusers' UniPCMultistepScheduler.
///
///     x_t = sigma_t / sigma_s x - alpha_t (e^-h - 1) m_0 - alpha_t B(h) sum_k rho_k D_k,   D_k = (m_k - m_0) / r_k
///
/// with h = lambda_t - lambda_s, r_k = (lambda_k - lambda_s) / h, and rho from R rho = b, R_ik = r_k^(i-1), b_i = i! phi_i(h) / B(h).
struct UniPC: Sampler {
  /// B(h).
  enum Kind: String, CaseIterable {
    /// h.
    case bh1
    /// e^h - 1.
    case bh2
    // Names of other solvers' kinds, for which diffusers takes bh2.
    case midpoint
    case heun
    case logrho
  }
  let plan: SamplingPlan
  let schedule: NoiseSchedule
  let levels: [NoiseLevel]
  let order: Int
  let kind: Kind
  let predictsOriginal: Bool
  let lowerOrderFinal: Bool
  /// Steps after which the corrector is left out.
  let disableCorrector: [Int]
  let clip: Clipping

  init(_ config: ConfigReader, steps: Int, options: SamplerOptions) throws {
    schedule = try NoiseSchedule(config, .init(spacing: .linspace, zeroSNR: .lifted, usesSigmas: true), options)
    order = try config.int("solver_order", 2, in: 1...8)
    kind = try config.choice("solver_type", Kind.bh2) == .bh1 ? .bh1 : .bh2
    predictsOriginal = try config.bool("predict_x0", true)
    lowerOrderFinal = try config.bool("lower_order_final", true)
    disableCorrector = try config.ints("disable_corrector", [], in: 0...1_000_000)
    clip = try Clipping(config, clips: nil, thresholds: predictsOriginal)
    try config.refuse(unless: !config.has("solver_p"), "solver_p", "null")
    let low = config.has("sigma_min") ? try config.double("sigma_min", 0) : nil
    let high = config.has("sigma_max") ? try config.double("sigma_max", 0) : nil
    try config.refuse(unless: low.map { $0 > 0 } ?? true, "sigma_min", "a number above 0")
    try config.refuse(unless: high.map { $0 > 0 } ?? true, "sigma_max", "a number above 0")

    let table = schedule.sigmas
    let total = schedule.trainSteps
    let curve = try SigmaCurve(config, options)
    var timesteps = (schedule.spacing ?? .linspace).solver(steps, upTo: total, of: total, offset: schedule.stepsOffset)
    var ratios = timesteps.map { interpolate(Double($0), table) }
    var last = Double(table[0])
    switch curve {
    case .timesteps: break
    case .karras, .exponential, .lu:
      ratios = curve.sigmas(steps, from: high ?? Double(table[total - 1]), to: low ?? Double(table[0]))
      last = ratios[steps - 1]
      var rounds = true
      if case .exponential = curve { rounds = false }
      let logs = table.map { log($0) }
      let fractional = ratios.map { NoiseSchedule.timestep(sigma: $0, logSigmas: logs) }
      timesteps = fractional.map { Int(rounds ? $0.rounded(.toNearestOrEven) : $0) }
    }
    let endsAtZero = try config.choice("final_sigmas_type", FinalSigma.zero) == .zero
    // At sigma = 0 lambda is infinite: only a first-order step on x0 stays finite.
    try config.refuse(unless: predictsOriginal || !endsAtZero, "predict_x0", "true, or final_sigmas_type sigma_min")
    try config.refuse(unless: lowerOrderFinal || !endsAtZero || order == 1, "lower_order_final", "true, or final_sigmas_type sigma_min")
    try NoiseSchedule.requireFalling(ratios.map(Float.init), steps: steps)
    ratios.append(endsAtZero ? 0 : last)
    levels = ratios.map { NoiseLevel(ratio: Float($0)) }
    plan = SamplingPlan(timesteps: timesteps, levels: levels, steps: steps)
  }

  func step(
    _ i: Int, _ x: Tensor, state: inout SamplerState, denoise: (Tensor, Double) throws -> Tensor, noise: () throws -> Tensor
  ) rethrows -> SamplerStep {
    let output = try denoise(x, plan.timesteps[i])
    let (alpha, sigma) = (levels[i].alpha, levels[i].sigma)
    let x0 = clip(schedule.prediction.original(output, x, alpha: alpha, sigma: sigma))
    let m = predictsOriginal ? x0 : schedule.prediction.noise(output, x, alpha: alpha, sigma: sigma)

    var corrected = x
    if i > 0, let before = state.anchor, !disableCorrector.contains(i - 1) {
      corrected = update(before, from: i - 1, to: i, state.history, order: state.order, newest: m)
    }
    state.remember(m, limit: order)
    state.count += 1
    state.order = min(lowerOrderFinal ? min(order, plan.timesteps.count - i) : order, state.count)
    state.anchor = corrected
    let next = update(corrected, from: i, to: i + 1, state.history, order: state.order, newest: nil)
    return SamplerStep(sample: next, predictedOriginal: x0)
  }

  /// From the latents at level s to level t, with the outputs of step s (last in `history`) and before; as corrector also with that at t.
  private func update(_ x: Tensor, from s: Int, to t: Int, _ history: [Tensor], order: Int, newest: Tensor?) -> Tensor {
    let m = Array(history.reversed())
    let h = levels[t].lambda - levels[s].lambda
    let hh = predictsOriginal ? -h : h
    let growth = expm1(hh)
    let b = kind == .bh1 ? hh : growth
    let r = (1..<max(order, 1)).map { (levels[s - $0].lambda - levels[s].lambda) / h }
    var slopes = r.indices.map { (m[$0 + 1] - m[0]) / r[$0] }
    if let newest { slopes.append(newest - m[0]) }
    let rho = weights(r + [1], count: slopes.count, corrects: newest != nil, order: order, hh: hh, b: b)

    let (to, from) = (levels[t], levels[s])
    let scale = predictsOriginal ? to.sigma / from.sigma : to.alpha / from.alpha
    let w = predictsOriginal ? to.alpha : to.sigma
    var next = scale * x - (w * growth) * m[0]
    var residual: Tensor?
    for (weight, slope) in zip(rho, slopes) { residual = residual.map { $0 + weight * slope } ?? weight * slope }
    if let residual { next = next - (w * b) * residual }
    return next
  }

  /// rho, by solving R rho = b; the predictor has no slope at t and thus one equation less.
  private func weights(_ r: [Float], count: Int, corrects: Bool, order: Int, hh: Float, b: Float) -> [Float] {
    if count == 0 { return [] }
    // The authors' simplification where one slope is left.
    if corrects && order == 1 || !corrects && order == 2 { return [0.5] }
    var right: [Float] = []
    var phi = expm1(hh) / hh - 1
    var factorial: Float = 1
    for i in 1...order {
      right.append(phi * factorial / b)
      factorial *= Float(i + 1)
      phi = phi / hh - 1 / factorial
    }
    let matrix = (0..<count).map { i in (0..<count).map { pow(r[$0], Float(i)) } }
    return solve(matrix, Array(right.prefix(count)))
  }

  /// Gaussian elimination with the largest pivot.
  private func solve(_ matrix: [[Float]], _ right: [Float]) -> [Float] {
    var a = matrix
    var x = right
    let n = x.count
    for k in 0..<n {
      let pivot = (k..<n).max { abs(a[$0][k]) < abs(a[$1][k]) } ?? k
      a.swapAt(k, pivot)
      x.swapAt(k, pivot)
      for i in k + 1..<max(n, k + 1) {
        let f = a[i][k] / a[k][k]
        for j in k..<n { a[i][j] -= f * a[k][j] }
        x[i] -= f * x[k]
      }
    }
    for k in (0..<n).reversed() {
      for j in k + 1..<max(n, k + 1) { x[k] -= a[k][j] * x[j] }
      x[k] /= a[k][k]
    }
    return x
  }
}
