extension Report {
  /// A drawing with its caption, in a light and a dark version; the reader's setting picks.
  public struct Figure: Part {
    public var light: Drawing
    /// nil shows the light one on a light card in both.
    public var dark: Drawing?
    public var caption: String
    public var alt: String

    /// - Parameter alt: what the figure shows, in words: the finding, not “a plot”.
    public init(light: Drawing, dark: Drawing?, caption: String, alt: String) {
      self.light = light
      self.dark = dark
      self.caption = caption
      self.alt = alt
    }

    public var template: String { "figure" }

    public func content(_ scope: inout Scope) throws -> [String: Any] {
      guard !alt.allSatisfy(\.isWhitespace) else { throw PlotError("report: the figure “\(caption)” has no alternative text") }
      let size = try light.size(alt)
      _ = try dark?.size(alt)
      return [
        "light": light.uri, "dark": shown(dark?.uri), "caption": shown(caption), "alt": alt, "width": size.map { $0.width as Any } ?? false,
        "height": size.map { $0.height as Any } ?? false,
      ]
    }
  }

  /// Figures side by side where there is room.
  public struct FigureRow: Part {
    public var figures: [Figure]
    public init(_ figures: [Figure]) { self.figures = figures }
    public var template: String { "figurerow" }
    public func content(_ scope: inout Scope) throws -> [String: Any] {
      ["figures": try figures.enumerated().map { try scope.nested($1, "f\($0 + 1)") }.joined()]
    }
  }
}
