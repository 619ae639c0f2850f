/// The shape of a `SegmentationNet`.
public struct SegmentationNetConfig: Sendable, Equatable {
  /// Channels of the first level; the second has twice, the third four times as many.
  public var width: Int
  /// Groups of the norms; they divide the width.
  public var groups: Int
  /// Classes of each map, the background among them. Without maps there is no way back up either: what is left says of which class the whole picture is.
  public var maps: [Int]
  /// Classes of the whole picture.
  public var classes: Int

  public init(width: Int, groups: Int, maps: [Int], classes: Int) {
    (self.width, self.groups, self.maps, self.classes) = (width, groups, maps, classes)
  }
}

/// A small U-shaped network (Ronneberger et al. 2015) that says for every second pixel of a picture which class it is of, by several classifications at once, and of
/// which class the whole picture is.
///
/// Three levels at a half, a quarter and an eighth of the picture's side, each begun by a strided convolution; nearest-neighbour enlargements back to the half, beside
/// what was there on the way down. Every convolution is 3x3 and followed by a group norm and SiLU: group norm where such networks mostly have batch norm, since it is the
/// same in training and afterwards, needs no running statistics and has a gradient here. Classes of the whole picture are read off the mean of the deepest level.
public struct SegmentationNet: Sendable {
  public let config: SegmentationNetConfig
  private let down: [[Block]]
  private let up: [Block]
  private let maps: [Linear]
  private let classes: Linear

  /// Convolution, group norm, SiLU.
  private struct Block {
    let conv: Conv2d
    let norm: GroupNorm

    init(_ scope: WeightScope, _ size: Size, groups: Int) {
      conv = Conv2d(scope["conv"], size.input, size.output, kernel: 3, stride: size.stride)
      norm = GroupNorm(scope["norm"], size.output, groups: groups, eps: 1e-5)
    }

    func callAsFunction(_ x: Tensor) -> Tensor { norm(conv(x), silu: true) }
  }

  private struct Size {
    let (input, output, stride): (Int, Int, Int)
  }

  public struct Output {
    /// Logits of each map, `[n, h / 2, w / 2, classes]`.
    public let maps: [Tensor]
    /// Logits of the whole picture, `[n, classes]`.
    public let classes: Tensor
    /// The mean of the deepest level, `[n, 4 width]`.
    public let features: Tensor
  }

  public init(_ store: WeightStore, _ config: SegmentationNetConfig) {
    self.config = config
    let sizes = Self.sizes(config)
    down = sizes.down.enumerated().map { level, blocks in
      blocks.enumerated().map { Block(store["down"][level][$0], $1, groups: config.groups) }
    }
    up = sizes.up.enumerated().map { Block(store["up"][$0], $1, groups: config.groups) }
    maps = config.maps.enumerated().map { Linear(pointwise: store["maps"][$0], 2 * config.width, $1) }
    classes = Linear(store["classes"], 4 * config.width, config.classes)
  }

  /// - Parameters:
  ///   - x: pictures `[n, h, w, 3]` in [-1, 1], whose sides are multiples of 8.
  ///   - look: is shown what the deepest level says, `[n, h / 8, w / 8, 4 width]`, and gives what goes on from there.
  public func callAsFunction(_ x: Tensor, look: (Tensor) -> Tensor = { $0 }) -> Output {
    precondition(x.shape.rank == 4 && x.shape[3] == 3 && x.shape[1] % 8 == 0 && x.shape[2] % 8 == 0, "pictures \(x.shape)")
    var levels: [Tensor] = []
    var h = x
    for blocks in down {
      for block in blocks { h = block(h) }
      levels.append(h)
    }
    h = look(h)
    let features = h.meanOverPixels()
    for (block, beside) in zip(up, levels.dropLast().reversed()) {
      h = block(h.resizedNearest(height: beside.shape[1], width: beside.shape[2]).joinedChannels(beside))
    }
    return Output(maps: maps.map { $0(h) }, classes: classes(features), features: features)
  }

  /// The class activation map of one class of one map, its logits summed over all places, at the size of the deepest level.
  /// - Parameter picture: `[1, h, w, 3]`
  public func activation(of picture: Tensor, map: Int, class wanted: Int) -> (height: Int, width: Int, values: [Float]) {
    var features: Tensor?
    let logits = self(picture.detached) { deepest in
      let leaf = deepest.recorded()
      features = leaf
      return leaf
    }.maps[map]
    let count = logits.shape[3]
    var seed = Tensor.zeros(logits.shape)
    seed.withUnsafeMutableBuffer { for place in 0..<$0.count / count { $0[place * count + wanted] = 1 } }
    guard let a = features, let gradient = gradients(of: logits, seed: seed, for: [a])[0] else {
      preconditionFailure("a network without a way back")
    }
    return (a.shape[1], a.shape[2], classActivation(a, gradient: gradient))
  }

  private static func sizes(_ config: SegmentationNetConfig) -> (down: [[Size]], up: [Size]) {
    let w = config.width
    return (
      [
        [Size(input: 3, output: w, stride: 2), Size(input: w, output: w, stride: 1)],
        [Size(input: w, output: 2 * w, stride: 2), Size(input: 2 * w, output: 2 * w, stride: 1)],
        [
          Size(input: 2 * w, output: 4 * w, stride: 2), Size(input: 4 * w, output: 4 * w, stride: 1),
          Size(input: 4 * w, output: 4 * w, stride: 1),
        ],
      ], config.maps.isEmpty ? [] : [Size(input: 6 * w, output: 2 * w, stride: 1), Size(input: 3 * w, output: 2 * w, stride: 1)]
    )
  }

  /// All parameters by their names, in PyTorch's shapes, zero: to be drawn or filled.
  public static func parameters(_ config: SegmentationNetConfig) -> Parameters {
    var out: [(name: String, tensor: Tensor)] = []
    func add(_ module: String, weight: Shape, bias: Int) {
      out.append(("\(module).weight", .zeros(weight)))
      out.append(("\(module).bias", .zeros([bias])))
    }
    func add(_ module: String, _ size: Size) {
      add("\(module).conv", weight: [size.output, size.input, 3, 3], bias: size.output)
      add("\(module).norm", weight: [size.output], bias: size.output)
    }
    let sizes = sizes(config)
    for (level, blocks) in sizes.down.enumerated() { for (i, size) in blocks.enumerated() { add("down.\(level).\(i)", size) } }
    for (i, size) in sizes.up.enumerated() { add("up.\(i)", size) }
    for (i, count) in config.maps.enumerated() { add("maps.\(i)", weight: [count, 2 * config.width, 1, 1], bias: count) }
    add("classes", weight: [config.classes, 4 * config.width], bias: config.classes)
    return Parameters(out)
  }
}
