import Engine

/// A caption of two objects as tokens, and which of them tell how the objects stand to each other.
public struct RelationCaption: Sendable, Equatable {
  /// As the model's tokenizer makes them, filled up to the whole row.
  public let ids: [Int]
  /// Where it names a relation that has a direction: which, and the places of its words among the tokens.
  public let told: Told?

  public struct Told: Sendable, Equatable {
    /// How the first object in the caption stands to the second: left, right, above or below.
    public let relation: Relation
    /// The last token of the first object, its noun's.
    public let first: Int
    /// Tokens of the relation's words: all of "to the left of".
    public let words: Range<Int>
    /// Tokens of the second object: article, size, colour, noun.
    public let second: Range<Int>
  }

  private static let relations: [String: Relation] = [
    "left": .left, "right": .right, "above": .above, "over": .above, "below": .below, "under": .below,
  ]

  /// - Parameter caption: of the scenes' grammar (`Scene.caption`), none of whose other words names a relation; what did not fit into the row tells nothing.
  public init(_ caption: TokenizedPrompt) {
    ids = caption.chunks[0].ids
    told = Self.told(caption.words.map { Word(text: $0.text, places: $0.isCut ? [] : $0.positions.filter { $0.chunk == 0 }.map(\.index)) })
  }

  private struct Word {
    let text: String
    let places: [Int]
  }

  private static func told(_ words: [Word]) -> Told? {
    guard let at = words.firstIndex(where: { relations[$0.text] != nil }), let relation = relations[words[at].text] else { return nil }
    let begin = at > 1 && words[at - 2...at - 1].map(\.text) == ["to", "the"] ? at - 2 : at
    let end = at + 1 < words.count && words[at + 1].text == "of" ? at + 2 : at + 1
    guard begin > 0, let noun = words[end...].firstIndex(where: { Noun(rawValue: $0.text) != nil }),
      let first = words[begin - 1].places.last, let from = words[begin].places.first, let middle = words[end].places.first,
      let to = words[noun].places.last
    else { return nil }
    return Told(relation: relation, first: first, words: from..<middle, second: middle..<to + 1)
  }
}

extension Relation {
  /// From the second object to the first, to the right and down; nil for relations without a direction.
  public var direction: (x: Float, y: Float)? {
    switch self {
    case .left: (-1, 0)
    case .right: (1, 0)
    case .above: (0, -1)
    case .below: (0, 1)
    case .next, .and: nil
    }
  }
}
