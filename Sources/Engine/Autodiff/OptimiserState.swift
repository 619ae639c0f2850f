/// What has to be kept so that a training goes on as if it had never stopped, to the bit.
extension AdamW {
  /// The running means by name, `mean.` and `square.` before the parameters'; `steps` is kept beside them.
  public var state: [(name: String, tensor: Tensor)] {
    means.sorted { $0.key < $1.key }.map { ("mean.\($0.key)", $0.value) }
      + squares.sorted { $0.key < $1.key }.map { ("square.\($0.key)", $0.value) }
  }

  /// Goes on from a state.
  public mutating func restore(_ state: [String: Tensor], steps: Int) {
    self.steps = steps
    means = [:]
    squares = [:]
    for (name, tensor) in state {
      if name.hasPrefix("mean.") { means[String(name.dropFirst(5))] = tensor }
      if name.hasPrefix("square.") { squares[String(name.dropFirst(7))] = tensor }
    }
  }
}

extension Muon {
  /// The running means by name, `mean.` before the parameters'.
  public var state: [(name: String, tensor: Tensor)] { means.sorted { $0.key < $1.key }.map { ("mean.\($0.key)", $0.value) } }

  /// Goes on from a state.
  public mutating func restore(_ state: [String: Tensor]) {
    means = [:]
    for (name, tensor) in state where name.hasPrefix("mean.") { means[String(name.dropFirst(5))] = tensor }
  }
}

extension MovingAverage {
  /// Goes on from averages that were kept.
  /// - Parameter values: of the same names as those of the training.
  public mutating func restore(_ values: Parameters, steps: Int) { (self.values, self.steps) = (values, steps) }
}
