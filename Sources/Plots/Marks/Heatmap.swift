import Foundation

extension Mark {
  /// A matrix as colours, one cell a value.
  ///
  /// - Parameters:
  ///   - values: `rows * columns`, row after row. Row 0 lies at the low end of the y axis, which is the top of a categorical or reversed one.
  ///     Cells that are not finite are grey, and the figure's note counts them.
  ///   - x, y: the outer edges; nil for cells around 0, 1, 2, ..., the places of a categorical axis.
  ///   - written: writes the values into the cells where all of them fit.
  public static func heatmap(
    _ values: [Double], rows: Int, columns: Int, colours: ColourScale = ColourScale(), x: ClosedRange<Double>? = nil,
    y: ClosedRange<Double>? = nil, written: Bool = false
  ) -> Mark {
    Mark(body: Heatmap(grid: Grid(values: values, rows: rows, columns: columns, x: x, y: y), colours: colours, written: written))
  }
}

/// A matrix that lies on a rectangle of the axes.
struct Grid: Sendable {
  let values: [Double]
  let rows: Int
  let columns: Int
  let x: ClosedRange<Double>?
  let y: ClosedRange<Double>?

  var left: Double { x?.lowerBound ?? -0.5 }
  var right: Double { x?.upperBound ?? Double(columns) - 0.5 }
  var low: Double { y?.lowerBound ?? -0.5 }
  var high: Double { y?.upperBound ?? Double(rows) - 0.5 }

  func check(_ what: String) throws {
    let product = rows.multipliedReportingOverflow(by: columns)
    guard rows > 0, columns > 0, !product.overflow, product.partialValue == values.count else {
      throw PlotError("\(what): expected rows x columns values, found \(values.count) for \(rows) x \(columns)")
    }
    guard [left, right, low, high].allSatisfy({ $0.isFinite }), left < right, low < high else {
      throw PlotError("\(what): expected finite edges, found \(left) to \(right) and \(low) to \(high)")
    }
  }

  /// Where it lies in points, and whether its columns and rows run against x and y on the page.
  func place(in area: PlotArea, _ what: String) throws -> (box: Rectangle, flipX: Bool, flipY: Bool) {
    guard area.x.kind != .log, area.y.kind != .log else { throw PlotError("\(what): a logarithmic axis cannot hold equal cells") }
    guard let x0 = area.x(left), let x1 = area.x(right), let y0 = area.y(low), let y1 = area.y(high) else {
      throw PlotError("\(what): edges without a place")
    }
    return (Rectangle(x: min(x0, x1), y: min(y0, y1), width: abs(x1 - x0), height: abs(y1 - y0)), x1 < x0, y1 < y0)
  }

  func value(_ row: Int, _ column: Int, _ flipX: Bool, _ flipY: Bool) -> Double {
    values[(flipY ? rows - 1 - row : row) * columns + (flipX ? columns - 1 - column : column)]
  }
}

private struct Heatmap: MarkBody {
  let grid: Grid
  let colours: ColourScale
  let written: Bool

  var x: Extent { Extent([grid.left, grid.right], flush: true) }
  var y: Extent { Extent([grid.low, grid.high], flush: true) }
  var coloured: (scale: ColourScale, extent: Extent)? { (colours, Extent(grid.values)) }

  func check() throws { try grid.check("heatmap") }
  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int { grid.values.lazy.filter { !$0.isFinite }.count }
  func height(width: Double, em: Double) -> Double? {
    // Square cells, but neither a ribbon nor a tower.
    grid.x == nil && grid.y == nil ? width * min(max(Double(grid.rows) / Double(grid.columns), 0.25), 1.3) : nil
  }

  func draw(in area: PlotArea) throws {
    guard let colours = area.colours else { return }
    let (box, flipX, flipY) = try grid.place(in: area, "heatmap")
    let missing = area.theme.line.bytes
    var pixels: [UInt8] = []
    pixels.reserveCapacity(3 * grid.values.count)
    for r in 0..<grid.rows {
      for c in 0..<grid.columns {
        let v = grid.value(r, c, flipX, flipY)
        let (red, green, blue) = v.isFinite ? colours.scale.palette.rgb(colours.part(v)) : missing
        pixels += [red, green, blue]
      }
    }
    try area.surface.draw(RGBImage(width: grid.columns, height: grid.rows, pixels: pixels), in: box)
    if written { try write(box, flipX, flipY, colours, in: area) }
  }

  private func write(_ box: Rectangle, _ flipX: Bool, _ flipY: Bool, _ colours: ResolvedColours, in area: PlotArea) throws {
    let (w, h) = (box.width / Double(grid.columns), box.height / Double(grid.rows))
    guard grid.values.count <= 10_000, h > area.canvas.em * 0.8, w > area.canvas.em else { return }
    let size = min(0.8, h / area.canvas.em * 0.6)
    let written = NumberFormat.uniform(grid.values)
    let texts = try grid.values.map { try area.canvas.label(written($0), size: size) }
    guard texts.allSatisfy({ $0.size.width <= w * 0.94 && $0.size.height <= h }) else { return }
    for r in 0..<grid.rows {
      for c in 0..<grid.columns {
        let v = grid.value(r, c, flipX, flipY)
        let ground = colours.colour(v) ?? area.theme.line
        let ink = Colour(0).contrast(with: ground) > Colour(0xffffff).contrast(with: ground) ? Colour(0) : Colour(0xffffff)
        let label = try area.canvas.label(written(v), size: size, ink)
        let x = box.x + (Double(c) + 0.5) * w - label.size.width / 2
        area.canvas.draw(label, x: x, y: box.y + (Double(r) + 0.5) * h - label.size.height / 2, .mark)
      }
    }
  }
}

extension Colour {
  var bytes: (UInt8, UInt8, UInt8) {
    func byte(_ v: Double) -> UInt8 { UInt8(min(max(v * 255, 0), 255).rounded()) }
    return (byte(red), byte(green), byte(blue))
  }
}
