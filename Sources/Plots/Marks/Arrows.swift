import Foundation

extension Mark {
  /// A path through points in the order given, with arrows along it: a ring where it begins, an arrow where it ends.
  ///
  /// - Parameter arrows: how many more arrows along the way, evenly spaced.
  public static func trajectory(
    _ x: [Double], _ y: [Double], label: String = "", colour: Ink = .automatic, width: Double = 1.5, arrows: Int = 3
  ) -> Mark {
    Mark(body: Trajectory(xs: x, ys: y, label: label, ink: colour, width: width, arrows: arrows))
  }

  /// Arrows from (x, y) to (x + dx, y + dy), all in units of the axes.
  public static func arrows(
    _ x: [Double], _ y: [Double], dx: [Double], dy: [Double], label: String = "", colour: Ink = .automatic, width: Double = 1.2
  ) -> Mark {
    Mark(body: Arrows(xs: x, ys: y, dx: dx, dy: dy, label: label, ink: colour, width: width))
  }
}

private struct Trajectory: MarkBody {
  let xs: [Double]
  let ys: [Double]
  let label: String
  let ink: Ink
  let width: Double
  let arrows: Int

  var x: Extent { Extent(xs) }
  var y: Extent { Extent(ys) }
  var takesColour: Bool { ink == .automatic }

  func check() throws {
    try requireCount(xs.count, "trajectory", ("y", ys.count))
    guard width > 0, width <= 100, (0...1000).contains(arrows) else {
      throw PlotError("trajectory: expected a width of up to 100 points and 0 to 1000 arrows, found \(width) and \(arrows)")
    }
  }
  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int { unplaced(xs, ys, x, y) }
  func legend(series: Int, theme: Theme) -> [LegendEntry] {
    label.isEmpty ? [] : [LegendEntry(label, theme.colour(ink, automatic: series), .line(width: width, dash: [], band: false, dots: false))]
  }

  func draw(in area: PlotArea) throws {
    let colour = area.theme.colour(ink, automatic: area.series)
    let path = zip(xs, ys).compactMap { area.point($0, $1) }
    guard let first = path.first, let last = path.last else { return }
    // A rim, so that the path is seen over points.
    area.surface.polyline(path, area.theme.background.with(alpha: 0.75), width: width + 2)
    area.surface.polyline(path, colour, width: width)
    let head = 4 + width * 2.2
    let lengths = zip(path, path.dropFirst()).map { hypot($1.x - $0.x, $1.y - $0.y) }
    let total = lengths.reduce(0, +)
    if total > head {
      var walked = 0.0
      var next = 1
      for (i, length) in lengths.enumerated() where length > 0 {
        while next <= arrows, walked + length >= total * Double(next) / Double(arrows + 1) {
          let part = (total * Double(next) / Double(arrows + 1) - walked) / length
          let (a, b) = (path[i], path[i + 1])
          let centre = Point(x: a.x + (b.x - a.x) * part, y: a.y + (b.y - a.y) * part)
          let tip = Point(x: centre.x + (b.x - a.x) / length * head / 2, y: centre.y + (b.y - a.y) / length * head / 2)
          area.surface.arrowHead(tip, from: a == tip ? first : a, colour, size: head)
          next += 1
        }
        walked += length
      }
      // The direction at the end: from the last point that is not on it.
      if let before = path.last(where: { hypot($0.x - last.x, $0.y - last.y) > 0.5 }) {
        area.surface.arrowHead(last, from: before, colour, size: head * 1.25)
      }
    }
    area.surface.dot(first, area.theme.background, radius: width + 2)
    area.surface.ring(first, colour, radius: width + 2, width: width)
  }
}

private struct Arrows: MarkBody {
  let xs: [Double]
  let ys: [Double]
  let dx: [Double]
  let dy: [Double]
  let label: String
  let ink: Ink
  let width: Double

  var x: Extent {
    var e = Extent(xs)
    e.join(Extent(zip(xs, dx).map { $0 + $1 }))
    return e
  }
  var y: Extent {
    var e = Extent(ys)
    e.join(Extent(zip(ys, dy).map { $0 + $1 }))
    return e
  }
  var takesColour: Bool { ink == .automatic }

  func check() throws {
    try requireCount(xs.count, "arrows", ("y", ys.count), ("dx", dx.count), ("dy", dy.count))
    guard width > 0, width <= 100 else { throw PlotError("arrows: expected a width of up to 100 points, found \(width)") }
  }
  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int {
    unplaced(zip(xs, dx).map { $0 + $1 }, zip(ys, dy).map { $0 + $1 }, x, y)
  }
  func legend(series: Int, theme: Theme) -> [LegendEntry] {
    label.isEmpty ? [] : [LegendEntry(label, theme.colour(ink, automatic: series), .line(width: width, dash: [], band: false, dots: false))]
  }

  func draw(in area: PlotArea) throws {
    let colour = area.theme.colour(ink, automatic: area.series)
    for i in xs.indices {
      guard let a = area.point(xs[i], ys[i]), let b = area.point(xs[i] + dx[i], ys[i] + dy[i]) else { continue }
      let length = hypot(b.x - a.x, b.y - a.y)
      guard length > 0 else { continue }
      let head = min(4 + width * 2.2, length)
      // The shaft ends inside the head, so that its tip stays sharp.
      let part = max(0, (length - head * 0.7) / length)
      area.surface.line(a, Point(x: a.x + (b.x - a.x) * part, y: a.y + (b.y - a.y) * part), colour, width: width)
      area.surface.arrowHead(b, from: a, colour, size: head)
    }
  }
}
