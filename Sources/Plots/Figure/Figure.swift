/// Plots from plain arrays, on one sheet.
///
///     let figure = Figure(title: "Two runs", panels: [
///       Panel(x: .linear("step"), y: .log("signal to noise"), marks: [.line(steps, a, label: "a"), .line(steps, b, label: "b")])
///     ])
///     let bytes = try figure.render(.png, scale: 2, theme: .dark)
public struct Figure: Sendable {
  /// Empty texts take no room.
  public var title: String
  public var subtitle: String
  /// Under the plots: what the figure shows and what it does not. How many values could not be drawn is added by itself.
  public var note: String
  /// In reading order.
  public var panels: [Panel]
  /// Panels in a row; nil for up to three.
  public var columns: Int?
  /// Points (1/72 inch in PDF, a CSS pixel in SVG, `scale` pixels in PNG).
  public var width: Double
  /// nil for as high as the plots ask for.
  public var height: Double?
  /// All values that become colours share one scale and one colour bar: the first panel's.
  public var commonColours: Bool

  public init(
    title: String = "", subtitle: String = "", note: String = "", columns: Int? = nil, width: Double = 640, height: Double? = nil,
    commonColours: Bool = false, panels: [Panel]
  ) {
    self.title = title
    self.subtitle = subtitle
    self.note = note
    self.panels = panels
    self.columns = columns
    self.width = width
    self.height = height
    self.commonColours = commonColours
  }

  /// The file's bytes; the same figure gives the same bytes.
  ///
  /// - Parameter scale: pixels per point of a PNG, above 0; dpi / 72 for a print. Vectors ignore it.
  /// - Throws: `PlotError` when arrays do not belong together, values are beyond what can be drawn, or the plots do not fit the width.
  public func render(_ format: FileFormat, scale: Double = 2, theme: Theme = .light) throws -> [UInt8] {
    try drawn(format, scale: scale, theme: theme).surface.finish()
  }

  /// Draws and keeps the memory of the texts.
  func drawn(_ format: FileFormat, scale: Double, theme: Theme) throws -> Canvas {
    // Text must be measured before the size is known: on a surface that is thrown away.
    let ruler = Canvas(try Surface(.png, size: Size(width: 1, height: 1), scale: 1), theme)
    let layout = try FigureLayout(self, ruler)
    let canvas = Canvas(try Surface(format, size: layout.size, scale: scale), theme)
    canvas.surface.describe(title: title)
    try layout.draw(on: canvas)
    return canvas
  }
}
