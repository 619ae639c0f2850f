import CCairo
import CPango

/// Text set by Pango: any script, fallback fonts, emoji, wrapping and ellipsis.
final class Text {
  struct Style {
    var size: Double
    var colour: Colour
    var bold = false
    var alignment = Alignment.left
    /// Lines that do not fit are cut, and "…" says so.
    var lines = 1
    /// Points between the baselines beyond the font's own distance.
    var leading = 0.0
  }
  enum Alignment { case left, centre, right }

  private let layout: OpaquePointer
  private let colour: Colour
  /// What the text takes, its lines' full height included. Not more than the width that it was given.
  let size: Size
  /// How far the text begins right of its column's left edge: text of scripts that run leftwards stands at the right by nature.
  let inset: Double
  /// Something did not fit and was replaced by "…".
  let isCut: Bool

  /// Sets `text` in a column `width` points wide.
  ///
  /// Glyphs are placed without hinting, so that lines break alike at every scale and in every format.
  init(_ text: String, font: String, _ style: Style, width: Double, on surface: Surface) throws {
    guard let layout = pango_cairo_create_layout(surface.cairo) else { throw PlotError("text: Pango could not start") }
    self.layout = layout
    colour = style.colour
    guard let options = cairo_font_options_create() else { throw PlotError("text: out of memory") }
    defer { cairo_font_options_destroy(options) }
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE)
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF)
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY)
    let context = pango_layout_get_context(layout)
    pango_cairo_context_set_font_options(context, options)
    pango_cairo_context_set_resolution(context, 72)  // one point is one unit
    pango_context_set_round_glyph_positions(context, 0)  // whole-point advances would tear words apart
    pango_layout_context_changed(layout)

    guard let description = pango_font_description_new() else { throw PlotError("text: out of memory") }
    defer { pango_font_description_free(description) }
    pango_font_description_set_family(description, font)
    pango_font_description_set_absolute_size(description, style.size * Double(PANGO_SCALE))
    pango_font_description_set_weight(description, style.bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL)
    guard let face = pango_context_load_font(context, description) else {
      throw PlotError("text: there is no font on this machine; install one (Debian: fonts-dejavu-core)")
    }
    cpango_unref(face)
    pango_layout_set_font_description(layout, description)

    // Pango takes bytes and a count: a NUL in the text cannot end it early.
    let utf8 = Array(Self.printable(text).utf8.prefix(100_000))
    utf8.withUnsafeBufferPointer { p in
      p.withMemoryRebound(to: CChar.self) { pango_layout_set_text(layout, $0.baseAddress, Int32($0.count)) }
    }
    pango_layout_set_width(layout, Int32(clamping: Int((max(width, 1) * Double(PANGO_SCALE)).rounded(.up))))
    pango_layout_set_wrap(layout, PANGO_WRAP_WORD_CHAR)
    pango_layout_set_ellipsize(layout, PANGO_ELLIPSIZE_END)
    pango_layout_set_height(layout, -Int32(clamping: max(style.lines, 1)))  // negative: lines per paragraph
    pango_layout_set_spacing(layout, Int32(style.leading * Double(PANGO_SCALE)))
    let alignment =
      switch style.alignment {
      case .left: PANGO_ALIGN_LEFT
      case .centre: PANGO_ALIGN_CENTER
      case .right: PANGO_ALIGN_RIGHT
      }
    pango_layout_set_alignment(layout, alignment)
    var extent = PangoRectangle()
    pango_layout_get_extents(layout, nil, &extent)
    let unit = Double(PANGO_SCALE)
    size = Size(width: Double(extent.width) / unit, height: Double(extent.height) / unit)
    inset = Double(extent.x) / unit
    isCut = pango_layout_is_ellipsized(layout) != 0
    try PlotError.check(cairo_status(surface.cairo), "text")
  }

  deinit { cpango_unref(UnsafeMutableRawPointer(layout)) }

  /// Line breaks and other controls become blanks: the number of lines limits each paragraph, so a text has only one.
  private static func printable(_ text: String) -> String {
    var out = String.UnicodeScalarView()
    for s in text.unicodeScalars { out.append(s.value < 0x20 || s.value == 0x7f || (0x2028...0x2029).contains(s.value) ? " " : s) }
    return String(out)
  }

  /// With the column's upper left corner at (x, y).
  func draw(x: Double, y: Double, on surface: Surface) {
    surface.set(colour)
    cairo_move_to(surface.cairo, x, y)
    pango_cairo_update_layout(surface.cairo, layout)
    pango_cairo_show_layout(surface.cairo, layout)
  }

  /// A rim of `width` points around the glyphs, so that they can be read on lines and pictures. Drawn before the text itself.
  func drawRim(x: Double, y: Double, _ rim: Colour, width: Double, on surface: Surface) {
    surface.set(rim)
    cairo_save(surface.cairo)
    cairo_new_path(surface.cairo)
    cairo_move_to(surface.cairo, x, y)
    pango_cairo_update_layout(surface.cairo, layout)
    pango_cairo_layout_path(surface.cairo, layout)
    cairo_set_line_width(surface.cairo, 2 * width)
    cairo_set_line_join(surface.cairo, CAIRO_LINE_JOIN_ROUND)
    cairo_stroke(surface.cairo)
    cairo_restore(surface.cairo)
  }
}
