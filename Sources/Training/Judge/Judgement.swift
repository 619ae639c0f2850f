import Foundation

/// What a segmentation network says of a picture of the scenes world: which things are where, in which colours, and which setting it is.
public struct Judgement: Sendable, Equatable {
  /// All cells that one noun has.
  public struct Part: Sendable, Equatable {
    public let noun: Noun
    /// Cells in which this noun is likelier than all others and than the background.
    public let cells: Int
    /// The colour with the largest probability over those cells.
    public let colour: ObjectColour
    /// Centre of gravity, in cells; y points down.
    public let x: Double
    public let y: Double
    /// Cells of each of its pieces (`Pieces`), the largest first. Those below `smallestPiece` are left out.
    public let pieces: [Int]
  }

  /// A setting as it looks: plain backgrounds are told apart by colour.
  public struct Backdrop: Sendable, Equatable, Hashable {
    public let setting: Setting
    public let plain: PlainColour?

    /// In the order of the network's outputs.
    public static let all: [Backdrop] =
      Setting.allCases.filter { $0 != .plain }.map { Backdrop(setting: $0, plain: nil) }
      + PlainColour.allCases.map { Backdrop(setting: .plain, plain: $0) }
  }

  /// A noun on fewer cells is no part: edges between two things often look like a third.
  public static let fewestCells = 8

  /// Share of the picture that a piece must fill to be a thing of its own: half of what the smallest things of the world do. Smaller ones are splinters at edges.
  public static let smallestPiece = 0.012

  public let parts: [Part]
  public let backdrop: Backdrop
  /// Of the maps.
  public let cells: Int

  /// - Parameters:
  ///   - nouns: logits `[1 + nouns][cells]`, background first, nouns in the order of `Noun`.
  ///   - colours: logits `[1 + colours][cells]`, background first, colours in the order of `ObjectColour`.
  ///   - backdrops: logits in the order of `Backdrop.all`.
  ///   - width: cells a row.
  public init(nouns: [[Float]], colours: [[Float]], backdrops: [Float], width: Int) {
    let cells = nouns.first?.count ?? 0
    precondition(nouns.count == Noun.allCases.count + 1 && colours.count == ObjectColour.allCases.count + 1, "logits of another world")
    precondition(backdrops.count == Backdrop.all.count, "\(backdrops.count) settings")
    precondition((nouns + colours).allSatisfy { $0.count == cells }, "maps of different sizes")
    precondition(width > 0 && cells > 0 && cells % width == 0, "\(cells) cells in rows of \(width)")
    self.cells = cells
    var owned = [[Int]](repeating: [], count: nouns.count)
    for i in 0..<cells { owned[Self.largest(nouns.map { Double($0[i]) })].append(i) }
    let shades = Array(colours.dropFirst())
    parts = Noun.allCases.enumerated().compactMap { k, noun in
      let own = owned[k + 1]
      guard own.count >= Self.fewestCells else { return nil }
      var shares = [Double](repeating: 0, count: ObjectColour.allCases.count)
      for i in own {
        let chances = Self.softmax(colours.map { Double($0[i]) })
        for c in shares.indices { shares[c] += chances[c + 1] }
      }
      return Part(
        noun: noun, cells: own.count, colour: ObjectColour.allCases[Self.largest(shares)],
        x: Double(own.reduce(0) { $0 + $1 % width }) / Double(own.count), y: Double(own.reduce(0) { $0 + $1 / width }) / Double(own.count),
        pieces: Pieces.sizes(of: own, colours: shades, width: width, smallest: Self.smallestPiece * Double(cells)))
    }
    backdrop = Backdrop.all[Self.largest(backdrops.map(Double.init))]
  }

  public func part(_ noun: Noun) -> Part? { parts.first { $0.noun == noun } }

  /// Whether two things stand to each other as a relation says: further apart along its axis than 0.7 times across it. `next` and `and` hold for any two.
  /// - Returns: false as well when one of them is not there; nil for a noun and itself, whose cells can't be told apart.
  public func holds(_ relation: Relation, _ first: Noun, _ second: Noun) -> Bool? {
    guard first != second else { return nil }
    guard let a = part(first), let b = part(second) else { return false }
    let (dx, dy) = (b.x - a.x, b.y - a.y)
    return switch relation {
    case .left: dx > 0.7 * abs(dy)
    case .right: -dx > 0.7 * abs(dy)
    case .above: dy > 0.7 * abs(dx)
    case .below: -dy > 0.7 * abs(dx)
    case .next, .and: true
    }
  }

  /// The size of a noun's largest piece, by the radius that a thing of this kind has when it fills as much of the picture (`Noun.radius`): the nearest of
  /// the three ranges that the world draws from, whose bounds are halfway between them. Things alone are drawn larger than in pairs.
  /// - Returns: nil when it has no piece.
  public func size(_ noun: Noun, alone: Bool) -> ObjectSize? {
    guard let largest = part(noun)?.pieces.first else { return nil }
    return ObjectSize(radius: noun.radius(filling: Double(largest) / Double(cells)), alone: alone)
  }

  /// The first of the largest.
  private static func largest(_ values: [Double]) -> Int {
    var best = 0
    for k in values.indices where values[k] > values[best] { best = k }
    return best
  }

  private static func softmax(_ logits: [Double]) -> [Double] {
    let top = logits.max() ?? 0
    let exponents = logits.map { exp($0 - top) }
    let sum = exponents.reduce(0, +)
    return exponents.map { $0 / sum }
  }
}
