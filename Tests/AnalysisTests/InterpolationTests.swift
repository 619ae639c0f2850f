import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

@Suite struct InterpolationTests {
  struct Cases: Decodable {
    struct Pair: Decodable, Sendable {
      var name: String
      var width: Int
      var height: Int
      var distance: Double
    }
    var pictures: [Pair]
  }
  static let places = [0, 0.25, 0.5, 0.9, 1]

  @Test(arguments: ["independent", "close", "opposite", "related"]) func blendsAsNumpy(_ name: String) throws {
    let golden = try Golden("studies/studies.safetensors")
    let (a, b) = (try golden.tensor("\(name):a"), try golden.tensor("\(name):b"))
    for (i, t) in Self.places.enumerated() {
      #expect(relativeError(try Blending.slerp.embedding(a, b, t), try golden.tensor("\(name):slerp.\(i)")) < 1e-6)
      #expect(relativeError(try Blending.slerp.noise(a, b, t), try golden.tensor("\(name):slerp.\(i)")) < 1e-6)
      #expect(relativeError(try Blending.lerp.embedding(a, b, t), try golden.tensor("\(name):lerp.\(i)")) < 1e-6)
      #expect(relativeError(try Blending.lerp.noise(a, b, t), try golden.tensor("\(name):noise.\(i)")) < 1e-6)
      // Latents of pictures are not brought back to unit variance.
      #expect(relativeError(try Blending.slerp.latents(a, b, t), try golden.tensor("\(name):slerp.\(i)")) < 1e-6)
      #expect(relativeError(try Blending.lerp.latents(a, b, t), try golden.tensor("\(name):lerp.\(i)")) < 1e-6)
    }
    // Line and circle must not be mistaken for each other where they differ.
    if name == "independent" {
      #expect(relativeError(try Blending.lerp.embedding(a, b, 0.5), try golden.tensor("independent:slerp.2")) > 0.1)
    }
  }

  /// Both ways between draws of noise stay noise; the plain line does not.
  @Test func noiseKeepsItsScale() throws {
    var random = TorchRandom(seed: 1)
    let (a, b) = (random.normal(nhwc: [1, 64, 64, 4]), random.normal(nhwc: [1, 64, 64, 4]))
    func deviation(_ x: Tensor) -> Double { (x.array.reduce(0) { $0 + Double($1 * $1) } / Double(x.count)).squareRoot() }
    for t in [0.1, 0.5, 0.7] {
      for way in Blending.allCases { #expect(abs(deviation(try way.noise(a, b, t)) - 1) < 0.02) }
    }
    #expect(deviation(try Blending.lerp.embedding(a, b, 0.5)) < 0.75)
    // From a draw to itself nothing changes.
    #expect(relativeError(try Blending.lerp.noise(a, a, 0.5), a) < 1e-6)
    #expect(throws: InputError.self) { try Blending.lerp.noise(a, .zeros([1, 2, 2, 4]), 0.5) }
    #expect(throws: InputError.self) { try Blending.slerp.embedding(.zeros([1, 32, 8]), .zeros([1, 64, 8]), 0.5) }
  }

  @Test func picturesDifferAsInNumpy() throws {
    let golden = try Golden("studies/studies.safetensors")
    let pairs = try Golden.json("studies/cases.json", as: Cases.self).pictures
    #expect(pairs.count == 4)
    for pair in pairs {
      let a = Picture(width: pair.width, height: pair.height, pixels: try golden.bytes("\(pair.name):a"))
      let b = Picture(width: pair.width, height: pair.height, pixels: try golden.bytes("\(pair.name):b"))
      #expect(abs(try PictureDistance.between(a, b) - pair.distance) < 1e-9 * pair.distance, "\(pair.name)")
      #expect(try PictureDistance.between(b, a) == PictureDistance.between(a, b))
      #expect(try PictureDistance.between(a, a) == 0)
    }
  }

  /// A way through stations: each is met exactly, and a place between two belongs to the leg that it lies on.
  @Test func aCourseMeetsItsStations() {
    let course = Course(stations: 4)
    #expect(course.places == [0, 1.0 / 3, 2.0 / 3, 1])
    for (i, t) in course.places.enumerated() { #expect(course.place(t) == (i, 0)) }
    for frames in [4, 7, 10, 31, 100] {
      let hits = (0..<frames).map { course.place(Double($0) / Double(frames - 1)) }.filter { $0.gone == 0 }.map(\.station)
      #expect(hits == [0, 1, 2, 3], "\(frames)")
      #expect(course.isHit(byFrames: frames))
    }
    let (station, gone) = course.place(0.5)
    #expect(station == 1 && abs(gone - 0.5) < 1e-12)
    #expect(course.place(0.99).station == 2 && course.place(2) == (3, 0) && course.place(-1) == (0, 0))
    #expect(!course.isHit(byFrames: 9) && course.frames(atLeast: 9) == 10 && course.frames(atLeast: 10) == 10)
    let alone = Course(stations: 1)
    #expect(alone.place(0.7) == (0, 0) && alone.isHit(byFrames: 5) && alone.frames(atLeast: 9) == 9 && alone.places == [0])
  }

  @Test func blackAndWhiteAreAHundredApart() throws {
    let black = Picture(width: 64, height: 48, colour: (0, 0, 0))
    let white = Picture(width: 64, height: 48, colour: (255, 255, 255))
    #expect(abs(try PictureDistance.between(black, white) - 100) < 1e-2)
    #expect(throws: InputError.self) { try PictureDistance.between(black, Picture(width: 8, height: 8, colour: (0, 0, 0))) }
  }

  /// A change of composition counts for more than the same number of changed pixels strewn about.
  @Test func coarseChangesCountMore() throws {
    var (block, strewn) = ([UInt8](repeating: 0, count: 64 * 64 * 3), [UInt8](repeating: 0, count: 64 * 64 * 3))
    for i in 0..<64 * 64 {
      let (x, y) = (i % 64, i / 64)
      for c in 0..<3 {
        if x < 32, y < 32 { block[3 * i + c] = 255 }
        if x % 2 == 0, y % 2 == 0 { strewn[3 * i + c] = 255 }
      }
    }
    let black = Picture(width: 64, height: 64, colour: (0, 0, 0))
    let near = try PictureDistance.between(black, Picture(width: 64, height: 64, pixels: strewn))
    let far = try PictureDistance.between(black, Picture(width: 64, height: 64, pixels: block))
    #expect(far > 1.2 * near)
  }
}

@Suite struct AdaptiveSpacingTests {
  private func space(_ count: Int, budget: Int = 200, tolerance: Double = 0.1, _ path: @escaping (Double) -> [Double]) throws
    -> AdaptiveSpacing<[Double]>
  {
    func distance(_ a: [Double], _ b: [Double]) -> Double {
      var sum = 0.0
      for (x, y) in zip(a, b) { sum += (x - y) * (x - y) }
      return sum.squareRoot()
    }
    return try AdaptiveSpacing(count: count, tolerance: tolerance, budget: budget, frames: { $0.map(path) }, distance: distance)
  }

  @Test func aStraightPathStaysAsItIs() throws {
    let spacing = try space(5) { [$0] }
    #expect(spacing.positions == [0, 0.25, 0.5, 0.75, 1] && spacing.made == 5 && spacing.isEven)
    #expect(spacing.distances.allSatisfy { abs($0 - 0.25) < 1e-12 })
  }

  /// A steep step at 0.62: evenly spaced frames would have one neighbouring pair with nearly the whole way between them.
  @Test func framesGatherAroundAJump() throws {
    let spacing = try space(9) { [1 / (1 + exp(-($0 - 0.62) * 80))] }
    #expect(spacing.isEven, "\(spacing.distances)")
    let mean = spacing.distances.reduce(0, +) / 8
    #expect(spacing.distances.allSatisfy { abs($0 - mean) <= 0.1 * mean })
    #expect(spacing.positions.first == 0 && spacing.positions.last == 1 && spacing.positions == spacing.positions.sorted())
    #expect(spacing.positions.dropFirst().dropLast().allSatisfy { abs($0 - 0.62) < 0.05 }, "\(spacing.positions)")
    #expect(spacing.made <= 200)
    // The curve says where the jump is: half of the way is travelled there.
    let total = spacing.curve.last?.travelled ?? 0
    #expect(zip(spacing.curve, spacing.curve.dropFirst()).allSatisfy { $0.travelled <= $1.travelled })
    let half = try #require(spacing.curve.first { $0.travelled >= total / 2 }).position
    #expect(abs(half - 0.62) < 0.02)
  }

  /// Distances that do not add up: a path around a circle, at a speed that changes; and one with two jumps.
  @Test func bentPathsAndTwoJumps() throws {
    let circle = try space(7) { t in
      let w = 5 * t * t * t
      return [cos(w), sin(w)]
    }
    #expect(circle.isEven, "\(circle.distances)")
    let two = try space(11, budget: 300) { t in [tanh((t - 0.2) * 60), tanh((t - 0.8) * 60)] }
    #expect(two.isEven, "\(two.distances)")
    #expect(two.positions.count { abs($0 - 0.2) < 0.1 } >= 3 && two.positions.count { abs($0 - 0.8) < 0.1 } >= 3)
  }

  /// Nothing can divide a real jump: it says so instead of making frames for ever.
  @Test func aRealJumpIsReported() throws {
    let spacing = try space(5, budget: 60) { $0 < 0.371 ? [0] : [1] }
    #expect(!spacing.isEven && spacing.made <= 60)
    #expect(spacing.distances.count == 4 && spacing.distances.max() == 1)
    let edge = zip(spacing.curve, spacing.curve.dropFirst()).first { $1.travelled > 0.5 }
    let (before, after) = try #require(edge)
    #expect(before.position < 0.371 && after.position >= 0.371 && after.position - before.position < 0.02)
  }

  @Test func nothingHappensOnAStandingPath() throws {
    let spacing = try space(4) { _ in [1] }
    #expect(spacing.isEven && spacing.positions.count == 4 && spacing.unevenness == 1)
    #expect(throws: InputError.self) { try space(1) { [$0] } }
    #expect(throws: InputError.self) { try space(3) { [$0 == 1 ? .nan : $0] } }
  }

  /// The budget is kept, and the best of what was tried is returned.
  @Test func theBudgetIsKept() throws {
    var made = 0
    let spacing = try AdaptiveSpacing(count: 9, budget: 20) { (ts: [Double]) in
      made += ts.count
      return ts.map { tanh(($0 - 0.4) * 300) }
    } distance: {
      abs($0 - $1)
    }
    #expect(made == spacing.made && made <= 20)
    #expect(spacing.unevenness < 8)
  }
}
