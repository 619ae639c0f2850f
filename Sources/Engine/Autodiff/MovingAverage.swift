/// The exponential moving average of parameters (Polyak and Juditsky 1992), whose values sample better than those being trained.
public struct MovingAverage: Sendable {
  public internal(set) var values: Parameters
  /// Limit of the factor with which the old average is kept.
  public let decay: Double
  /// Updates so far.
  public internal(set) var steps = 0

  /// Starts at `parameters`.
  public init(_ parameters: Parameters, decay: Double) {
    (values, self.decay) = (parameters, decay)
  }

  /// Moves towards `parameters`. The first steps forget faster, by (1 + steps) / (10 + steps), since the start is no good average.
  public mutating func update(_ parameters: Parameters) {
    steps += 1
    let weight = Float(1 - min(decay, Double(1 + steps) / Double(10 + steps)))
    for i in values.values.indices {
      let (own, new) = (values.values[i].mutableData(), parameters.values[i].data)
      parallel(parameters.values[i].count, grain: 65536) { r in for j in r { own[j] += weight * (new[j] - own[j]) } }
    }
    withExtendedLifetime(parameters) {}
  }
}
