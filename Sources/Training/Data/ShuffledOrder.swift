/// An endless shuffled walk through `count` examples: every epoch shows each once, in an order of its own.
///
/// A position alone says where one is, so that an interrupted training goes on with exactly the examples that it would have seen.
public struct ShuffledOrder: Sendable {
  public let count: Int
  public let seed: UInt64
  /// How many examples were given out.
  public private(set) var position: Int
  private var epoch = -1
  private var order: [Int] = []

  /// - Parameter position: where to begin: 0, or the `position` of a walk that was interrupted.
  public init(count: Int, seed: UInt64, position: Int = 0) {
    precondition(count > 0 && position >= 0, "\(count) examples, position \(position)")
    self.count = count
    self.seed = seed
    self.position = position
  }

  /// - Returns: the example to take, `0..<count`, and how often all were gone through before.
  public mutating func next() -> (index: Int, epoch: Int) {
    let (current, place) = position.quotientAndRemainder(dividingBy: count)
    if current != epoch {
      var random = NumPyRandom(seed: seed, UInt64(current))
      order = random.permutation(count)
      epoch = current
    }
    position += 1
    return (order[place], current)
  }
}
