import CCairo

extension Mark {
  /// A line across the panel at one value of x, with a few words beside it.
  public static func reference(x: Double, label: String = "", colour: Ink = .quiet, dashed: Bool = true) -> Mark {
    Mark(body: Reference(value: x, isX: true, label: label, ink: colour, dashed: dashed))
  }

  /// A line across the panel at one value of y, with a few words over its right end.
  public static func reference(y: Double, label: String = "", colour: Ink = .quiet, dashed: Bool = true) -> Mark {
    Mark(body: Reference(value: y, isX: false, label: label, ink: colour, dashed: dashed))
  }
}

private struct Reference: MarkBody {
  let value: Double
  let isX: Bool
  let label: String
  let ink: Ink
  let dashed: Bool

  var x: Extent { isX ? Extent([value]) : Extent() }
  var y: Extent { isX ? Extent() : Extent([value]) }
  var takesColour: Bool { ink == .automatic }
  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int {
    isX ? unplaced([value], [1], x, .linear) : unplaced([1], [value], .linear, y)
  }

  func draw(in area: PlotArea) throws {
    let f = area.frame
    let colour = area.theme.colour(ink, automatic: area.series)
    let dash = dashed ? [4.0, 3] : []
    let gap = area.canvas.em * 0.3
    let text = label.isEmpty ? nil : try area.canvas.label(label, size: 0.8, colour, width: f.width * 0.7)
    if isX {
      guard let at = area.x(value), at >= f.x - 0.5, at <= f.x + f.width + 0.5 else { return }
      area.surface.line(Point(x: at, y: f.y), Point(x: at, y: f.y + f.height), colour, width: 1, dash: dash)
      guard let text else { return }
      let right = at + gap + text.size.width <= f.x + f.width
      area.canvas.draw(text, x: right ? at + gap : max(f.x, at - gap - text.size.width), y: f.y + gap * 0.5, .mark, rim: true)
    } else {
      guard let at = area.y(value), at >= f.y - 0.5, at <= f.y + f.height + 0.5 else { return }
      area.surface.line(Point(x: f.x, y: at), Point(x: f.x + f.width, y: at), colour, width: 1, dash: dash)
      guard let text else { return }
      let above = at - text.size.height - gap * 0.3 >= f.y
      area.canvas.draw(
        text, x: f.x + f.width - text.size.width - gap, y: above ? at - text.size.height - gap * 0.3 : at + gap * 0.3, .mark, rim: true)
    }
  }
}

extension Surface {
  func ring(_ p: Point, _ colour: Colour, radius: Double, width: Double) {
    cairo_new_path(cairo)
    cairo_arc(cairo, p.x, p.y, radius, 0, 2 * .pi)
    stroke(colour, width: width)
  }
}
