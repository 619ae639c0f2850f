import Engine

/// Frames of a path, placed so that neighbouring ones are equally far apart: against the sudden jump in the middle of an interpolation.
///
/// Equidistribution (de Boor 1973): the distances between neighbours make a monotone curve over t, the next places are where it reaches equal levels.
/// All frames that were ever made stay as knots of the curve and shape it between the chosen ones, whose own distances fix its increments; a fixed point
/// therefore has equal distances, also where distances do not add up along the path.
public struct AdaptiveSpacing<Frame> {
  /// Chosen places, rising from 0 to 1.
  public let positions: [Double]
  public let frames: [Frame]
  /// Distances between neighbouring chosen frames.
  public let distances: [Double]
  /// The distance curve over every frame that was made: place and distance travelled from the first, through all knots.
  public let curve: [(position: Double, travelled: Double)]
  /// Frames made, the first and the last included.
  public var made: Int { curve.count }
  /// True when every distance is within the tolerance of their mean. False where the path has a real jump that no placing can divide, or the budget ended.
  public let isEven: Bool

  /// Largest distance over the mean; 1 is perfectly even.
  public var unevenness: Double { Self.unevenness(distances) }

  /// - Parameters:
  ///   - count: number of frames, at least 2.
  ///   - tolerance: how much a distance may differ from the mean, relative.
  ///   - budget: frames that may be made in all; at least `count` are.
  ///   - frames: makes the frames at places in 0...1, in that order.
  ///   - distance: 0 or more; symmetric.
  /// - Throws: `InputError` for counts that make no sense and distances that are not numbers; what the closures throw.
  public init(
    count: Int, tolerance: Double = 0.1, budget: Int, frames make: ([Double]) throws -> [Frame],
    distance: @escaping (Frame, Frame) throws -> Double
  ) throws {
    guard count >= 2 else { throw InputError(.usage, "\(count) frames: expected at least 2") }
    guard tolerance > 0, tolerance.isFinite else { throw InputError(.usage, "tolerance \(tolerance): expected a number above 0") }
    var knots = Knots(distance: distance)
    let even = (0..<count).map { Double($0) / Double(count - 1) }
    try knots.add(even, make)
    var best = try knots.chosen(even)
    var current = best
    while !Self.isEven(best.distances, tolerance) {
      let next = try knots.balanced(current)
      let new = next.filter { !knots.has($0) }
      // Places repeat when the path has a jump that cannot be divided further.
      if new.isEmpty || knots.count + new.count > max(budget, count) { break }
      try knots.add(new, make)
      current = try knots.chosen(next)
      if Self.unevenness(current.distances) < Self.unevenness(best.distances) { best = current }
    }
    positions = best.positions
    frames = best.positions.compactMap { knots.frame($0) }
    distances = best.distances
    curve = try knots.curve()
    isEven = Self.isEven(best.distances, tolerance)
  }

  private static func unevenness(_ distances: [Double]) -> Double {
    let mean = distances.reduce(0, +) / Double(max(1, distances.count))
    return mean > 0 ? (distances.max() ?? 0) / mean : 1
  }

  private static func isEven(_ distances: [Double], _ tolerance: Double) -> Bool {
    let mean = distances.reduce(0, +) / Double(max(1, distances.count))
    return distances.allSatisfy { abs($0 - mean) <= tolerance * mean }
  }

  private struct Choice {
    var positions: [Double]
    var distances: [Double]
  }

  /// Frames that were made, in the order of their places, and the distances that were measured.
  private struct Knots {
    private struct Pair: Hashable {
      var a: Double
      var b: Double
    }
    private let distance: (Frame, Frame) throws -> Double
    private var positions: [Double] = []
    private var frames: [Double: Frame] = [:]
    private var measured: [Pair: Double] = [:]

    init(distance: @escaping (Frame, Frame) throws -> Double) { self.distance = distance }

    var count: Int { positions.count }
    func has(_ t: Double) -> Bool { frames[t] != nil }
    func frame(_ t: Double) -> Frame? { frames[t] }

    mutating func add(_ places: [Double], _ make: ([Double]) throws -> [Frame]) throws {
      let made = try make(places)
      precondition(made.count == places.count, "\(made.count) frames for \(places.count) places")
      for (t, frame) in zip(places, made) { frames[t] = frame }
      positions = frames.keys.sorted()
    }

    private mutating func between(_ a: Double, _ b: Double) throws -> Double {
      if let known = measured[Pair(a: a, b: b)] { return known }
      guard let x = frames[a], let y = frames[b] else { return 0 }
      let d = try distance(x, y)
      guard d.isFinite, d >= 0 else {
        throw InputError(.badData, "distance of the frames at \(a) and \(b): expected 0 or more, found \(d)")
      }
      measured[Pair(a: a, b: b)] = d
      return d
    }

    mutating func chosen(_ places: [Double]) throws -> Choice {
      Choice(positions: places, distances: try zip(places, places.dropFirst()).map { try between($0, $1) })
    }

    mutating func curve() throws -> [(position: Double, travelled: Double)] {
      var out = [(position: positions[0], travelled: 0.0)]
      for (a, b) in zip(positions, positions.dropFirst()) { out.append((b, out[out.count - 1].travelled + (try between(a, b)))) }
      return out
    }

    /// Places at equal levels of the curve whose increments between chosen frames are their distances, shaped by the knots in between.
    mutating func balanced(_ choice: Choice) throws -> [Double] {
      var (places, levels) = ([0.0], [0.0])
      for (i, chord) in choice.distances.enumerated() {
        let inside = positions.filter { $0 >= choice.positions[i] && $0 <= choice.positions[i + 1] }
        let steps = try zip(inside, inside.dropFirst()).map { try between($0, $1) }
        let length = steps.reduce(0, +)
        for (j, step) in steps.enumerated() {
          let share = length > 0 ? step / length : (inside[j + 1] - inside[j]) / (choice.positions[i + 1] - choice.positions[i])
          places.append(inside[j + 1])
          levels.append(levels[levels.count - 1] + chord * share)
        }
      }
      let total = levels[levels.count - 1]
      let n = choice.positions.count
      var out = [0.0]
      var at = 0
      for k in 1..<max(1, n - 1) {
        let wanted = total * Double(k) / Double(n - 1)
        while at + 2 < levels.count, levels[at + 1] < wanted { at += 1 }
        let rise = levels[at + 1] - levels[at]
        let t = places[at] + (rise > 0 ? (wanted - levels[at]) / rise : 0) * (places[at + 1] - places[at])
        out.append(snapped(t))
      }
      return out + [1]
    }

    /// The knot at a place, where there is one: to a millionth no new frame is worth its passes.
    private func snapped(_ t: Double) -> Double {
      guard let near = positions.min(by: { abs($0 - t) < abs($1 - t) }) else { return t }
      return abs(near - t) < 1e-6 ? near : t
    }
  }
}
