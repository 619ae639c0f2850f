extension Scene {
  /// One of the many ways to tell the scene, of varying length: details may be left out, the two objects may change places. A function of the
  /// scene and the number, of nothing else.
  public func caption(variant: Int = 0) -> String {
    precondition(variant >= 0, "variant \(variant)")
    var random = NumPyRandom(seed: bgseed, horizon.bitPattern, UInt64(variant))
    return caption(&random)
  }

  /// Every caption that the scene can have, with its probability; they sum to 1. Two objects have a few thousand.
  public var captions: [String: Double] {
    var found: [String: Double] = [:]
    var every = EveryChoice()
    repeat {
      let text = caption(&every)
      found[text, default: 0] += every.probability
    } while every.next()
    return found
  }

  /// The grammar. What is likely is drawn first, so that one caption is one walk through this function.
  private func caption(_ choice: inout some Choice) -> String {
    let hasArticles = choice.isTrue(0.75)
    var text = subject(hasArticles, &choice)
    if choice.isTrue(0.82) {
      text += " " + place(&choice)
    } else if choice.isTrue(0.06 / 0.18) {
      text = place(&choice) + ", " + text
    }
    // "a picture of red house" is not English.
    if hasArticles, choice.isTrue(0.08) { text = choice.pick(["a picture of ", "a drawing of "]) + text }
    return text
  }

  private func subject(_ hasArticles: Bool, _ choice: inout some Choice) -> String {
    guard let relation, objects.count == 2 else { return objects[0].phrase(hasArticles, &choice) }
    let isTurned = choice.isTrue(0.5)
    let (first, second) = isTurned ? (objects[1], objects[0]) : (objects[0], objects[1])
    // That both are there is true of every arrangement.
    let between = choice.isTrue(0.12) ? "and" : choice.pick((isTurned ? relation.inverse : relation).phrases)
    let a = first.phrase(hasArticles, &choice)
    return "\(a) \(between) \(second.phrase(hasArticles, &choice))"
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
  fileprivate func phrase(_ hasArticle: Bool, _ choice: inout some Choice) -> String {
    var words: [String] = []
    if size != .medium, choice.isTrue(0.85) { words.append(size.rawValue) }
    if choice.isTrue(0.93) { words.append(colour.rawValue) }
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
