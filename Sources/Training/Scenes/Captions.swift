extension Scene {
  /// One of the many ways to tell the scene, of varying length: details may be left out, the two objects may change places. A function of the
  /// scene and the number, of nothing else.
  public func caption(variant: Int = 0) -> String {
    precondition(variant >= 0, "variant \(variant)")
    var told = Told(of: self)
    var random = NumPyRandom(seed: bgseed, horizon.bitPattern, UInt64(variant))
    return caption(&random, &told)
  }

  /// What that caption tells of the scene: a picture that was made after it cannot be asked for more.
  public func told(variant: Int = 0) -> Told {
    precondition(variant >= 0, "variant \(variant)")
    var told = Told(of: self)
    var random = NumPyRandom(seed: bgseed, horizon.bitPattern, UInt64(variant))
    _ = caption(&random, &told)
    return told
  }

  /// Which factors a caption names; nouns always are.
  public struct Told: Sendable, Equatable {
    /// Of each object.
    public var colours: [Bool]
    /// Of each object; a medium size never is.
    public var sizes: [Bool]
    public var setting: Bool
    /// More than that both are there.
    public var relation: Bool

    /// Nothing yet.
    fileprivate init(of scene: Scene) { self.init(everythingOf: scene, false) }

    /// All that a scene has.
    public init(everythingOf scene: Scene) { self.init(everythingOf: scene, true) }

    private init(everythingOf scene: Scene, _ isTold: Bool) {
      colours = Array(repeating: isTold, count: scene.objects.count)
      sizes = colours
      setting = isTold
      relation = isTold && scene.objects.count == 2
    }
  }

  /// Every caption that the scene can have, with its probability; they sum to 1. Two objects have a few thousand.
  public var captions: [String: Double] {
    var found: [String: Double] = [:]
    var every = EveryChoice()
    var told = Told(of: self)
    repeat {
      let text = caption(&every, &told)
      found[text, default: 0] += every.probability
    } while every.next()
    return found
  }

  /// The grammar. What is likely is drawn first, so that one caption is one walk through this function.
  private func caption(_ choice: inout some Choice, _ told: inout Told) -> String {
    let hasArticles = choice.isTrue(0.75)
    var text = subject(hasArticles, &choice, &told)
    if choice.isTrue(0.82) {
      text += " " + place(&choice)
      told.setting = true
    } else if choice.isTrue(0.06 / 0.18) {
      text = place(&choice) + ", " + text
      told.setting = true
    }
    // "a picture of red house" is not English.
    if hasArticles, choice.isTrue(0.08) { text = choice.pick(["a picture of ", "a drawing of "]) + text }
    return text
  }

  private func subject(_ hasArticles: Bool, _ choice: inout some Choice, _ told: inout Told) -> String {
    func phrase(_ i: Int) -> String { objects[i].phrase(hasArticles, &choice, size: &told.sizes[i], colour: &told.colours[i]) }
    guard let relation, objects.count == 2 else { return phrase(0) }
    let isTurned = choice.isTrue(0.5)
    let (first, second) = isTurned ? (1, 0) : (0, 1)
    // That both are there is true of every arrangement.
    let isOpen = choice.isTrue(0.12)
    let between = isOpen ? "and" : choice.pick((isTurned ? relation.inverse : relation).phrases)
    told.relation = !isOpen && relation != .and
    let a = phrase(first)
    return "\(a) \(between) \(phrase(second))"
  }

  private func place(_ choice: inout some Choice) -> String {
    switch (setting, plain) {
    case (.meadow, _): choice.pick(["in a meadow", "in the meadow", "on the grass"])
    case (.night, _): choice.pick(["at night", "at night", "in the night"])
    case (.sea, _): choice.pick(["by the sea", "at the beach", "at sea"])
    case (.snow, _): choice.pick(["in the snow", "in the snow", "in winter"])
    case (.desert, _): choice.pick(["in the desert", "in a desert"])
    case (.plain, let colour):
      choice.pick(["on a ", "on a plain ", "on "].map { $0 + (colour?.rawValue ?? "plain") + ($0 == "on " ? "" : " background") })
    }
  }
}

extension Scene.Object {
  /// Size and colour may go unsaid.
  fileprivate func phrase(
    _ hasArticle: Bool, _ choice: inout some Choice, size tellsSize: inout Bool, colour tellsColour: inout Bool
  ) -> String {
    var words: [String] = []
    tellsSize = size != .medium && choice.isTrue(0.85)
    if tellsSize { words.append(size.rawValue) }
    tellsColour = choice.isTrue(0.93)
    if tellsColour { words.append(colour.rawValue) }
    words.append(noun.rawValue)
    let text = words.joined(separator: " ")
    guard hasArticle else { return text }
    return (text.first.map { "aeiou".contains($0) } ?? false ? "an " : "a ") + text
  }
}

extension Relation {
  /// What stands twice is twice as likely.
  fileprivate var phrases: [String] {
    switch self {
    case .left: ["left of", "to the left of"]
    case .right: ["right of", "to the right of"]
    case .above: ["above", "above", "over"]
    case .below: ["below", "below", "under"]
    case .next: ["next to", "beside"]
    case .and: ["and"]
    }
  }
}
