import CCairo

/// The file formats a drawing can be written in.
public enum FileFormat: String, Sendable, CaseIterable {
  /// Pixels.
  case png
  /// Vectors; text as outlines, so that it looks the same everywhere.
  case svg
  /// Vectors on one page.
  case pdf
}

/// A size or a distance in points: 1/72 inch in PDF, a CSS pixel in SVG, `scale` pixels in PNG.
public struct Size: Sendable, Equatable {
  public var width: Double
  public var height: Double
  public init(width: Double, height: Double) {
    self.width = width
    self.height = height
  }
}

public struct Rectangle: Sendable, Equatable {
  public var x: Double
  public var y: Double
  public var width: Double
  public var height: Double
  public init(x: Double, y: Double, width: Double, height: Double) {
    self.x = x
    self.y = y
    self.width = width
    self.height = height
  }
}

/// What one draws on. The same calls make a PNG, an SVG or a PDF.
///
/// Cairo remembers the first error and ignores all calls after it, so that one check at the end finds any.
final class Surface {
  let cairo: OpaquePointer
  private let surface: OpaquePointer
  private let format: FileFormat
  /// Not pixels.
  var isVector: Bool { format != .png }
  private let sink: Sink

  /// PNG files of more pixels are refused before memory is taken.
  private static let maximumPixels = 1 << 28

  private final class Sink {
    var bytes: [UInt8] = []
  }

  /// - Parameters:
  ///   - size: in points.
  ///   - scale: pixels per point of a PNG; vectors have none.
  init(_ format: FileFormat, size: Size, scale: Double) throws {
    guard size.width.isFinite, size.height.isFinite, scale.isFinite, size.width > 0, size.height > 0, scale > 0 else {
      throw PlotError("drawing: expected a size and a scale above 0, found \(size.width) x \(size.height) at \(scale)")
    }
    let sink = Sink()
    self.sink = sink
    self.format = format
    let collect: cairo_write_func_t = { closure, data, count in
      guard let closure, let data else { return CAIRO_STATUS_WRITE_ERROR }
      Unmanaged<Sink>.fromOpaque(closure).takeUnretainedValue().bytes.append(
        contentsOf: UnsafeBufferPointer(start: data, count: Int(count)))
      return CAIRO_STATUS_SUCCESS
    }
    let closure = Unmanaged.passUnretained(sink).toOpaque()
    let made: OpaquePointer?
    switch format {
    case .png:
      let width = (size.width * scale).rounded(.up)
      let height = (size.height * scale).rounded(.up)
      guard width <= 32767, height <= 32767, width * height <= Double(Self.maximumPixels) else {
        throw PlotError(
          "drawing: \(Int(width)) x \(Int(height)) pixels are too many for a PNG (at most 32767 a side, \(Self.maximumPixels) in all)")
      }
      made = cairo_image_surface_create(CAIRO_FORMAT_RGB24, Int32(width), Int32(height))
    case .svg:
      made = cairo_svg_surface_create_for_stream(collect, closure, size.width, size.height)
      cairo_svg_surface_set_document_unit(made, CAIRO_SVG_UNIT_PX)
    case .pdf:
      made = cairo_pdf_surface_create_for_stream(collect, closure, size.width, size.height)
    }
    guard let made else { throw PlotError("drawing: Cairo could not start") }
    guard cairo_surface_status(made) == CAIRO_STATUS_SUCCESS, let context = cairo_create(made) else {
      let status = cairo_surface_status(made)
      cairo_surface_destroy(made)
      throw PlotError("drawing: \(String(cString: cairo_status_to_string(status)))")
    }
    surface = made
    cairo = context
    try PlotError.check(cairo_status(cairo), "drawing")
    if format == .png { cairo_scale(cairo, scale, scale) }
  }

  deinit {
    cairo_destroy(cairo)
    cairo_surface_finish(surface)
    cairo_surface_destroy(surface)
  }

  /// Title and program of a PDF; other formats have no place for them. The creation date is left out: the same drawing gives the same
  /// bytes.
  func describe(title: String) {
    guard format == .pdf else { return }
    cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, title)
    cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATE_DATE, "")
  }

  /// The whole file. The surface cannot be drawn on any more.
  func finish() throws -> [UInt8] {
    try PlotError.check(cairo_status(cairo), "drawing")
    if format == .png {
      cairo_surface_flush(surface)
      let collect: cairo_write_func_t = { closure, data, count in
        guard let closure, let data else { return CAIRO_STATUS_WRITE_ERROR }
        Unmanaged<Sink>.fromOpaque(closure).takeUnretainedValue().bytes.append(
          contentsOf: UnsafeBufferPointer(start: data, count: Int(count)))
        return CAIRO_STATUS_SUCCESS
      }
      try PlotError.check(cairo_surface_write_to_png_stream(surface, collect, Unmanaged.passUnretained(sink).toOpaque()), "writing PNG")
    } else {
      cairo_show_page(cairo)
      cairo_surface_finish(surface)
    }
    try PlotError.check(cairo_surface_status(surface), "writing \(format.rawValue.uppercased())")
    return format == .svg ? Self.renumbered(sink.bytes) : sink.bytes
  }

  /// Cairo numbers the pictures and groups of an SVG through the life of the process; numbered anew from 0, the same drawing gives the same
  /// bytes.
  private static func renumbered(_ svg: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(svg.count)
    var numbers: [ArraySlice<UInt8>: Int] = [:]
    let names = ["\"image", "\"#image", "\"surface", "\"#surface"].map { Array($0.utf8) }
    var at = 0
    while at < svg.count {
      if svg[at] == UInt8(ascii: "\""), let name = names.first(where: { svg[at...].starts(with: $0) }) {
        let digits = svg[(at + name.count)...].prefix { (48...57).contains($0) }
        let number = numbers[digits] ?? numbers.count
        numbers[digits] = number
        out += name + Array(String(number).utf8)
        at += name.count + digits.count
      } else {
        out.append(svg[at])
        at += 1
      }
    }
    return out
  }

  // MARK: Drawing

  func set(_ colour: Colour) { cairo_set_source_rgba(cairo, colour.red, colour.green, colour.blue, colour.alpha) }

  func fill(_ r: Rectangle, _ colour: Colour) {
    set(colour)
    cairo_rectangle(cairo, r.x, r.y, r.width, r.height)
    cairo_fill(cairo)
  }

  /// A line of `width` just outside of `r`.
  func outline(_ r: Rectangle, _ colour: Colour, width: Double) {
    set(colour)
    cairo_set_line_width(cairo, width)
    cairo_rectangle(cairo, r.x - width / 2, r.y - width / 2, r.width + width, r.height + width)
    cairo_stroke(cairo)
  }

  /// 8-bit RGB rows into `r`. Magnified pixels stay sharp squares; where there are more pixels than room, they are averaged.
  func draw(_ image: RGBImage, in r: Rectangle) throws {
    // Whole-number copies of the pixels, so that no viewer of an SVG or a PDF smooths them.
    let factor = max(1, Int((r.width / Double(image.width)).rounded(.down)))
    let width = image.width * factor
    let height = image.height * factor
    guard let picture = cairo_image_surface_create(CAIRO_FORMAT_RGB24, Int32(width), Int32(height)) else {
      throw PlotError("drawing a picture: out of memory")
    }
    defer { cairo_surface_destroy(picture) }
    try PlotError.check(cairo_surface_status(picture), "drawing a picture of \(width) x \(height) pixels")
    cairo_surface_flush(picture)
    guard let data = cairo_image_surface_get_data(picture) else { throw PlotError("drawing a picture: no memory behind it") }
    let stride = Int(cairo_image_surface_get_stride(picture))
    for y in 0..<height {
      let row = UnsafeMutableRawPointer(data + y * stride).assumingMemoryBound(to: UInt32.self)
      var s = 3 * image.width * (y / factor)
      for x in 0..<image.width {
        let pixel = UInt32(image.pixels[s]) << 16 | UInt32(image.pixels[s + 1]) << 8 | UInt32(image.pixels[s + 2])
        for k in 0..<factor { row[x * factor + k] = pixel }
        s += 3
      }
    }
    cairo_surface_mark_dirty(picture)
    cairo_save(cairo)
    cairo_translate(cairo, r.x, r.y)
    cairo_scale(cairo, r.width / Double(width), r.height / Double(height))
    cairo_set_source_surface(cairo, picture, 0, 0)
    let magnified = r.width >= Double(image.width)
    cairo_pattern_set_filter(cairo_get_source(cairo), magnified ? CAIRO_FILTER_NEAREST : CAIRO_FILTER_BEST)
    // Without this the outermost pixels are mixed with transparency beyond the edge.
    cairo_pattern_set_extend(cairo_get_source(cairo), CAIRO_EXTEND_PAD)
    cairo_rectangle(cairo, 0, 0, Double(width), Double(height))
    cairo_fill(cairo)
    cairo_restore(cairo)
    try PlotError.check(cairo_status(cairo), "drawing a picture")
  }
}

/// 8-bit RGB rows, as a plain array: `pixels` holds `3 * width * height` bytes.
public struct RGBImage: Sendable {
  public let width: Int
  public let height: Int
  public let pixels: [UInt8]

  /// - Throws: `PlotError` when the number of bytes is not `3 * width * height`, or a side is not 1 to 32767.
  public init(width: Int, height: Int, pixels: [UInt8]) throws {
    guard (1...32767).contains(width), (1...32767).contains(height), pixels.count == 3 * width * height else {
      throw PlotError("picture: expected 3 bytes for each of \(width) x \(height) pixels (1 to 32767 a side), found \(pixels.count) bytes")
    }
    self.width = width
    self.height = height
    self.pixels = pixels
  }
}
