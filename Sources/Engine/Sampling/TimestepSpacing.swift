/// Which of the T training timesteps a run of n steps visits. Source: Lin et al., WACV 2024 (arXiv 2305.08891), table 2.
public enum TimestepSpacing: String, Sendable, CaseIterable {
  /// Multiples of T / n (rounded down), plus the offset.
  case leading
  /// Evenly from 0 to T - 1.
  case linspace
  /// Evenly down from T - 1.
  case trailing

  /// n timesteps, falling, whole numbers: the spacing of DDPM, DDIM and PNDM.
  func whole(_ n: Int, of total: Int, offset: Int) -> [Int] {
    switch self {
    case .leading: (0..<n).reversed().map { $0 * (total / n) + offset }
    case .linspace: evenly(from: 0, to: Double(total - 1), n).reversed().map(nearest)
    case .trailing: Self.trailing(n, from: total, of: total)
    }
  }

  /// n timesteps, falling, fractional (in single precision) for linspace: the spacing of k-diffusion's samplers.
  func fractional(_ n: Int, of total: Int, offset: Int) -> [Double] {
    switch self {
    case .linspace: evenly(from: 0, to: Double(total - 1), n).reversed().map { Double(Float($0)) }
    case .leading, .trailing: whole(n, of: total, offset: offset).map(Double.init)
    }
  }

  /// At most n timesteps below `last`, falling, whole numbers, as n + 1 timesteps less the lowest: the spacing of DPM-Solver and UniPC,
  /// which step on to sigma = 0 by themselves.
  func solver(_ n: Int, upTo last: Int, of total: Int, offset: Int) -> [Int] {
    switch self {
    case .leading: (0...n).reversed().dropLast().map { $0 * (last / (n + 1)) + offset }
    case .linspace: evenly(from: 0, to: Double(last - 1), n + 1).reversed().dropLast().map(nearest)
    case .trailing: Self.trailing(n, from: last, of: total)
    }
  }

  /// round(last - i T / n) - 1. For some n (61 is the first) rounding gives diffusers one timestep more, -1, which no model knows; not
  /// here.
  private static func trailing(_ n: Int, from last: Int, of total: Int) -> [Int] {
    let top = Double(last)
    let step = (top - Double(total) / Double(n)) - top
    return (0..<n).map { nearest(top + Double($0) * step) - 1 }.filter { $0 >= 0 }
  }
}

/// Halves to even, as numpy rounds.
private func nearest(_ x: Double) -> Int { Int(x.rounded(.toNearestOrEven)) }

/// `np.linspace(a, b, n)`.
func evenly(from a: Double, to b: Double, _ n: Int) -> [Double] {
  if n < 2 { return n == 1 ? [a] : [] }
  let step = (b - a) / Double(n - 1)
  return (0..<n).map { $0 == n - 1 ? b : Double($0) * step + a }
}

/// `torch.linspace(a, b, n)` in Float32: from both ends to the middle, with fused multiply-add.
func linspace(_ a: Float, _ b: Float, _ n: Int) -> [Float] {
  if n < 2 { return n == 1 ? [a] : [] }
  let step = (b - a) / Float(n - 1)
  return (0..<n).map { $0 < n / 2 ? a.addingProduct(step, Float($0)) : b.addingProduct(-step, Float(n - 1 - $0)) }
}

/// `np.interp(x, 0..<n, values)`: linear between whole positions, constant outside.
func interpolate(_ x: Double, _ values: [Float]) -> Double {
  let last = values.count - 1
  if x >= Double(last) { return Double(values[last]) }
  if x <= 0 { return Double(values[0]) }
  let i = Int(x)
  let (a, b) = (Double(values[i]), Double(values[i + 1]))
  return (b - a) * (x - Double(i)) + a
}
