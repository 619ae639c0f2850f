/// Something drawn from arrays in a panel: points, a line, bars, a heatmap, ... Each kind is a static function in a file of its own.
public struct Mark: Sendable {
  let body: any MarkBody
}

/// What each kind of mark answers.
protocol MarkBody: Sendable {
  /// What it needs of the axes.
  var x: Extent { get }
  var y: Extent { get }
  /// The values that it colours, and how.
  var coloured: (scale: ColourScale, extent: Extent)? { get }
  /// Takes the panel's next colour for categories.
  var takesColour: Bool { get }
  /// Stands beside the other marks that say so (bars).
  var standsBeside: Bool { get }
  /// The height of a plot `width` points wide that gives it its right shape; nil: any.
  func height(width: Double, em: Double) -> Double?
  /// - Parameter series: the number of its automatic colour.
  func legend(series: Int, theme: Theme) -> [LegendEntry]
  /// How many of its values have no place on such axes.
  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int
  /// - Throws: `PlotError` when arrays do not belong together.
  func check() throws
  /// A sentence for the figure's note: what is not shown on such an area.
  func remark(in area: PlotArea) -> String?
  func draw(in area: PlotArea) throws
}

extension MarkBody {
  var coloured: (scale: ColourScale, extent: Extent)? { nil }
  var takesColour: Bool { false }
  var standsBeside: Bool { false }
  func height(width: Double, em: Double) -> Double? { nil }
  func legend(series: Int, theme: Theme) -> [LegendEntry] { [] }
  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int { 0 }
  func check() throws {}
  func remark(in area: PlotArea) -> String? { nil }
}

/// Where a mark is drawn.
struct PlotArea {
  let frame: Rectangle
  let x: Scale
  let y: Scale
  let canvas: Canvas
  /// The number of the mark's automatic colour.
  var series = 0
  /// Its place among those that stand beside each other.
  var place = (index: 0, of: 1)
  var colours: ResolvedColours?

  var theme: Theme { canvas.theme }
  var surface: Surface { canvas.surface }

  func point(_ vx: Double, _ vy: Double) -> Point? {
    guard let px = x(vx), let py = y(vy) else { return nil }
    return Point(x: px, y: py)
  }
}

/// Counts what cannot be placed.
func unplaced(_ xs: [Double], _ ys: [Double], _ x: Axis.Kind, _ y: Axis.Kind) -> Int {
  var count = 0
  let (xLog, yLog) = (x == .log, y == .log)
  for (a, b) in zip(xs, ys) where !(a.isFinite && b.isFinite) || (xLog && a <= 0) || (yLog && b <= 0) { count += 1 }
  return count
}

/// - Throws: `PlotError` unless all arrays have `count` entries.
func requireCount(_ count: Int, _ what: String, _ arrays: (name: String, count: Int)...) throws {
  for a in arrays where a.count != count {
    throw PlotError("\(what): expected \(count) \(a.name), as many as there are x, found \(a.count)")
  }
}
