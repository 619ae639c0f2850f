import Foundation

extension Report {
  /// The prompt as a line of words, each with its map over the picture; steps and groups of layers to choose from.
  public struct WordMaps: Part {
    public struct Flag: Sendable {
      public enum Kind: String, Sendable { case neglected, untrusted }
      public var kind: Kind
      /// Such as “neglected”.
      public var title: String
      /// Why, with the number that says so.
      public var text: String

      public init(_ kind: Kind, title: String, text: String) {
        self.kind = kind
        self.title = title
        self.text = text
      }
    }

    public struct Word: Sendable {
      public var text: String
      /// BOS, EOS, padding: can be chosen, but take no part in the common scale.
      public var special: Bool
      public var flag: Flag?

      public init(_ text: String, special: Bool = false, flag: Flag? = nil) {
        self.text = text
        self.special = special
        self.flag = flag
      }
    }

    /// The maps of some layers, at their own size.
    public struct Group: Sendable {
      /// Such as “all layers”, “down, 16 x 16”.
      public var name: String
      public var height: Int
      public var width: Int
      /// `[words][height][width]`: over all steps, by the method's definition.
      public var total: [Float]
      /// `[steps][words][height][width]`; empty when single steps are not to be had.
      public var steps: [Float]

      public init(name: String, height: Int, width: Int, total: [Float], steps: [Float] = []) {
        self.name = name
        self.height = height
        self.width = width
        self.total = total
        self.steps = steps
      }
    }

    /// Names the maps for those who hear them.
    public var title: String
    public var picture: Picture
    /// In the order of the prompt, special tokens where they stand.
    public var words: [Word]
    /// A label for each step, such as “step 3, t = 899”.
    public var steps: [String]
    /// The first is shown at first and drawn small for each word.
    public var groups: [Group]
    public var palette: ReportPalette
    /// What a value is, such as “attention, summed over the steps”; beside the colour bar.
    public var unit: String

    public init(
      title: String, picture: Picture, words: [Word], steps: [String], groups: [Group], palette: ReportPalette, unit: String
    ) {
      self.title = title
      self.picture = picture
      self.words = words
      self.steps = steps
      self.groups = groups
      self.palette = palette
      self.unit = unit
    }

    public var template: String { "wordmaps" }

    private struct Data: Encodable {
      struct Group: Encodable {
        var name: String
        var height: Int
        var width: Int
        var steps: Int
        /// `[1 + steps][words]`, the total first.
        var low: [Float]
        var high: [Float]
      }
      struct Word: Encodable {
        var text: String
        var special: Bool
        var flag: String?
        var why: String?
      }
      var words: [Word]
      var steps: [String]
      var groups: [Group]
      var unit: String
      var first: Int
    }

    public func content(_ scope: inout Scope) throws -> [String: Any] {
      guard !words.isEmpty, let leading = groups.first else { throw PlotError("report: the word maps “\(title)” have no words or no maps") }
      for group in groups { try check(group) }
      let first = strongest(in: leading)
      var bytes: [UInt8] = []
      var groupData: [Data.Group] = []
      for group in groups {
        let maps = QuantisedMaps(group.total + group.steps, size: group.width * group.height)
        bytes += maps.bytes
        groupData.append(
          .init(
            name: group.name, height: group.height, width: group.width, steps: group.steps.isEmpty ? 0 : steps.count, low: maps.low,
            high: maps.high))
      }
      try scope.leave(
        json: Data(
          words: words.map { .init(text: $0.text, special: $0.special, flag: $0.flag?.title, why: $0.flag?.text) }, steps: steps,
          groups: groupData, unit: unit, first: first))
      scope.leave(bytes: bytes, name: "maps")
      scope.leave(bytes: palette.rgb, name: "palette")

      let range = commonRange(of: leading)
      return [
        "mapsTitle": title, "picture": picture.content, "unit": unit, "last": leading.steps.isEmpty ? 0 : steps.count,
        "hasSteps": groups.contains { !$0.steps.isEmpty }, "hasSpecial": words.contains(where: \.special),
        "groups": groups.enumerated().map { ["index": $0, "name": $1.name, "checked": $0 == 0] as [String: Any] },
        "severalGroups": groups.count > 1, "groupName": leading.name, "low": brief(Double(range.low)), "high": brief(Double(range.high)),
        "bar": try palette.bar(alt: "Colour bar from \(brief(Double(range.low))) to \(brief(Double(range.high)))").content,
        "words": try words.indices.map { try shownWord($0, in: leading, range: range, first: first) },
        "flags": words.filter { $0.flag != nil }.map {
          ["flagWord": $0.text, "flagTitle": $0.flag?.title ?? "", "why": $0.flag?.text ?? ""]
        },
        "flagged": words.contains { $0.flag != nil },
      ]
    }

    private func check(_ group: Group) throws {
      let size = group.height * group.width
      guard (1...512).contains(group.height), (1...512).contains(group.width), group.total.count == words.count * size,
        group.steps.isEmpty || group.steps.count == steps.count * words.count * size
      else {
        throw PlotError(
          "report: the maps of “\(group.name)” are \(group.height) x \(group.width) for \(words.count) words and \(steps.count) steps, "
            + "but have \(group.total.count) and \(group.steps.count) values")
      }
      guard (group.total + group.steps).allSatisfy(\.isFinite) else {
        throw PlotError("report: the maps of “\(group.name)” hold values that are not finite")
      }
    }

    /// The ordinary word with the highest value: the one to open with.
    private func strongest(in group: Group) -> Int {
      let size = group.height * group.width
      func peak(_ word: Int) -> Float { group.total[word * size..<(word + 1) * size].max() ?? 0 }
      return words.indices.filter { !words[$0].special }.max { peak($0) < peak($1) } ?? 0
    }

    /// From the lowest to the highest value of the prompt's words, special tokens left out (with only those: theirs).
    private func commonRange(of group: Group) -> (low: Float, high: Float) {
      let size = group.height * group.width
      let chosen = words.contains { !$0.special } ? words.indices.filter { !words[$0].special } : Array(words.indices)
      let values = chosen.flatMap { group.total[$0 * size..<($0 + 1) * size] }
      return (values.min() ?? 0, values.max() ?? 0)
    }

    private func shownWord(_ index: Int, in group: Group, range: (low: Float, high: Float), first: Int) throws -> [String: Any] {
      let word = words[index]
      let size = group.height * group.width
      let map = group.total[index * size..<(index + 1) * size]
      let peak = map.indices.max { map[$0] < map[$1] } ?? map.startIndex
      let at = peak - map.startIndex
      let place = Report.place(row: at / group.width, column: at % group.width, height: group.height, width: group.width)
      let value = brief(Double(map[peak]))
      let image = try palette.image(map, width: group.width, height: group.height, low: range.low, high: range.high)
      let picture = try Picture(image, alt: "Map of “\(word.text)”: highest value \(value), \(place)")
      return [
        "index": index, "word": word.text, "special": word.special, "peak": value, "clipped": map[peak] > range.high,
        "map": picture.content,
        "flag": shown(word.flag?.title), "flagText": shown(word.flag?.text), "flagKind": word.flag?.kind.rawValue ?? "",
        "first": index == first,
      ]
    }
  }
}
