import CCairo
import Engine

/// Red, green, blue from 0 to 1.
struct Ink: Equatable {
  var red: Double
  var green: Double
  var blue: Double

  init(_ red: Double, _ green: Double, _ blue: Double) {
    self.red = red
    self.green = green
    self.blue = blue
  }

  static let white = Ink(1, 1, 1)
  static let black = Ink(0, 0, 0)
  /// Eyes.
  static let dark = Ink(0.16, 0.14, 0.20)

  /// `share` of the other, the rest of this.
  func mixed(_ other: Ink, _ share: Double) -> Ink {
    Ink(
      red * (1 - share) + other.red * share, green * (1 - share) + other.green * share, blue * (1 - share) + other.blue * share)
  }
}

/// A square of pixels to draw on, with paths in the units of whoever set the frame: the world's (64 a side) or an object's (its radius is 1).
///
/// One canvas is used by one thread at a time.
final class Canvas {
  let side: Int
  private let surface: OpaquePointer
  private let cairo: OpaquePointer
  /// World units to pixels.
  private var world = cairo_matrix_t()

  /// Width of outlines in world units.
  static let outline = 1.15

  /// - Parameter side: pixels, 8 to 4096.
  /// - Throws: `InputError` `.usage` for other sizes, or when memory runs out.
  init(side: Int) throws {
    guard (8...4096).contains(side) else { throw InputError(.usage, "size \(side): scenes are drawn with 8 to 4096 pixels a side") }
    self.side = side
    guard let surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, Int32(side), Int32(side)), let cairo = cairo_create(surface),
      cairo_status(cairo) == CAIRO_STATUS_SUCCESS
    else { throw InputError(.usage, "size \(side): no memory to draw with", hint: "choose a smaller size") }
    self.surface = surface
    self.cairo = cairo
    cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND)
    cairo_matrix_init_scale(&world, Double(side) / Scene.side, Double(side) / Scene.side)
    cairo_set_matrix(cairo, &world)
  }

  deinit {
    cairo_destroy(cairo)
    cairo_surface_destroy(surface)
  }

  /// Everything transparent, in world units again.
  func clear() {
    cairo_set_matrix(cairo, &world)
    cairo_set_operator(cairo, CAIRO_OPERATOR_CLEAR)
    cairo_paint(cairo)
    cairo_set_operator(cairo, CAIRO_OPERATOR_OVER)
  }

  /// From now on lengths are in radii of an object, measured from its centre.
  func enter(x: Double, y: Double, turned angle: Double, radius: Double, mirrored: Bool) {
    cairo_translate(cairo, x, y)
    if angle != 0 { cairo_rotate(cairo, angle) }
    cairo_scale(cairo, mirrored ? -radius : radius, radius)
  }

  /// Premultiplied pixels: blue, green, red, alpha a pixel, rows of `stride` bytes.
  func withPixels<R>(_ body: (UnsafePointer<UInt8>, _ stride: Int) -> R) -> R? {
    cairo_surface_flush(surface)
    guard let data = cairo_image_surface_get_data(surface) else { return nil }
    return body(UnsafePointer(data), Int(cairo_image_surface_get_stride(surface)))
  }

  // MARK: Paths

  func move(_ x: Double, _ y: Double) { cairo_move_to(cairo, x, y) }
  func line(_ x: Double, _ y: Double) { cairo_line_to(cairo, x, y) }
  func close() { cairo_close_path(cairo) }

  /// A cubic Bézier curve.
  func curve(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ x: Double, _ y: Double) {
    cairo_curve_to(cairo, x1, y1, x2, y2, x, y)
  }

  func polygon(_ points: (Double, Double)...) { polygon(points) }

  func polygon(_ points: [(Double, Double)]) {
    for (i, p) in points.enumerated() { i == 0 ? move(p.0, p.1) : line(p.0, p.1) }
    close()
  }

  func rectangle(_ left: Double, _ top: Double, _ right: Double, _ bottom: Double) {
    polygon((left, top), (right, top), (right, bottom), (left, bottom))
  }

  func circle(_ x: Double, _ y: Double, _ r: Double) {
    cairo_new_sub_path(cairo)
    cairo_arc(cairo, x, y, r, 0, 2 * .pi)
  }

  func ellipse(_ x: Double, _ y: Double, _ rx: Double, _ ry: Double, turned angle: Double = 0) {
    cairo_save(cairo)
    cairo_translate(cairo, x, y)
    if angle != 0 { cairo_rotate(cairo, angle) }
    cairo_scale(cairo, rx, ry)
    circle(0, 0, 1)
    cairo_restore(cairo)
  }

  /// Part of a circle, in radians; backwards when it ends before it begins.
  func arc(_ x: Double, _ y: Double, _ r: Double, from start: Double, to end: Double) {
    if end < start { cairo_arc_negative(cairo, x, y, r, start, end) } else { cairo_arc(cairo, x, y, r, start, end) }
  }

  // MARK: Ink

  private func dip(_ ink: Ink) { cairo_set_source_rgb(cairo, ink.red, ink.green, ink.blue) }

  /// All of it.
  func paint(_ ink: Ink) {
    dip(ink)
    cairo_paint(cairo)
  }

  func fill(_ ink: Ink) {
    dip(ink)
    cairo_fill(cairo)
  }

  /// Outlines have the same width on objects of every radius.
  func fill(_ ink: Ink, line: Ink, width: Double = Canvas.outline) {
    dip(ink)
    cairo_fill_preserve(cairo)
    stroke(line, width)
  }

  /// - Parameters:
  ///   - width: world units, whatever the frame is.
  ///   - isBlunt: the line ends where it ends, without a half circle.
  func stroke(_ ink: Ink, _ width: Double, isBlunt: Bool = false) {
    var frame = cairo_matrix_t()
    cairo_get_matrix(cairo, &frame)
    cairo_set_matrix(cairo, &world)
    cairo_set_line_width(cairo, width)
    cairo_set_line_cap(cairo, isBlunt ? CAIRO_LINE_CAP_BUTT : CAIRO_LINE_CAP_ROUND)
    dip(ink)
    cairo_stroke(cairo)
    cairo_set_matrix(cairo, &frame)
  }

  /// Circles that flow together into one outlined shape.
  func blob(_ circles: [(x: Double, y: Double, r: Double)], _ ink: Ink, line: Ink) {
    for c in circles {
      circle(c.x, c.y, c.r)
      stroke(line, 2 * Self.outline)
    }
    for c in circles {
      circle(c.x, c.y, c.r)
      fill(ink)
    }
  }
}
