/// `numpy.random.default_rng`: PCG64 with the output XSL-RR, seeded through SeedSequence; numbers equal NumPy's bit by bit.
///
/// A scene's factors name its background by a seed of this generator only, so another one would draw other hills and stars. It also does well
/// for all else that needs many small independent streams: every list of numbers is a seed of its own, such as (seed, epoch, index).
/// Source: O'Neill, "PCG: A family of simple fast space-efficient statistically good algorithms", HMC-CS-2014-0905; numpy/random/bit_generator.pyx,
/// src/pcg64 and src/distributions.
struct NumPyRandom: Sendable {
  private var state: UInt128 = 0
  private let increment: UInt128
  /// The high half of the last 64 bits, kept for the next call for 32.
  private var spare: UInt32?

  private static let multiplier = UInt128(2_549_297_995_355_413_924) << 64 | 4_865_540_595_714_422_341

  /// As `default_rng([a, b, …])`.
  init(seed: UInt64...) { self.init(words: seed) }

  init(words seed: [UInt64]) {
    let words = SeedSequence(seed).words64(4)
    increment = (UInt128(words[2]) << 64 | UInt128(words[3])) << 1 | 1
    step()
    state &+= UInt128(words[0]) << 64 | UInt128(words[1])
    step()
  }

  private mutating func step() { state = state &* Self.multiplier &+ increment }

  mutating func bits64() -> UInt64 {
    step()
    let folded = UInt64(truncatingIfNeeded: state >> 64) ^ UInt64(truncatingIfNeeded: state)
    let turn = UInt64(truncatingIfNeeded: state >> 122)
    return folded >> turn | folded << ((64 &- turn) & 63)
  }

  mutating func bits32() -> UInt32 {
    if let kept = spare {
      spare = nil
      return kept
    }
    let bits = bits64()
    spare = UInt32(truncatingIfNeeded: bits >> 32)
    return UInt32(truncatingIfNeeded: bits)
  }

  /// `random()`: a multiple of 2^-53 in [0, 1).
  mutating func unit() -> Double { Double(bits64() >> 11) * 0x1p-53 }

  /// `uniform(low, high)`.
  mutating func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * unit() }

  /// `integers(count)`: uniform in `0..<count`, without bias. `count` is 1 to 2^32 - 1.
  /// Source: Lemire, "Fast random integer generation in an interval", ACM TOMACS 2019.
  mutating func below(_ count: Int) -> Int {
    precondition(count > 0 && count < 1 << 32, "a number below \(count)")
    if count == 1 { return 0 }
    let range = UInt32(count)
    var product = UInt64(bits32()) &* UInt64(range)
    if UInt32(truncatingIfNeeded: product) < range {
      let threshold = (0 &- range) % range
      while UInt32(truncatingIfNeeded: product) < threshold { product = UInt64(bits32()) &* UInt64(range) }
    }
    return Int(product >> 32)
  }

  /// One of `values`, all equally likely, as `choice(values)`.
  mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }

  /// One of `values` with the weights beside them, which sum to 1.
  mutating func pick<T>(_ values: [(T, Double)]) -> T {
    var left = unit()
    for (value, weight) in values.dropLast() {
      if left < weight { return value }
      left -= weight
    }
    return values[values.count - 1].0
  }

  mutating func isTrue(_ probability: Double) -> Bool { unit() < probability }

  /// A permutation of `0..<count` (Fisher and Yates).
  mutating func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, below(i + 1)) }
    return order
  }
}

/// NumPy's `SeedSequence`: a few integers become well-mixed words (O'Neill, "Developing a seed_seq alternative", 2015).
private struct SeedSequence {
  private var pool: [UInt32]

  init(_ entropy: [UInt64]) {
    // Every integer as its 32-bit words, the lowest first; zero has one.
    var words: [UInt32] = []
    for value in entropy {
      words.append(UInt32(truncatingIfNeeded: value))
      if value >> 32 != 0 { words.append(UInt32(truncatingIfNeeded: value >> 32)) }
    }
    var constant: UInt32 = 0x43b0_d7e5
    func hash(_ value: UInt32) -> UInt32 {
      var v = value ^ constant
      constant = constant &* 0x931e_8875
      v = v &* constant
      return v ^ (v >> 16)
    }
    func mix(_ x: UInt32, _ y: UInt32) -> UInt32 {
      let v = (0xca01_f9dd &* x) &- (0x4973_f715 &* y)
      return v ^ (v >> 16)
    }
    pool = (0..<4).map { hash($0 < words.count ? words[$0] : 0) }
    for source in 0..<4 {
      for target in 0..<4 where source != target { pool[target] = mix(pool[target], hash(pool[source])) }
    }
    for word in words.dropFirst(4) {
      for target in 0..<4 { pool[target] = mix(pool[target], hash(word)) }
    }
  }

  /// `generate_state(count, uint64)`.
  func words64(_ count: Int) -> [UInt64] {
    var constant: UInt32 = 0x8b51_f9dd
    let words = (0..<2 * count).map { i -> UInt64 in
      var v = pool[i % 4] ^ constant
      constant = constant &* 0x58f3_8ded
      v = v &* constant
      return UInt64(v ^ (v >> 16))
    }
    return (0..<count).map { words[2 * $0] | words[2 * $0 + 1] << 32 }
  }
}
