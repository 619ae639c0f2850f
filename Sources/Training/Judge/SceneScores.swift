/// How often judged pictures show what they were asked to show.
public struct SceneScores: Sendable, Equatable {
  public enum Question: String, Sendable, CaseIterable, Codable {
    /// Every named noun is there.
    case noun
    /// Every named noun is there in its colour, as far as colours are told.
    case colour
    /// Every named noun has the size that is told of it (`Judgement.size`).
    case size
    case setting
    /// The things stand as the relation says; asked of pairs of different nouns with left, right, above or below.
    case relation
    /// Every named noun is there as often as it is named (`Judgement.Part.pieces`), and no other noun is.
    case exactly
    /// As many things as are named, whatever they are.
    case count
  }

  /// Of the questions that were asked.
  public private(set) var counts: [Question: Proportion] = [:]

  public init() {}

  /// - Parameter told: what the prompt says of the scene; a picture is not asked for what it was not told. Everything when nil.
  public mutating func add(_ judged: Judgement, asked scene: Scene, told: Scene.Told? = nil) {
    let told = told ?? Scene.Told(everythingOf: scene)
    let named = scene.objects.map(\.noun)
    let found = Dictionary(uniqueKeysWithValues: judged.parts.filter { !$0.pieces.isEmpty }.map { ($0.noun, $0.pieces.count) })
    note(.noun, named.allSatisfy { judged.part($0) != nil })
    // Two of a noun share their cells: only one colour and one size can be read off them.
    if Set(named).count == named.count {
      let objects = scene.objects.indices
      let (coloured, sized) = (objects.filter { told.colours[$0] }, objects.filter { told.sizes[$0] })
      if !coloured.isEmpty {
        note(.colour, coloured.allSatisfy { judged.part(named[$0])?.colour == scene.objects[$0].colour })
      }
      if !sized.isEmpty {
        note(.size, sized.allSatisfy { judged.size(named[$0], alone: named.count == 1) == scene.objects[$0].size })
      }
    }
    if told.setting { note(.setting, judged.backdrop == .init(setting: scene.setting, plain: scene.setting == .plain ? scene.plain : nil)) }
    note(.exactly, found == Dictionary(named.map { ($0, 1) }, uniquingKeysWith: +))
    note(.count, found.values.reduce(0, +) == named.count)
    if told.relation, named.count == 2, let relation = scene.relation, relation != .next, relation != .and,
      let holds = judged.holds(relation, named[0], named[1])
    {
      note(.relation, holds)
    }
  }

  /// Questions that one picture does not answer right, of those that it is asked.
  public static func wrong(_ judged: Judgement, asked scene: Scene, told: Scene.Told? = nil) -> [Question] {
    var one = SceneScores()
    one.add(judged, asked: scene, told: told)
    return Question.allCases.filter { one.counts[$0]?.hits == 0 }
  }

  private mutating func note(_ question: Question, _ isRight: Bool) {
    counts[question, default: Proportion(0, of: 0)].add(isRight)
  }
}

/// So many of so many. As JSON: `right`, `n`, the share `value` and its interval's ends `low` and `high`, which are left out of none.
public struct Proportion: Sendable, Equatable, Encodable {
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

  private enum Key: String, CodingKey { case right, n, value, low, high }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Key.self)
    try values.encode(hits, forKey: .right)
    try values.encode(total, forKey: .n)
    try values.encodeIfPresent(value, forKey: .value)
    try values.encodeIfPresent(interval?.lowerBound, forKey: .low)
    try values.encodeIfPresent(interval?.upperBound, forKey: .high)
  }
}
