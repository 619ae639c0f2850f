extension Mark {
  /// Where a text stands from its point.
  public enum Anchor: Sendable { case centre, left, right, above, below }

  /// Texts at points, moved inside the frame where they would leave it. `size` is a multiple of the theme's.
  public static func text(
    _ x: [Double], _ y: [Double], _ texts: [String], anchor: Anchor = .centre, colour: Ink = .strong, size: Double = 0.85
  ) -> Mark {
    Mark(body: Words(xs: x, ys: y, texts: texts, anchor: anchor, ink: colour, size: size))
  }
}

private struct Words: MarkBody {
  let xs: [Double]
  let ys: [Double]
  let texts: [String]
  let anchor: Mark.Anchor
  let ink: Ink
  let size: Double

  var x: Extent { Extent(xs) }
  var y: Extent { Extent(ys) }
  var takesColour: Bool { ink == .automatic }

  func check() throws {
    try requireCount(xs.count, "text", ("y", ys.count), ("texts", texts.count))
    guard size >= 0.3, size <= 10 else { throw PlotError("text: expected a size of 0.3 to 10, found \(size)") }
  }
  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int { unplaced(xs, ys, x, y) }

  func draw(in area: PlotArea) throws {
    let colour = area.theme.colour(ink, automatic: area.series)
    let f = area.frame
    let gap = area.canvas.em * 0.4
    for i in texts.indices {
      guard let p = area.point(xs[i], ys[i]), !texts[i].isEmpty else { continue }
      let label = try area.canvas.label(texts[i], size: size, colour, width: f.width)
      let (w, h) = (label.size.width, label.size.height)
      var (x, y) = (p.x - w / 2, p.y - h / 2)
      switch anchor {
      case .centre: break
      case .left: x = p.x - w - gap
      case .right: x = p.x + gap
      case .above: y = p.y - h - gap * 0.6
      case .below: y = p.y + gap * 0.6
      }
      x = min(max(x, f.x), f.x + f.width - w)
      y = min(max(y, f.y), f.y + f.height - h)
      area.canvas.draw(label, x: x, y: y, .mark, rim: true)
    }
  }
}
