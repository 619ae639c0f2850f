import CCairo

extension Mark {
  /// Points of one colour.
  ///
  /// - Parameters:
  ///   - x, y: as many of each; points that are not finite are left out, and the figure's note counts them.
  ///   - radius: in points.
  public static func points(
    _ x: [Double], _ y: [Double], label: String = "", colour: Ink = .automatic, radius: Double = 3, opacity: Double = 0.85
  ) -> Mark {
    Mark(body: Points(xs: x, ys: y, paint: .one(colour, label), radius: radius, opacity: opacity))
  }

  /// Points coloured by category: `categories[i]` is the index of the i-th point's name in `names`; other indices are drawn quietly and
  /// are not in the legend.
  public static func points(
    _ x: [Double], _ y: [Double], categories: [Int], names: [String], radius: Double = 3, opacity: Double = 0.85
  ) -> Mark {
    Mark(body: Points(xs: x, ys: y, paint: .categories(categories, names), radius: radius, opacity: opacity))
  }

  /// Points coloured by a value.
  public static func points(
    _ x: [Double], _ y: [Double], values: [Double], colours: ColourScale, radius: Double = 3, opacity: Double = 0.9
  ) -> Mark {
    Mark(body: Points(xs: x, ys: y, paint: .values(values, colours), radius: radius, opacity: opacity))
  }
}

private struct Points: MarkBody {
  enum Paint: Sendable {
    case one(Ink, String)
    case categories([Int], [String])
    case values([Double], ColourScale)
  }
  let xs: [Double]
  let ys: [Double]
  let paint: Paint
  let radius: Double
  let opacity: Double

  /// A vector file of more is no use to anybody: pixels from here on.
  private static let mostVectors = 20_000

  var x: Extent { Extent(xs) }
  var y: Extent { Extent(ys) }
  var coloured: (scale: ColourScale, extent: Extent)? {
    if case .values(let values, let colours) = paint { return (colours, Extent(values)) }
    return nil
  }
  var takesColour: Bool {
    if case .one(.automatic, _) = paint { return true }
    return false
  }

  func check() throws {
    try requireCount(xs.count, "points", ("y", ys.count))
    switch paint {
    case .one: break
    case .categories(let c, _): try requireCount(xs.count, "points", ("categories", c.count))
    case .values(let v, _): try requireCount(xs.count, "points", ("values", v.count))
    }
    guard radius > 0, radius <= 100, (0...1).contains(opacity) else {
      throw PlotError("points: expected a radius of up to 100 points and an opacity of 0 to 1, found \(radius) and \(opacity)")
    }
  }

  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int { unplaced(xs, ys, x, y) }

  func legend(series: Int, theme: Theme) -> [LegendEntry] {
    switch paint {
    case .one(let ink, let label):
      return label.isEmpty ? [] : [LegendEntry(label, theme.colour(ink, automatic: series), .sign(.circle))]
    case .categories(let categories, let names):
      let used = Set(categories)
      let colours = theme.categories.count
      return names.indices.filter(used.contains).map {
        LegendEntry(names[$0], theme.category($0), .sign(Sign.of($0, colours: colours)))
      }
    case .values: return []
    }
  }

  func draw(in area: PlotArea) throws {
    if xs.count > Self.mostVectors, area.surface.isVector {
      try area.surface.rasterised(area.frame, scale: 3) { draw(in: area, on: $0) }
    } else {
      draw(in: area, on: area.surface.cairo)
    }
  }

  private func draw(in area: PlotArea, on cairo: OpaquePointer) {
    let theme = area.theme
    let palette = theme.categories.map { $0.with(alpha: opacity) }
    let quiet = theme.quietText.with(alpha: opacity * 0.5)
    let rim = theme.quietText.with(alpha: opacity)
    var current: Colour?
    for i in xs.indices {
      guard let p = area.point(xs[i], ys[i]) else { continue }
      // Far outside of the frame nothing can be seen of it.
      guard p.x > area.frame.x - radius * 2, p.x < area.frame.x + area.frame.width + radius * 2 else { continue }
      var sign = Sign.circle
      let colour: Colour
      switch paint {
      case .one(let ink, _): colour = current ?? theme.colour(ink, automatic: area.series).with(alpha: opacity)
      case .categories(let categories, let names):
        let c = categories[i]
        let known = names.indices.contains(c)
        colour = known ? palette[c % palette.count] : quiet
        if known { sign = Sign.of(c, colours: palette.count) }
      case .values(let values, _): colour = area.colours?.colour(values[i])?.with(alpha: opacity) ?? quiet
      }
      if colour != current {
        cairo_set_source_rgba(cairo, colour.red, colour.green, colour.blue, colour.alpha)
        current = colour
      }
      sign.trace(cairo, x: p.x, y: p.y, radius: radius)
      // The ends of palettes vanish on one of the grounds: such points get a rim.
      let needsRim = if case .values = paint { radius >= 1.5 && colour.contrast(with: theme.background) < 2 } else { false }
      if needsRim { cairo_fill_preserve(cairo) } else { cairo_fill(cairo) }
      guard needsRim else { continue }
      cairo_set_source_rgba(cairo, rim.red, rim.green, rim.blue, rim.alpha)
      cairo_set_line_width(cairo, 0.7)
      cairo_stroke(cairo)
      current = nil
    }
  }
}
