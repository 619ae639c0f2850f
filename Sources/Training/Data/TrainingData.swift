import Engine

/// What a training is fed with: examples in an endless shuffled order, framed, augmented, as tensors.
///
/// Example `p` of the walk depends on the seed and `p` alone. So batches can be made on any number of threads, and a training that goes on at a
/// position sees exactly what it would have seen.
public struct TrainingData: Sendable {
  public let source: any ExampleSource
  /// Which of the source's examples are used.
  public let indices: [Int]
  public let framing: Framing
  public let augmentation: Augmentation
  public let seed: UInt64
  private var order: ShuffledOrder
  private let kept: FramedPictures

  /// Room for framed pictures.
  private static let bytes = 512 << 20

  /// How many examples were given out; a checkpoint keeps it.
  public var position: Int { order.position }

  /// - Parameters:
  ///   - indices: a part of a `Split`; nil takes all.
  ///   - position: 0, or where an earlier training stopped.
  /// - Throws: `InputError` `.badData` when there is no example, `.usage` for an augmentation outside its ranges.
  public init(
    _ source: any ExampleSource, indices: [Int]? = nil, framing: Framing, augmentation: Augmentation = .init(), seed: UInt64,
    position: Int = 0
  ) throws {
    try augmentation.check()
    let indices = indices ?? Array(0..<source.count)
    guard !indices.isEmpty else {
      throw InputError(.badData, "no examples: this part of the data is empty", hint: "give it a larger share")
    }
    self.source = source
    self.indices = indices
    self.framing = framing
    self.augmentation = augmentation
    self.seed = seed
    order = ShuffledOrder(count: indices.count, seed: seed, position: position)
    kept = FramedPictures(bytes: Self.bytes)
  }

  public struct Batch: Sendable {
    /// `[n, height, width, 3]`, -1 to 1.
    public let pixels: Tensor
    public let captions: [String]
  }

  /// The next `size` examples.
  public mutating func next(_ size: Int) throws -> Batch {
    try batch((0..<size).map { _ in order.next() })
  }

  /// Batch number `step` of `size` examples, whatever was given out before: a function of the seed and the number.
  public func batch(_ step: Int, size: Int) throws -> Batch {
    var walk = ShuffledOrder(count: indices.count, seed: seed, position: step * size)
    return try batch((0..<size).map { _ in walk.next() })
  }

  private func batch(_ places: [(index: Int, epoch: Int)]) throws -> Batch {
    let examples = try inParallel(places.count) { try example(places[$0].index, epoch: places[$0].epoch) }
    return Batch(pixels: Tensor.concatenated(examples.map { $0.picture.tensor }), captions: examples.map(\.caption))
  }

  public mutating func nextExample() throws -> Example {
    let (place, epoch) = order.next()
    return try example(place, epoch: epoch)
  }

  /// Example `place` of `indices` as it is in an epoch.
  public func example(_ place: Int, epoch: Int) throws -> Example {
    var random = NumPyRandom(seed: seed, UInt64(epoch), UInt64(place))
    let framed = try self.framed(place, epoch, &random)
    return try augmentation.apply(framed, &random) { random in
      try self.framed(random.below(indices.count), epoch, &random)
    }
  }

  /// Examples of the first epoch as they are framed, without changes, `[n, height, width, 3]`.
  /// - Parameter places: in the order of that epoch.
  public func framed(_ places: Range<Int>) throws -> Tensor {
    var walk = ShuffledOrder(count: indices.count, seed: seed, position: places.lowerBound)
    let order = places.map { _ in walk.next().index }
    return .concatenated(
      try inParallel(order.count) { i in
        var random = NumPyRandom(seed: seed, 0, UInt64(order[i]))
        return try framed(order[i], 0, &random).picture
      }.map(\.tensor))
  }

  private func framed(_ place: Int, _ epoch: Int, _ random: inout NumPyRandom) throws -> Example {
    // The middle is the same each time.
    guard framing.crop == .centre else {
      let example = try source.example(indices[place], epoch: epoch)
      return Example(picture: framing.apply(example.picture, &random), caption: example.caption)
    }
    let picture = try kept(indices[place]) { framing.apply(try source.example(indices[place], epoch: epoch).picture, &random) }
    return Example(picture: picture, caption: try source.caption(indices[place], epoch: epoch))
  }
}
