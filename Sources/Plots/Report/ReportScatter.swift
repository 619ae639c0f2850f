import Foundation

extension Report {
  /// Points of a reference set in two dimensions, by several methods and in several spaces; thumbnails, a brush, own points and paths.
  public struct Scatter: Part {
    /// A value that each point has one of, such as its setting; colours the points.
    public struct Factor: Sendable {
      public var name: String
      public var categories: [String]
      /// For each point an index into `categories`; -1 for none.
      public var values: [Int]
      /// For each category `#rrggbb` when the category is a colour itself; empty takes a palette that the colour-blind can read.
      public var colours: [String]

      public init(name: String, categories: [String], values: [Int], colours: [String] = []) {
        self.name = name
        self.categories = categories
        self.values = values
        self.colours = colours
      }
    }

    /// Pictures of all points in one PNG, row by row.
    public struct Sprite: Sendable {
      public var picture: Picture
      public var tileWidth: Int
      public var tileHeight: Int

      public init(_ picture: Picture, tileWidth: Int, tileHeight: Int) {
        self.picture = picture
        self.tileWidth = tileWidth
        self.tileHeight = tileHeight
      }
    }

    /// An own point, not of the reference set.
    public struct Mark: Sendable {
      public var label: String
      public var x: Float
      public var y: Float
      public init(_ label: String, x: Float, y: Float) {
        self.label = label
        self.x = x
        self.y = y
      }
    }

    /// The way of one seed through the projection.
    public struct Trajectory: Sendable {
      public var label: String
      public var x: [Float]
      public var y: [Float]
      /// A label for each point, such as “step 12”.
      public var steps: [String]
      /// Which of the points it leads to: it has that point's colour. nil when it leads to none of them.
      public var point: Int?
      public init(label: String, x: [Float], y: [Float], steps: [String], point: Int? = nil) {
        self.label = label
        self.x = x
        self.y = y
        self.steps = steps
        self.point = point
      }
    }

    public struct Projection: Sendable {
      /// Such as “PCA”, “t-SNE”, “UMAP”.
      public var method: String
      /// Such as “latents”, “h-space”, “text”.
      public var space: String
      /// For each point.
      public var x: [Float]
      public var y: [Float]
      /// With the explained variance where there is one.
      public var xLabel: String
      public var yLabel: String
      /// What must be known to read it, such as “distances between clusters carry no meaning”.
      public var note: String
      public var marks: [Mark]
      public var trajectories: [Trajectory]
      /// Name and value, such as `("trustworthiness", "0.97")`.
      public var scores: [(name: String, value: String)]

      public init(
        method: String, space: String, x: [Float], y: [Float], xLabel: String, yLabel: String, note: String = "", marks: [Mark] = [],
        trajectories: [Trajectory] = [], scores: [(name: String, value: String)] = []
      ) {
        self.method = method
        self.space = space
        self.x = x
        self.y = y
        self.xLabel = xLabel
        self.yLabel = yLabel
        self.note = note
        self.marks = marks
        self.trajectories = trajectories
        self.scores = scores
      }
    }

    /// Names the plot for those who hear it.
    public var title: String
    /// The first is shown at first and drawn for those without JavaScript.
    public var projections: [Projection]
    public var factors: [Factor]
    /// For each point.
    public var captions: [String]
    public var sprite: Sprite?

    public init(title: String, projections: [Projection], factors: [Factor], captions: [String], sprite: Sprite? = nil) {
      self.title = title
      self.projections = projections
      self.factors = factors
      self.captions = captions
      self.sprite = sprite
    }

    public var template: String { "scatter" }

    private struct Data: Encodable {
      struct Path: Encodable {
        var label: String
        var x: [Float]
        var y: [Float]
        var steps: [String]
        var point: Int?
      }
      struct Projection: Encodable {
        var method: String
        var space: String
        var x: [Float]
        var y: [Float]
        var xLabel: String
        var yLabel: String
        var note: String
        var marks: [Path]
        var paths: [Path]
      }
      struct Factor: Encodable {
        var name: String
        var categories: [String]
        var values: [Int]
        var colours: [String]
      }
      var projections: [Projection]
      var factors: [Factor]
      var captions: [String]
      var tile: [Int]
    }

    public func content(_ scope: inout Scope) throws -> [String: Any] {
      guard let leading = projections.first else { throw PlotError("report: the scatter plot “\(title)” has no projection") }
      try check()
      try scope.leave(
        json: Data(
          projections: projections.map { p in
            .init(
              method: p.method, space: p.space, x: p.x.map(Self.rounded), y: p.y.map(Self.rounded), xLabel: p.xLabel, yLabel: p.yLabel,
              note: p.note, marks: p.marks.map { .init(label: $0.label, x: [$0.x], y: [$0.y], steps: []) },
              paths: p.trajectories.map {
                .init(label: $0.label, x: $0.x.map(Self.rounded), y: $0.y.map(Self.rounded), steps: $0.steps, point: $0.point)
              })
          },
          factors: factors.map { .init(name: $0.name, categories: $0.categories, values: $0.values, colours: $0.colours) },
          captions: captions, tile: sprite.map { [$0.tileWidth, $0.tileHeight] } ?? []))
      if let sprite { scope.leave(bytes: sprite.picture.png, name: "sprite") }
      let methods = Self.unique(projections.map(\.method))
      let spaces = Self.unique(projections.map(\.space))
      let scoreNames = Self.unique(projections.flatMap { $0.scores.map(\.name) })
      return [
        "scatterTitle": title, "count": captions.count, "methods": Self.choices(methods), "spaces": Self.choices(spaces),
        "severalMethods": methods.count > 1, "severalSpaces": spaces.count > 1,
        "factors": factors.enumerated().map { ["index": $0, "factor": $1.name] as [String: Any] }, "hasFactors": !factors.isEmpty,
        "hasSprite": sprite != nil, "drawing": ScatterDrawing(projection: leading, factor: factors.first, title: title).svg(),
        "legend": factors.first.map(ScatterDrawing.legend) ?? [],
        "factorName": factors.first?.name ?? "", "xLabel": leading.xLabel, "yLabel": leading.yLabel, "note": shown(leading.note),
        "marks": leading.marks.map { ["mark": $0.label] }, "hasMarks": !leading.marks.isEmpty, "hasScores": !scoreNames.isEmpty,
        "scoreNames": scoreNames.map { ["score": $0] },
        "scores": projections.map { p in
          [
            "of": "\(p.method), \(p.space)",
            "values": scoreNames.map { name in ["value": p.scores.first { $0.name == name }?.value ?? "–"] },
          ] as [String: Any]
        },
      ]
    }

    private func check() throws {
      let n = captions.count
      for p in projections {
        let name = "\(p.method), \(p.space)"
        guard p.x.count == n, p.y.count == n else {
          throw PlotError("report: the projection “\(name)” has \(p.x.count) and \(p.y.count) coordinates for \(n) captions")
        }
        for t in p.trajectories where t.x.count != t.y.count || t.steps.count != t.x.count {
          throw PlotError("report: the path “\(t.label)” of “\(name)” has \(t.x.count) x, \(t.y.count) y and \(t.steps.count) labels")
        }
        if let t = p.trajectories.first(where: { $0.point.map { !(0..<n).contains($0) } ?? false }) {
          throw PlotError("report: the path “\(t.label)” of “\(name)” leads to point \(t.point ?? 0) of \(n)")
        }
        let own = p.marks.flatMap { [$0.x, $0.y] } + p.trajectories.flatMap { $0.x + $0.y }
        guard (p.x + p.y + own).allSatisfy(\.isFinite) else { throw PlotError("report: the projection “\(name)” is not finite everywhere") }
      }
      for f in factors {
        guard f.values.count == n, f.values.allSatisfy({ (-1..<f.categories.count).contains($0) }) else {
          throw PlotError(
            "report: the factor “\(f.name)” has \(f.values.count) values for \(n) points, or one that is none of its \(f.categories.count) categories"
          )
        }
        guard f.colours.isEmpty || f.colours.count == f.categories.count, f.colours.allSatisfy(Self.isColour) else {
          throw PlotError("report: the factor “\(f.name)” wants a colour #rrggbb for each of its \(f.categories.count) categories")
        }
      }
      if let s = sprite {
        guard s.tileWidth > 0, s.tileHeight > 0, (s.picture.width / s.tileWidth) * (s.picture.height / s.tileHeight) >= n else {
          throw PlotError(
            "report: a sheet of \(s.picture.width) x \(s.picture.height) pixels has no room for \(n) tiles of \(s.tileWidth) x \(s.tileHeight)"
          )
        }
      }
    }

    private static func isColour(_ text: String) -> Bool {
      text.utf8.count == 7 && text.first == "#" && UInt32(text.dropFirst(), radix: 16) != nil
    }

    /// Five digits are more than a screen shows.
    private static func rounded(_ v: Float) -> Float { Float(String(format: "%.4e", v)) ?? v }

    private static func unique(_ list: [String]) -> [String] {
      var seen: Set<String> = []
      return list.filter { seen.insert($0).inserted }
    }

    private static func choices(_ list: [String]) -> [[String: Any]] {
      list.enumerated().map { ["index": $0, "name": $1, "checked": $0 == 0] }
    }
  }
}
