/// How often judged pictures show what they were asked to show.
public struct SceneScores: Sendable, Equatable {
  public enum Question: String, Sendable, CaseIterable, Codable {
    /// Every named noun is there.
    case noun
    /// Every named noun is there in its colour.
    case colour
    case setting
    /// The things stand as the relation says; asked of pairs of different nouns with left, right, above or below.
    case relation
    /// Every named noun is there and no other. A second copy of a named noun is not told from the first.
    case exactly
  }

  /// Of the questions that were asked.
  public private(set) var counts: [Question: Proportion] = [:]

  public init() {}

  public mutating func add(_ judged: Judgement, asked scene: Scene) {
    let named = Set(scene.objects.map(\.noun))
    let found = Set(judged.parts.map(\.noun))
    note(.noun, named.isSubset(of: found))
    // Two of a noun in different colours share their cells: only one colour can be read off them.
    if named.count == scene.objects.count {
      note(.colour, scene.objects.allSatisfy { judged.part($0.noun)?.colour == $0.colour })
    }
    note(.setting, judged.backdrop == .init(setting: scene.setting, plain: scene.setting == .plain ? scene.plain : nil))
    note(.exactly, named == found)
    if scene.objects.count == 2, let relation = scene.relation, relation != .next, relation != .and,
      let holds = judged.holds(relation, scene.objects[0].noun, scene.objects[1].noun)
    {
      note(.relation, holds)
    }
  }

  private mutating func note(_ question: Question, _ isRight: Bool) {
    counts[question, default: Proportion(0, of: 0)].add(isRight)
  }
}

/// So many of so many.
public struct Proportion: Sendable, Equatable {
  public private(set) var hits: Int
  public private(set) var total: Int

  public init(_ hits: Int, of total: Int) {
    precondition((0...total).contains(hits), "\(hits) of \(total)")
    (self.hits, self.total) = (hits, total)
  }

  mutating func add(_ isHit: Bool) {
    total += 1
    if isHit { hits += 1 }
  }

  /// nil of none.
  public var value: Double? { total == 0 ? nil : Double(hits) / Double(total) }

  /// 95 % interval of Wilson's score, nil of none. Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
  public var interval: ClosedRange<Double>? {
    guard let p = value else { return nil }
    let (n, z) = (Double(total), 1.959963984540054)
    let centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    let reach = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
    return max(0, centre - reach)...min(1, centre + reach)
  }
}
