import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

/// Distances between sets of features, beside scipy's and torch-fidelity's.
@Suite struct MetricTests {
  private struct Expected: Decodable {
    struct Pair: Decodable {
      let real: String
      let fake: String
      let value: Double
    }
    struct Score: Decodable {
      let parts: Int
      let mean: Double
      let deviation: Double
    }
    let fid: [Pair]
    let kid: [Pair]
    struct Shares: Decodable {
      let real: String
      let fake: String
      let k: Int
      let precision: Double
      let recall: Double
    }
    let `is`: [Score]
    let precision_recall: [Shares]
  }

  private static func points(_ name: String) throws -> Points {
    let array = try Npy.read(Golden.folder.appendingPathComponent("metrics/\(name).npy"))
    return try Points(array.float32(), count: array.shape[0], dimension: array.shape[1])
  }

  private static func close(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-6 * max(abs(b), 1e-3) }

  @Test func asScipyAndTorchFidelity() throws {
    let expected = try Golden.json("metrics/metrics.json", as: Expected.self)
    #expect(expected.fid.count == 4 && expected.kid.count == 4 && expected.is.count == 2)
    for pair in expected.fid {
      let value = try FrechetDistance.between(Self.points(pair.real), Self.points(pair.fake)).value
      #expect(Self.close(value, pair.value), "fid \(pair.real) \(pair.fake): \(value), expected \(pair.value)")
    }
    for pair in expected.kid {
      let value = try KernelDistance.between(Self.points(pair.real), Self.points(pair.fake)).value
      #expect(Self.close(value, pair.value), "kid \(pair.real) \(pair.fake): \(value), expected \(pair.value)")
    }
    let logits = try Self.points("logits")
    for score in expected.is {
      let found = try InceptionScore.of(logits, as: .logits, parts: score.parts)
      #expect(Self.close(found.estimate.value, score.mean) && abs(found.deviation - score.deviation) < 1e-6)
    }
    // Wrong sets are told apart by far.
    #expect(try !Self.close(FrechetDistance.between(Self.points("a"), Self.points("c")).value, expected.fid[0].value))
  }

  @Test func precisionAndRecall() throws {
    let expected = try Golden.json("metrics/metrics.json", as: Expected.self).precision_recall
    #expect(expected.count == 5)
    for e in expected {
      let score = try PrecisionRecall.between(Self.points(e.real), Self.points(e.fake), neighbours: e.k)
      #expect(abs(score.precision.value - e.precision) < 1e-9 && abs(score.recall.value - e.recall) < 1e-9, "\(e)")
    }
    // Four copies of a picture have balls without extent: each other copy lies in them.
    let copies = try Points(Array(repeating: [0.1, 0.7, 0.3], count: 4))
    let same = try PrecisionRecall.between(copies, copies, neighbours: 3)
    #expect(same.precision.value == 1 && same.recall.value == 1)
    let score = try PrecisionRecall.between(Self.points("a"), Self.points("b"), replicates: 100, seed: 1)
    let interval = try #require(score.recall.interval)
    // About the deviation of a share of 120: 0.042.
    #expect(interval.contains(score.recall.value) && (0.1...0.25).contains(interval.upperBound - interval.lowerBound))
    #expect(throws: InputError.self) { try PrecisionRecall.between(copies, Self.points("a")) }
    #expect(throws: InputError.self) { try PrecisionRecall.between(copies, copies, neighbours: 4) }
  }

  @Test func clipScore() throws {
    let pictures = Tensor([1, 0, 0, 1, 0.6, 0.8], [3, 2])
    let prompts = Tensor([1, 0, 0, -1, 0.8, 0.6], [3, 2])
    let (pairs, mean) = CLIPScore.of(pictures, prompts, replicates: 50, seed: 2)
    #expect(zip(pairs, [100, 0, 96]).allSatisfy { abs($0 - $1) < 1e-4 } && abs(mean.value - 196.0 / 3) < 1e-4 && mean.interval != nil)
  }

  @Test func probabilitiesAndLogitsAgree() throws {
    let logits = try Self.points("logits")
    let rows = (0..<logits.count).map { i -> [Float] in
      let e = logits[i].map { exp(Double($0)) }
      let sum = e.reduce(0, +)
      return e.map { Float($0 / sum) }
    }
    let a = try InceptionScore.of(logits, as: .logits, parts: 1).estimate.value
    #expect(abs(try InceptionScore.of(Points(rows), as: .probabilities, parts: 1).estimate.value - a) < 1e-5)
    // Sure of a class each, all classes alike: as many as there are classes. Never sure: 1.
    let sure = (0..<40).map { i in (0..<4).map { Float($0 == i % 4 ? 1 : 0) } }
    #expect(abs(try InceptionScore.of(Points(sure), as: .probabilities, parts: 1).estimate.value - 4) < 1e-9)
    let same = (0..<40).map { _ in [Float](repeating: 0.25, count: 4) }
    #expect(abs(try InceptionScore.of(Points(same), as: .probabilities, parts: 1).estimate.value - 1) < 1e-9)
    #expect(throws: InputError.self) { try InceptionScore.of(logits, as: .probabilities, parts: 1) }
    #expect(throws: InputError.self) { try InceptionScore.of(logits, as: .logits, parts: 104) }
  }

  /// Independent normal features: the distance of the distributions is known.
  private static func normal(_ n: Int, _ shift: Double, _ spread: Double, seed: UInt64) throws -> Points {
    var random = TorchRandom(seed: seed)
    return try Points(random.normal(count: n * 8).map { Float(shift + spread * Double($0)) }, count: n, dimension: 8)
  }

  @Test func plantedDistance() throws {
    let a = try Self.normal(4000, 0, 1, seed: 1)
    // Eight coordinates, each moved by 0.5 and widened by 2: 8 * (0.25 + (2 - 1)^2).
    let b = try Self.normal(4000, 0.5, 2, seed: 2)
    let estimate = try FrechetDistance.between(a, b, replicates: 60)
    #expect(abs(estimate.value - 10) < 0.5, "\(estimate.value)")
    #expect(try #require(estimate.interval).contains(10), "\(estimate)")
    // Two samples of one distribution: the unbiased distance has 0 in its interval.
    let twin = try Self.normal(3000, 0, 1, seed: 3)
    let same = try KernelDistance.between(a, twin, replicates: 60)
    #expect(try #require(same.interval).contains(0), "\(same)")
    let moved = try Self.normal(1000, 0.3, 1, seed: 4)
    let apart = try KernelDistance.between(a, moved, replicates: 60)
    #expect(try #require(apart.interval).lowerBound > 0, "\(apart)")
  }

  /// Over many draws, 95 % intervals hold the truth in about 95 %.
  @Test func intervalsCover() throws {
    // The kernel distance of N(0, 1) and N(1, 1) in eight coordinates is the mean of its unbiased estimates.
    var draws: [MetricEstimate] = []
    for i in 0..<60 {
      let seed = UInt64(100 + 2 * i)
      let a = try Self.normal(120, 0, 1, seed: seed)
      let b = try Self.normal(120, 1, 1, seed: seed + 1)
      draws.append(try KernelDistance.between(a, b, replicates: 100))
    }
    let truth = draws.reduce(0) { $0 + $1.value } / 60
    let holds = draws.filter { $0.interval?.contains(truth) == true }.count
    #expect((49...60).contains(holds), "\(holds) of 60")
  }

  @Test func resamplingIsReproducible() throws {
    let (a, b) = (try Self.points("a"), try Self.points("b"))
    let first = try FrechetDistance.between(a, b, replicates: 20, seed: 3)
    #expect(try FrechetDistance.between(a, b, replicates: 20, seed: 3) == first)
    #expect(try FrechetDistance.between(a, b, replicates: 20, seed: 4) != first)
    #expect(try FrechetDistance.between(a, b).interval == nil)
    let weights = Bootstrap.weights(500, replicate: 3, seed: 9)
    #expect(weights.reduce(0, +) == 500 && weights.filter { $0 == 0 }.count > 120 && weights.max() ?? 0 < 10)
    #expect(throws: InputError.self) { try FrechetDistance.between(a, Points([[1, 2], [3, 4]])) }
    #expect(throws: InputError.self) { try KernelDistance.between(Points([[1, 2]]), Points([[1, 2], [3, 4]])) }
  }
}
