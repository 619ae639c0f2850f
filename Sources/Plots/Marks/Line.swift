import CCairo

extension Mark {
  /// A line through points in the order given; values that are not finite are gaps.
  ///
  /// - Parameters:
  ///   - band: lower and upper ends at each x (an interval, a spread); what it is belongs into the label or the note.
  ///   - dots: also a dot at each point.
  public static func line(
    _ x: [Double], _ y: [Double], band: (low: [Double], high: [Double])? = nil, label: String = "", colour: Ink = .automatic,
    width: Double = 1.8, dashed: Bool = false, dots: Bool = false
  ) -> Mark {
    Mark(
      body: Line(
        xs: x, ys: y, low: band?.low, high: band?.high, label: label, ink: colour, width: width, dashed: dashed, dots: dots))
  }
}

private struct Line: MarkBody {
  let xs: [Double]
  let ys: [Double]
  let low: [Double]?
  let high: [Double]?
  let label: String
  let ink: Ink
  let width: Double
  let dashed: Bool
  let dots: Bool

  var x: Extent { Extent(xs) }
  var y: Extent {
    var all = Extent(ys)
    if let low { all.join(Extent(low)) }
    if let high { all.join(Extent(high)) }
    return all
  }
  var takesColour: Bool { ink == .automatic }

  func check() throws {
    try requireCount(xs.count, "line", ("y", ys.count))
    if let low, let high { try requireCount(xs.count, "line", ("lower ends", low.count), ("upper ends", high.count)) }
    guard width > 0, width <= 100 else { throw PlotError("line: expected a width of up to 100 points, found \(width)") }
  }

  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int { unplaced(xs, ys, x, y) }

  private func dash(_ series: Int, _ colours: Int) -> [Double] {
    if dashed { return [width * 3, width * 2] }
    let patterns: [[Double]] = [[], [width * 4, width * 2], [width * 1.2, width * 1.6], [width * 5, width * 2, width, width * 2]]
    return ink == .automatic ? patterns[series / max(colours, 1) % patterns.count] : []
  }

  func legend(series: Int, theme: Theme) -> [LegendEntry] {
    if label.isEmpty { return [] }
    return [
      LegendEntry(
        label, theme.colour(ink, automatic: series),
        .line(width: width, dash: dash(series, theme.categories.count), band: low != nil, dots: dots))
    ]
  }

  func draw(in area: PlotArea) throws {
    let colour = area.theme.colour(ink, automatic: area.series)
    if let low, let high {
      for run in runs(
        xs.indices.map { i in
          area.point(xs[i], low[i]).flatMap { l in area.point(xs[i], high[i]).map { (l, $0) } }
        })
      {
        let (low, high) = (thinned(run.map(\.0)), thinned(run.map(\.1)))
        if low.count < run.count || high.count < run.count || run.count < 2000 {
          area.surface.polygon(low + high.reversed(), colour.with(alpha: 0.2))
          continue
        }
        // Long and not from left to right: piece by piece, or Cairo is busy for minutes.
        for at in stride(from: 0, to: run.count - 1, by: Surface.longestPath) {
          let piece = run[at...min(at + Surface.longestPath, run.count - 1)]
          area.surface.polygon(piece.map(\.0) + piece.reversed().map(\.1), colour.with(alpha: 0.2))
        }
      }
    }
    let dash = dash(area.series, area.theme.categories.count)
    for run in runs(xs.indices.map { area.point(xs[$0], ys[$0]) }) {
      if run.count == 1 || dots { for p in run where run.count < 2000 { area.surface.dot(p, colour, radius: width * 1.5) } }
      area.surface.polyline(thinned(run), colour, width: width, dash: dash)
    }
  }

  /// Stretches without gaps.
  private func runs<T>(_ points: [T?]) -> [[T]] {
    var out: [[T]] = []
    var run: [T] = []
    for p in points {
      if let p {
        run.append(p)
      } else if !run.isEmpty {
        out.append(run)
        run = []
      }
    }
    if !run.isEmpty { out.append(run) }
    return out
  }

  /// Of many points that run rightwards, the first, lowest, highest and last in each quarter of a point: the picture is the same.
  private func thinned(_ run: [Point]) -> [Point] {
    guard run.count > 4000, zip(run, run.dropFirst()).allSatisfy({ $0.x <= $1.x }) else { return run }
    var out: [Point] = []
    var at = 0
    while at < run.count {
      let column = (run[at].x * 4).rounded(.down)
      var end = at
      var (lowest, highest) = (at, at)
      while end < run.count, (run[end].x * 4).rounded(.down) == column {
        if run[end].y < run[lowest].y { lowest = end }
        if run[end].y > run[highest].y { highest = end }
        end += 1
      }
      for i in Set([at, lowest, highest, end - 1]).sorted() { out.append(run[i]) }
      at = end
    }
    return out
  }
}

extension Surface {
  func dot(_ p: Point, _ colour: Colour, radius: Double) {
    cairo_new_path(cairo)
    cairo_arc(cairo, p.x, p.y, radius, 0, 2 * .pi)
    set(colour)
    cairo_fill(cairo)
  }
}
