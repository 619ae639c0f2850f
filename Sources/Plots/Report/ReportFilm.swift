extension Report {
  /// How a picture comes out of the noise: rows of frames over the steps, with a scrubber.
  public struct Film: Part {
    public struct Row: Sendable {
      /// Such as “latents”, “predicted x₀”, “decoded”.
      public var label: String
      /// What the row's pixels are; may be empty.
      public var note: String
      /// A picture for each step of the film.
      public var frames: [Picture]

      public init(label: String, note: String = "", frames: [Picture]) {
        self.label = label
        self.note = note
        self.frames = frames
      }
    }

    /// What the film is of; names it for those who hear it.
    public var title: String
    /// A label for each frame, such as “step 12, t = 741”.
    public var steps: [String]
    public var rows: [Row]
    /// Beside the player: norms, signal-to-noise ratio.
    public var figures: [Figure]

    public init(title: String, steps: [String], rows: [Row], figures: [Figure] = []) {
      self.title = title
      self.steps = steps
      self.rows = rows
      self.figures = figures
    }

    public var template: String { "film" }

    public func content(_ scope: inout Scope) throws -> [String: Any] {
      guard !steps.isEmpty, !rows.isEmpty else { throw PlotError("report: the film “\(title)” has no frames") }
      if let row = rows.first(where: { $0.frames.count != steps.count }) {
        throw PlotError("report: the film “\(title)” has \(steps.count) steps, its row “\(row.label)” \(row.frames.count) frames")
      }
      let figures = try self.figures.enumerated().map { try scope.nested($1, "f\($0 + 1)") }.joined()
      return [
        "filmTitle": title, "steps": steps.map { ["step": $0] }, "last": steps.count - 1, "figures": shown(figures),
        "rows": rows.map { ["label": $0.label, "rowNote": shown($0.note), "frames": $0.frames.map(\.content)] as [String: Any] },
      ]
    }
  }
}
