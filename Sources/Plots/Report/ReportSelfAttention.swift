import Foundation

extension Report {
  /// What each place of the picture looks at: click a place, or move there by keyboard.
  public struct SelfAttention: Part {
    public struct Group: Sendable {
      /// Such as “up, 16 x 16, mean over heads and steps”.
      public var name: String
      public var height: Int
      public var width: Int
      /// `[height * width][height * width]`: row q holds the weights with which place q looks at the others; rows sum to 1.
      public var values: [Float]

      public init(name: String, height: Int, width: Int, values: [Float]) {
        self.name = name
        self.height = height
        self.width = width
        self.values = values
      }
    }

    /// Names the maps for those who hear them.
    public var title: String
    public var picture: Picture
    public var groups: [Group]
    public var palette: ReportPalette
    /// Places drawn for those without JavaScript, (row, column) in the first group; empty picks four.
    public var examples: [(row: Int, column: Int)]

    public init(title: String, picture: Picture, groups: [Group], palette: ReportPalette, examples: [(row: Int, column: Int)] = []) {
      self.title = title
      self.picture = picture
      self.groups = groups
      self.palette = palette
      self.examples = examples
    }

    public var template: String { "selfattention" }

    private struct Data: Encodable {
      struct Group: Encodable {
        var name: String
        var height: Int
        var width: Int
        var low: [Float]
        var high: [Float]
      }
      var groups: [Group]
      var first: Int
    }

    /// Larger maps would make a file nobody can open: 32 x 32 places are a megabyte.
    static let mostPlaces = 1024

    public func content(_ scope: inout Scope) throws -> [String: Any] {
      guard let leading = groups.first else { throw PlotError("report: the self-attention “\(title)” has no maps") }
      for group in groups {
        let n = group.height * group.width
        guard group.height > 0, group.width > 0, n <= Self.mostPlaces, group.values.count == n * n else {
          throw PlotError(
            "report: the self-attention “\(group.name)” is \(group.height) x \(group.width) with \(group.values.count) values; "
              + "expected (height x width) squared and at most \(Self.mostPlaces) places (average larger maps first)")
        }
        guard group.values.allSatisfy(\.isFinite) else {
          throw PlotError("report: the self-attention “\(group.name)” holds values that are not finite")
        }
      }
      let chosen = try chosenExamples(in: leading)
      var bytes: [UInt8] = []
      var groupData: [Data.Group] = []
      for group in groups {
        let maps = QuantisedMaps(group.values, size: group.height * group.width)
        bytes += maps.bytes
        groupData.append(.init(name: group.name, height: group.height, width: group.width, low: maps.low, high: maps.high))
      }
      let start = chosen[0].row * leading.width + chosen[0].column
      try scope.leave(json: Data(groups: groupData, first: start))
      scope.leave(bytes: bytes, name: "maps")
      scope.leave(bytes: palette.rgb, name: "palette")
      return [
        "selfTitle": title, "picture": picture.content, "severalGroups": groups.count > 1, "groupName": leading.name,
        "groups": groups.enumerated().map { ["index": $0, "name": $1.name, "checked": $0 == 0] as [String: Any] },
        "examples": try chosen.map { try example($0, in: leading) },
      ]
    }

    private func chosenExamples(in group: Group) throws -> [(row: Int, column: Int)] {
      let (h, w) = (group.height, group.width)
      if let wrong = examples.first(where: { !(0..<h).contains($0.row) || !(0..<w).contains($0.column) }) {
        throw PlotError("report: the self-attention “\(title)” has no place \(wrong.row), \(wrong.column)")
      }
      return examples.isEmpty ? [(h / 2, w / 2), (h / 4, w / 4), (h / 4, 3 * w / 4), (3 * h / 4, w / 2)] : examples
    }

    private func example(_ place: (row: Int, column: Int), in group: Group) throws -> [String: Any] {
      let n = group.height * group.width
      let query = place.row * group.width + place.column
      let map = group.values[query * n..<(query + 1) * n]
      let peak = map.indices.max { map[$0] < map[$1] } ?? map.startIndex
      let at = peak - map.startIndex
      let image = try palette.image(map, width: group.width, height: group.height, low: min(0, map.min() ?? 0), high: map[peak])
      let words = "row \(place.row + 1), column \(place.column + 1)"
      return [
        "place": words, "peak": brief(Double(map[peak])),
        "map": try Picture(
          image,
          alt:
            "From \(words): looks most at row \(at / group.width + 1), column \(at % group.width + 1), weight \(brief(Double(map[peak])))"
        ).content,
      ]
    }
  }
}
