import Engine

/// Directions in h-space: what each adds to h at every step, at strength 1.
public struct HDirections: Sendable, Equatable {
  public let names: [String]
  public let timesteps: [Double]
  /// Height, width and channels of h.
  public let shape: [Int]
  /// For each direction and step h * w * c values, channels last.
  public let values: [[[Float]]]
  public var count: Int { values.count }

  public init(names: [String], timesteps: [Double], shape: [Int], values: [[[Float]]]) {
    precondition(names.count == values.count, "\(names.count) names for \(values.count) directions")
    precondition(values.allSatisfy { $0.count == timesteps.count && $0.allSatisfy { $0.count == shape.reduce(1, *) } }, "not of \(shape)")
    (self.names, self.timesteps, self.shape, self.values) = (names, timesteps, shape, values)
  }

  /// The difference of two sets' means at every step: strength 1 goes from one mean to the other.
  /// - Throws: `InputError` (bad data) when the sets are of different steps or sizes.
  public static func difference(from a: HSpace, to b: HSpace, name: String) throws -> HDirections {
    guard a.timesteps == b.timesteps, a.shape == b.shape else {
      throw InputError(.badData, "two sets of other steps or sizes have no difference of means")
    }
    let values = zip(a.steps, b.steps).map { a, b in zip(a.mean(), b.mean()).map { Float($1 - $0) } }
    return HDirections(names: [name], timesteps: a.timesteps, shape: a.shape, values: [values])
  }

  /// Cosine between a direction's values at each step and the step before; NaN where one of them is zero. One less than steps.
  public func continuity(_ direction: Int) -> [Double] {
    zip(values[direction], values[direction].dropFirst()).map { Self.cosine($0, $1) }
  }

  /// Euclidean length at each step.
  public func lengths(_ direction: Int) -> [Double] { values[direction].map { Self.product($0, $0).squareRoot() } }

  static func cosine(_ a: [Float], _ b: [Float]) -> Double { product(a, b) / (product(a, a) * product(b, b)).squareRoot() }

  private static func product(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
}
