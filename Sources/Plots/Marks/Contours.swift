import CCairo

extension Mark {
  /// Lines of equal value of a matrix whose values lie at the centres of its cells (see `heatmap` for `x` and `y`).
  ///
  /// - Parameters:
  ///   - levels: the values of the lines, in the colours of `colours` or, without, in the text's colour.
  public static func contours(
    _ values: [Double], rows: Int, columns: Int, levels: [Double], colour: Ink = .strong, width: Double = 1,
    x: ClosedRange<Double>? = nil, y: ClosedRange<Double>? = nil
  ) -> Mark {
    Mark(
      body: Contours(
        grid: Grid(values: values, rows: rows, columns: columns, x: x, y: y), levels: levels, ink: colour, width: width))
  }
}

private struct Contours: MarkBody {
  let grid: Grid
  let levels: [Double]
  let ink: Ink
  let width: Double

  var x: Extent { Extent([grid.left, grid.right], flush: true) }
  var y: Extent { Extent([grid.low, grid.high], flush: true) }
  var takesColour: Bool { ink == .automatic }

  func check() throws {
    try grid.check("contours")
    guard width > 0, width <= 100 else { throw PlotError("contours: expected a width of up to 100 points, found \(width)") }
  }
  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int { grid.values.lazy.filter { !$0.isFinite }.count }
  func draw(in area: PlotArea) throws { ContourLines.draw(grid, levels, ink: ink, width: width, in: area) }
}

/// Marching squares.
enum ContourLines {
  struct Segment: Equatable {
    var from: Point
    var to: Point
  }

  /// Where the surface through the cell centres has the value `level`, in units of cells from the first centre. In a saddle the mean of the
  /// four corners decides. Squares with a value that is not finite have none.
  static func segments(_ values: [Double], rows: Int, columns: Int, level: Double) -> [Segment] {
    guard rows > 1, columns > 1, level.isFinite else { return [] }
    var out: [Segment] = []
    for r in 0..<rows - 1 {
      for c in 0..<columns - 1 {
        let a = values[r * columns + c]
        let b = values[r * columns + c + 1]
        let d = values[(r + 1) * columns + c]
        let e = values[(r + 1) * columns + c + 1]
        guard a.isFinite, b.isFinite, d.isFinite, e.isFinite else { continue }
        func part(_ from: Double, _ to: Double) -> Double { (level - from) / (to - from) }
        let (x, y) = (Double(c), Double(r))
        var crossings: [(side: Int, point: Point)] = []
        if (a >= level) != (b >= level) { crossings.append((0, Point(x: x + part(a, b), y: y))) }
        if (b >= level) != (e >= level) { crossings.append((1, Point(x: x + 1, y: y + part(b, e)))) }
        if (d >= level) != (e >= level) { crossings.append((2, Point(x: x + part(d, e), y: y + 1))) }
        if (a >= level) != (d >= level) { crossings.append((3, Point(x: x, y: y + part(a, d)))) }
        if crossings.count == 2 {
          out.append(Segment(from: crossings[0].point, to: crossings[1].point))
        } else if crossings.count == 4 {
          let middle = (a + b + d + e) / 4 >= level
          // The corner that differs from the middle is cut off.
          let pairs = (a >= level) == middle ? [(0, 1), (2, 3)] : [(0, 3), (1, 2)]
          for (i, k) in pairs { out.append(Segment(from: crossings[i].point, to: crossings[k].point)) }
        }
      }
    }
    return out
  }

  /// - Parameter ink: nil for dark lines with a light rim, which are seen on any picture.
  static func draw(_ grid: Grid, _ levels: [Double], ink: Ink?, width: Double, in area: PlotArea) {
    for level in levels {
      let segments = segments(grid.values, rows: grid.rows, columns: grid.columns, level: level)
      func place(_ p: Point) -> Point? {
        area.point(
          grid.left + (p.x + 0.5) / Double(grid.columns) * (grid.right - grid.left),
          grid.low + (p.y + 0.5) / Double(grid.rows) * (grid.high - grid.low))
      }
      func stroke(_ colour: Colour, _ width: Double) {
        for at in stride(from: 0, to: segments.count, by: Surface.longestPath * 8) {
          cairo_new_path(area.surface.cairo)
          for s in segments[at..<min(at + Surface.longestPath * 8, segments.count)] {
            guard let a = place(s.from), let b = place(s.to) else { continue }
            cairo_move_to(area.surface.cairo, a.x, a.y)
            cairo_line_to(area.surface.cairo, b.x, b.y)
          }
          area.surface.stroke(colour, width: width)
        }
      }
      if let ink {
        stroke(area.theme.colour(ink, automatic: area.series), width)
      } else {
        stroke(Colour(0).with(alpha: 0.55), width + 1.4)
        stroke(Colour(0xffffff), width)
      }
    }
  }
}
