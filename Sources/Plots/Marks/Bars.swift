extension Mark {
  /// Bars from zero. Several bar marks in one panel stand side by side.
  ///
  /// - Parameters:
  ///   - at: the places of the bars; nil for 0, 1, 2, ..., the places of a categorical axis.
  ///   - interval: lower and upper ends, drawn as a whisker.
  ///   - horizontal: the values run along x.
  ///   - values: writes each value at the end of its bar.
  public static func bars(
    _ heights: [Double], at: [Double]? = nil, interval: (low: [Double], high: [Double])? = nil, label: String = "",
    colour: Ink = .automatic, horizontal: Bool = false, values: Bool = false
  ) -> Mark {
    Mark(
      body: Bars(
        heights: heights, places: at ?? heights.indices.map(Double.init), low: interval?.low, high: interval?.high, label: label,
        ink: colour, horizontal: horizontal, writesValues: values))
  }
}

private struct Bars: MarkBody {
  let heights: [Double]
  let places: [Double]
  let low: [Double]?
  let high: [Double]?
  let label: String
  let ink: Ink
  let horizontal: Bool
  let writesValues: Bool

  private var along: Extent {
    var e = Extent(places)
    if e.low <= e.high {
      let half = step / 2
      e.add(e.low - half)
      e.add(e.high + half)
    }
    return e
  }
  private var across: Extent {
    var e = Extent(heights, zero: true)
    if let low { e.join(Extent(low)) }
    if let high { e.join(Extent(high)) }
    if writesValues, e.low <= e.high {
      // Room for the numbers at the ends.
      if e.high > 0 { e.add(e.high + (e.high - min(e.low, 0)) * 0.07) }
      if e.low < 0 { e.add(e.low - (max(e.high, 0) - e.low) * 0.07) }
    }
    return e
  }
  var x: Extent { horizontal ? across : along }
  var y: Extent { horizontal ? along : across }
  var takesColour: Bool { ink == .automatic }
  var standsBeside: Bool { true }

  /// The smallest distance of two bars.
  private var step: Double {
    let sorted = places.filter(\.isFinite).sorted()
    return zip(sorted, sorted.dropFirst()).map { $1 - $0 }.filter { $0 > 0 }.min() ?? 1
  }

  func check() throws {
    guard places.count == heights.count else {
      throw PlotError("bars: expected as many places as values (\(heights.count)), found \(places.count)")
    }
    guard (low ?? heights).count == heights.count, (high ?? heights).count == heights.count else {
      throw PlotError("bars: expected \(heights.count) lower and upper ends, found \(low?.count ?? 0) and \(high?.count ?? 0)")
    }
  }

  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int {
    horizontal ? unplaced(heights, places, x, y) : unplaced(places, heights, x, y)
  }

  func legend(series: Int, theme: Theme) -> [LegendEntry] {
    label.isEmpty ? [] : [LegendEntry(label, theme.colour(ink, automatic: series), .swatch)]
  }

  func draw(in area: PlotArea) throws {
    let colour = area.theme.colour(ink, automatic: area.series)
    let (alongScale, acrossScale) = horizontal ? (area.y, area.x) : (area.x, area.y)
    let room = step * (alongScale.kind == .log ? 0 : alongScale.pointsPerUnit)
    let whole = max(min(room * 0.78, 64), 0.5)
    let width = whole / Double(area.place.of)
    // A logarithmic axis has no zero: bars stand on its lower end.
    let zero = acrossScale(0) ?? acrossScale.start
    for i in heights.indices {
      guard let centre = alongScale(places[i]), let end = acrossScale(heights[i]) else { continue }
      let from = centre - whole / 2 + width * Double(area.place.index)
      let gap = area.place.of > 1 ? min(1, width * 0.1) : 0
      let side = max(width - gap, 0.3)
      let box =
        horizontal
        ? Rectangle(x: min(zero, end), y: from, width: abs(end - zero), height: side)
        : Rectangle(x: from, y: min(zero, end), width: side, height: abs(end - zero))
      area.surface.fill(box, colour)
      let whisker = try interval(i, middle: from + side / 2, reach: min(side * 0.25, 5), across: acrossScale, in: area)
      if writesValues {
        let tip = heights[i] < 0 ? min(whisker?.low ?? end, end, by: acrossScale) : max(whisker?.high ?? end, end, by: acrossScale)
        try writeValue(heights[i], middle: from + side / 2, tip: tip, negative: heights[i] < 0, in: area)
      }
    }
  }

  private func min(_ a: Double, _ b: Double, by scale: Scale) -> Double { scale.end >= scale.start ? Swift.min(a, b) : Swift.max(a, b) }
  private func max(_ a: Double, _ b: Double, by scale: Scale) -> Double { scale.end >= scale.start ? Swift.max(a, b) : Swift.min(a, b) }
  private func min(_ a: Double, _ b: Double) -> Double { Swift.min(a, b) }
  private func max(_ a: Double, _ b: Double) -> Double { Swift.max(a, b) }

  /// The whisker; its ends in points.
  private func interval(_ i: Int, middle: Double, reach: Double, across: Scale, in area: PlotArea) throws -> (low: Double, high: Double)? {
    guard let low, let high, let a = across(low[i]), let b = across(high[i]) else { return nil }
    func place(_ along: Double, _ value: Double) -> Point { horizontal ? Point(x: value, y: along) : Point(x: along, y: value) }
    // Seen on the bar and on the ground.
    for (colour, width) in [(area.theme.background.with(alpha: 0.7), 3.2), (area.theme.text, 1.2)] {
      area.surface.line(place(middle, a), place(middle, b), colour, width: width)
      for end in [a, b] { area.surface.line(place(middle - reach, end), place(middle + reach, end), colour, width: width) }
    }
    return (a, b)
  }

  private func writeValue(_ value: Double, middle: Double, tip: Double, negative: Bool, in area: PlotArea) throws {
    let label = try area.canvas.label(NumberFormat.short(value), size: 0.78, area.theme.text)
    let size = label.size
    let (f, gap) = (area.frame, area.canvas.em * 0.3)
    var at =
      horizontal
      ? Point(x: negative ? tip - gap - size.width : tip + gap, y: middle - size.height / 2)
      : Point(x: middle - size.width / 2, y: negative ? tip + gap * 0.5 : tip - size.height - gap * 0.5)
    at.x = min(max(at.x, f.x), f.x + f.width - size.width)
    at.y = min(max(at.y, f.y), f.y + f.height - size.height)
    area.canvas.draw(label, x: at.x, y: at.y, .mark)
  }
}
