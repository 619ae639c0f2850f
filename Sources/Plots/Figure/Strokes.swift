import CCairo
import Foundation

struct Point: Equatable {
  var x: Double
  var y: Double
}

/// What marks are drawn with.
extension Surface {
  func clipped(to r: Rectangle, _ body: () throws -> Void) rethrows {
    cairo_save(cairo)
    defer { cairo_restore(cairo) }
    cairo_rectangle(cairo, r.x, r.y, r.width, r.height)
    cairo_clip(cairo)
    try body()
  }

  func line(_ from: Point, _ to: Point, _ colour: Colour, width: Double, dash: [Double] = []) {
    polyline([from, to], colour, width: width, dash: dash)
  }

  /// Cairo's time for one path grows with the square of its parts where these cross: long lines are drawn piece by piece.
  static let longestPath = 256

  func polyline(_ points: [Point], _ colour: Colour, width: Double, dash: [Double] = []) {
    let pieces = points.count > 4 * Self.longestPath ? Self.longestPath : max(points.count, 1)
    var at = 0
    repeat {
      let piece = points[at..<min(at + pieces + 1, points.count)]
      guard let first = piece.first else { return }
      cairo_new_path(cairo)
      cairo_move_to(cairo, first.x, first.y)
      for p in piece.dropFirst() { cairo_line_to(cairo, p.x, p.y) }
      stroke(colour, width: width, dash: dash)
      at += pieces
    } while at < points.count - 1
  }

  /// What lies on the path.
  func stroke(_ colour: Colour, width: Double, dash: [Double] = []) {
    set(colour)
    cairo_set_line_width(cairo, width)
    cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND)
    cairo_set_line_cap(cairo, dash.isEmpty ? CAIRO_LINE_CAP_ROUND : CAIRO_LINE_CAP_BUTT)
    cairo_set_dash(cairo, dash, Int32(dash.count), 0)
    cairo_stroke(cairo)
    cairo_set_dash(cairo, nil, 0, 0)
    cairo_set_line_cap(cairo, CAIRO_LINE_CAP_BUTT)
  }

  func polygon(_ points: [Point], _ colour: Colour) {
    guard let first = points.first else { return }
    cairo_new_path(cairo)
    cairo_move_to(cairo, first.x, first.y)
    for p in points.dropFirst() { cairo_line_to(cairo, p.x, p.y) }
    cairo_close_path(cairo)
    set(colour)
    cairo_fill(cairo)
  }

  /// A filled head at `tip`, pointing away from `tail`.
  func arrowHead(_ tip: Point, from tail: Point, _ colour: Colour, size: Double) {
    let (dx, dy) = (tip.x - tail.x, tip.y - tail.y)
    let length = hypot(dx, dy)
    guard length > 1e-9 else { return }
    let (ux, uy) = (dx / length, dy / length)
    let (bx, by) = (tip.x - ux * size, tip.y - uy * size)
    let half = size * 0.45
    polygon(
      [
        tip, Point(x: bx - uy * half, y: by + ux * half), Point(x: bx + ux * size * 0.2, y: by + uy * size * 0.2),
        Point(x: bx + uy * half, y: by - ux * half),
      ], colour)
  }

  /// Draws on pixels of its own, `scale` a point, and lays them over `frame`: for marks of so many parts that a vector file of them
  /// could not be opened.
  func rasterised(_ frame: Rectangle, scale: Double, _ body: (OpaquePointer) -> Void) throws {
    let width = Int32(clamping: Int((frame.width * scale).rounded(.up)))
    let height = Int32(clamping: Int((frame.height * scale).rounded(.up)))
    guard let picture = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, width, height) else { throw PlotError("drawing: out of memory") }
    defer { cairo_surface_destroy(picture) }
    try PlotError.check(cairo_surface_status(picture), "drawing \(width) x \(height) pixels")
    guard let context = cairo_create(picture) else { throw PlotError("drawing: out of memory") }
    defer { cairo_destroy(context) }
    cairo_scale(context, scale, scale)
    cairo_translate(context, -frame.x, -frame.y)
    body(context)
    try PlotError.check(cairo_status(context), "drawing")
    cairo_save(cairo)
    cairo_translate(cairo, frame.x, frame.y)
    cairo_scale(cairo, 1 / scale, 1 / scale)
    cairo_set_source_surface(cairo, picture, 0, 0)
    cairo_paint(cairo)
    cairo_restore(cairo)
  }
}

/// Signs for points. Categories beyond the colours there are get another one.
enum Sign: Int, CaseIterable {
  case circle, square, diamond, triangle, cross

  /// The sign and colour number of a category.
  static func of(_ category: Int, colours: Int) -> Sign {
    allCases[max(category, 0) / max(colours, 1) % allCases.count]
  }

  /// Adds it to the path, with about the area of a circle of radius `r`.
  func trace(_ cairo: OpaquePointer, x: Double, y: Double, radius r: Double) {
    switch self {
    case .circle:
      cairo_new_sub_path(cairo)
      cairo_arc(cairo, x, y, r, 0, 2 * .pi)
    case .square:
      let s = r * 0.89
      cairo_rectangle(cairo, x - s, y - s, 2 * s, 2 * s)
    case .diamond: closed(cairo, [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)], x, y, r)
    case .triangle: closed(cairo, [(0, -1.35), (1.17, 0.68), (-1.17, 0.68)], x, y, r)
    case .cross:
      let a = 0.45
      let b = 1.2
      closed(cairo, [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)], x, y, r)
    }
  }

  private func closed(_ cairo: OpaquePointer, _ corners: [(Double, Double)], _ x: Double, _ y: Double, _ r: Double) {
    for (i, c) in corners.enumerated() {
      if i == 0 { cairo_move_to(cairo, x + c.0 * r, y + c.1 * r) } else { cairo_line_to(cairo, x + c.0 * r, y + c.1 * r) }
    }
    cairo_close_path(cairo)
  }
}

extension Surface {
  func sign(_ sign: Sign, _ p: Point, _ colour: Colour, radius: Double) {
    cairo_new_path(cairo)
    sign.trace(cairo, x: p.x, y: p.y, radius: radius)
    set(colour)
    cairo_fill(cairo)
  }
}
