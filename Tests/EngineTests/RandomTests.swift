import Foundation
import TestSupport
import Testing

@testable import Engine

/// Random numbers are torch's: goldens from torch itself on the CPU, Random123's vectors and published CUDA values for Philox.
@Suite struct RandomTests {
  struct Cases: Decodable {
    struct Case: Decodable {
      let name: String
      let seed: String
      let draws: [Draw]
    }
    struct Draw: Decodable {
      let kind: String
      let count: Int?
      let key: String
      let sum: Double?
      let kept: String?
    }
    struct Vector: Decodable {
      let counter, key, output: [UInt32]
    }
    let cases, philox: [Case]
    let philoxKnownAnswers: [Vector]
    let cudaSeed0Published: [Float]
  }
  let cases: Cases
  let tensors: [String: Golden.Values]

  init() throws {
    cases = try Golden.json("random/cases.json", as: Cases.self)
    tensors = try Golden.all("random/random.safetensors")
  }

  /// Distance in units in the last place.
  func ulps(_ a: Float, _ b: Float) -> Double { Double(abs(a - b)) / Double(b.ulp) }

  func compare(_ found: [Float], _ draw: Cases.Draw, within limit: Double) throws -> Double {
    let expected = try #require(tensors[draw.key]).floats
    let kept = draw.kept == nil ? found : Array(found.prefix(64) + found.suffix(64))
    #expect(kept.count == expected.count)
    let worst = zip(kept, expected).map(ulps).max() ?? 0
    #expect(worst <= limit, "\(draw.key): \(worst) ulp")
    if let sum = draw.sum {
      let own = found.reduce(0) { $0 + Double($1) }
      #expect(abs(own - sum) < 1e-2, "\(draw.key): sum \(own), expected \(sum)")
    }
    return worst
  }

  @Test func cpuGeneratorIsTorchs() throws {
    var worst = 0.0
    var compared = 0
    for c in cases.cases where c.draws.allSatisfy({ ["randn", "rand"].contains($0.kind) }) {
      var random = TorchRandom(seed: try #require(UInt64(c.seed)))
      for draw in c.draws {
        let n = try #require(draw.count)
        let found = draw.kind == "rand" ? random.uniform(count: n) : random.normal(count: n)
        worst = max(worst, try compare(found, draw, within: draw.kind == "rand" ? 0 : 4))
        compared += 1
      }
    }
    #expect(compared > 100)
    print("torch: \(compared) draws, largest difference \(worst) ulp")
  }

  @Test func rawBitsAreMersenneTwisters() throws {
    for (key, values) in tensors where key.hasPrefix("mt19937.") {
      let label = key.dropFirst("mt19937.".count)
      let seed = try #require(cases.cases.first { $0.name == "cpu.\(label).n1" }.flatMap { UInt64($0.seed) })
      var random = TorchRandom(seed: seed)
      #expect(values.integers.map { UInt32(truncatingIfNeeded: $0) } == values.integers.map { _ in random.bits32() }, "\(key)")
    }
  }

  @Test func eachImageHasItsOwnNoise() throws {
    let expected = try #require(tensors["list-of-generators"])
    for i in 0..<3 {
      var random: any RandomSource = TorchRandom(seed: 42 + UInt64(i))
      let noise = random.normal(nhwc: [1, 2, 3, 4])
      #expect(largestDifference(noise.nchw().array, expected.row(i)) < 1e-6)
    }
    var one = TorchRandom(seed: 42)
    #expect(largestDifference(one.normal(count: 72), try #require(tensors["one-generator"]).floats) < 1e-6)
  }

  @Test func philoxIsRandom123s() {
    for v in cases.philoxKnownAnswers {
      let out = PhiloxRandom.philox(SIMD4(v.counter), SIMD2(v.key))
      #expect(out == SIMD4(v.output))
    }
  }

  @Test func philoxIsCUDAs() throws {
    var random = PhiloxRandom(seed: 0)
    // The published numbers were computed in double precision, which keeps the low 8 bits that the GPU drops.
    for (found, expected) in zip(random.normal(count: 12), cases.cudaSeed0Published) { #expect(abs(found - expected) < 1e-6) }
    var worst = 0.0
    for c in cases.philox {
      var random = PhiloxRandom(seed: try #require(UInt64(c.seed)))
      for draw in c.draws { worst = max(worst, try compare(random.normal(count: try #require(draw.count)), draw, within: 4)) }
    }
    print("philox: largest difference \(worst) ulp")
  }
}
