extension Report {
  /// The picture or pictures that the report is about, the prompt and the key facts.
  public struct Hero: Part {
    public var prompt: String
    /// Empty when there is none.
    public var negative: String
    public var pictures: [Picture]
    /// Name and value, such as `("sampler", "ddim, 30 steps")`.
    public var facts: [(name: String, value: String)]

    public init(prompt: String, negative: String = "", pictures: [Picture], facts: [(name: String, value: String)]) {
      self.prompt = prompt
      self.negative = negative
      self.pictures = pictures
      self.facts = facts
    }

    public var template: String { "hero" }

    public func content(_ scope: inout Scope) -> [String: Any] {
      [
        "prompt": prompt, "negative": shown(negative), "pictures": pictures.map(\.content), "several": pictures.count > 1,
        "facts": facts.map { ["fact": $0.name, "value": $0.value] },
      ]
    }
  }
}
