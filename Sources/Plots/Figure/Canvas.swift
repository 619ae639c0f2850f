import CCairo
import Foundation

/// A text on a figure, for what must hold of all of them: inside the figure, not cut, not over each other.
struct DrawnText: Equatable {
  enum Role: Equatable { case title, subtitle, note, panelTitle, axisName, xTick, yTick, legend, colourBar, mark }
  var role: Role
  /// Which panel, from 0; -1 for the figure.
  var panel: Int
  var string: String
  /// Upright box around it.
  var box: Rectangle
  var cut: Bool
  /// Height of its letters' line when it rises to the right, ending at the box's upper right corner; 0 when it lies.
  var slantedHeight = 0.0
}

/// A surface with a theme, and a memory of the texts that were drawn.
final class Canvas {
  let surface: Surface
  let theme: Theme
  private(set) var texts: [DrawnText] = []
  var panel = -1

  init(_ surface: Surface, _ theme: Theme) {
    self.surface = surface
    self.theme = theme
  }

  var em: Double { theme.fontSize }
  var cairo: OpaquePointer { surface.cairo }

  /// One set text and where its letters begin.
  struct Label {
    let text: Text
    let string: String
    var size: Size { text.size }
  }

  /// - Parameter size: in multiples of the theme's font size.
  func label(
    _ string: String, size: Double = 0.85, _ colour: Colour? = nil, bold: Bool = false, width: Double = 4000, lines: Int = 1,
    alignment: Text.Alignment = .left
  ) throws -> Label {
    // What no line can hold need not be shaped: 2,000 letters are more than any place here has.
    let short = string.count > 2000 ? String(string.prefix(2000)) + "…" : string
    let style = Text.Style(size: em * size, colour: colour ?? theme.text, bold: bold, alignment: alignment, lines: lines)
    return Label(text: try Text(short, font: theme.font, style, width: width, on: surface), string: string)
  }

  /// With the upper left corner of its letters at (x, y).
  func draw(_ label: Label, x: Double, y: Double, _ role: DrawnText.Role, rim: Bool = false) {
    if rim {
      label.text.drawRim(x: x - label.text.inset, y: y, theme.background.with(alpha: 0.85), width: em * 0.16, on: surface)
    }
    label.text.draw(x: x - label.text.inset, y: y, on: surface)
    note(label, Rectangle(x: x, y: y, width: label.size.width, height: label.size.height), role)
  }

  /// Rising to the right by `angle`, its last letter ending at (x, y).
  func drawSlanted(_ label: Label, endX x: Double, y: Double, angle: Double, _ role: DrawnText.Role) {
    let (w, h) = (label.size.width, label.size.height)
    cairo_save(cairo)
    cairo_translate(cairo, x, y)
    cairo_rotate(cairo, -angle)
    label.text.draw(x: -w - label.text.inset, y: -h / 2, on: surface)
    cairo_restore(cairo)
    let width = w * cos(angle) + h * sin(angle)
    let box = Rectangle(
      x: x - w * cos(angle) - h / 2 * sin(angle), y: y - h / 2 * cos(angle), width: width, height: w * sin(angle) + h * cos(angle))
    note(label, box, role, slantedHeight: h)
  }

  private func note(_ label: Label, _ box: Rectangle, _ role: DrawnText.Role, slantedHeight: Double = 0) {
    texts.append(
      DrawnText(role: role, panel: panel, string: label.string, box: box, cut: label.text.isCut, slantedHeight: slantedHeight))
  }
}
