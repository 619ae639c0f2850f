import Foundation

/// `torch.Generator` on a CPU: MT19937 with PyTorch's recipes for floats.
///
/// Raw numbers and uniform values are equal to PyTorch's bit by bit, normal values to a few units in the last place (PyTorch's vectorised
/// logarithm and sine round differently).
/// Source: aten/src/ATen/native/cpu/DistributionTemplates.h, aten/src/ATen/core/{MT19937RNGEngine,DistributionsHelper,TransformationHelper}.h.
public struct TorchRandom: RandomSource {
  private var state: [UInt32]
  private var next = 624
  /// The second value of the last Box-Muller pair, kept for the next call for fewer than 16 values.
  private var spare: Double?

  /// As `manual_seed(seed)`; like PyTorch's, the engine uses the low 32 bits.
  public init(seed: UInt64) {
    state = [UInt32(truncatingIfNeeded: seed)]
    state.reserveCapacity(624)
    for i in 1..<624 {
      let previous = state[i - 1]
      state.append(1_812_433_253 &* (previous ^ (previous >> 30)) &+ UInt32(i))
    }
  }

  /// The next 32 random bits of MT19937 (Matsumoto and Nishimura, 1998).
  public mutating func bits32() -> UInt32 {
    if next == 624 { twist() }
    var y = state[next]
    next += 1
    y ^= y >> 11
    y ^= (y << 7) & 0x9d2c_5680
    y ^= (y << 15) & 0xefc6_0000
    return y ^ (y >> 18)
  }

  /// Two draws, the first in the high half.
  private mutating func bits64() -> UInt64 {
    let high = UInt64(bits32())
    return high << 32 | UInt64(bits32())
  }

  private mutating func twist() {
    for i in 0..<624 {
      let y = (state[i] & 0x8000_0000) | (state[(i + 1) % 624] & 0x7fff_ffff)
      state[i] = state[(i + 397) % 624] ^ (y >> 1) ^ (y & 1 == 0 ? 0 : 0x9908_b0df)
    }
    next = 0
  }

  /// `torch.rand(count)`: multiples of 2^-24 in [0, 1).
  public mutating func uniform(count: Int) -> [Float] {
    (0..<count).map { _ in uniform24() }
  }

  private mutating func uniform24() -> Float { Float(bits32() & 0xff_ffff) * 0x1p-24 }
  private mutating func uniform53() -> Double { Double(bits64() & 0x1f_ffff_ffff_ffff) * 0x1p-53 }

  /// `torch.randn(count)`.
  public mutating func normal(count: Int) -> [Float] {
    if count < 16 { return (0..<count).map { _ in Float(normal64()) } }
    var values = uniform(count: count)
    for start in stride(from: 0, through: count - 16, by: 16) { Self.boxMuller(&values, start) }
    if count % 16 != 0 {
      // The last 16 values are drawn again, over what the last whole block wrote.
      for i in count - 16..<count { values[i] = uniform24() }
      Self.boxMuller(&values, count - 16)
    }
    return values
  }

  /// Box and Muller's transform in double precision, one value a call, two for each pair of uniform ones.
  private mutating func normal64() -> Double {
    if let value = spare {
      spare = nil
      return value
    }
    let u1 = uniform53()
    let u2 = uniform53()
    let radius = (-2 * log1p(-u2)).squareRoot()
    let angle = 2 * Double.pi * u1
    spare = radius * sin(angle)
    return radius * cos(angle)
  }

  /// Rounded to nearest, as PyTorch's; `Float.pi` is rounded towards zero.
  private static let twoPi = Float(2 * Double.pi)

  /// 16 uniform values become 16 normal ones: `j` gives the radius of the pair (j, j + 8), `j + 8` its angle.
  private static func boxMuller(_ values: inout [Float], _ start: Int) {
    for j in start..<start + 8 {
      let radius = (-2 * log(1 - values[j])).squareRoot()
      let angle = twoPi * values[j + 8]
      values[j] = radius * cos(angle)
      values[j + 8] = radius * sin(angle)
    }
  }
}
