import Foundation

/// An sRGB colour, components 0 to 1.
public struct Colour: Sendable, Equatable {
  public var red: Double
  public var green: Double
  public var blue: Double
  public var alpha: Double

  public init(red: Double, green: Double, blue: Double, alpha: Double = 1) {
    self.red = red
    self.green = green
    self.blue = blue
    self.alpha = alpha
  }

  /// `0xRRGGBB`.
  public init(_ hex: UInt32) {
    func part(_ shift: UInt32) -> Double { Double(hex >> shift & 0xff) / 255 }
    self.init(red: part(16), green: part(8), blue: part(0))
  }

  /// Contrast of two opaque colours, 1 to 21 (WCAG 2.2: relative luminance). Text wants 4.5, graphics 3.
  public func contrast(with other: Colour) -> Double {
    let a = luminance + 0.05
    let b = other.luminance + 0.05
    return max(a, b) / min(a, b)
  }

  private var luminance: Double {
    func linear(_ v: Double) -> Double { v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4) }
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
  }
}

/// Colours and type of a drawing.
public struct Theme: Sendable, Equatable {
  public var background: Colour
  /// Titles and labels.
  public var text: Colour
  /// Captions and notes: less loud, still easily read.
  public var quietText: Colour
  /// Hairlines around pictures, so that their edge is seen on any background.
  public var line: Colour
  /// A fontconfig family list; Pango finds glyphs that it lacks in other fonts.
  public var font: String
  /// Size of labels in points; titles and captions are multiples of it.
  public var fontSize: Double

  public init(background: Colour, text: Colour, quietText: Colour, line: Colour, font: String = "DejaVu Sans", fontSize: Double = 12) {
    self.background = background
    self.text = text
    self.quietText = quietText
    self.line = line
    self.font = font
    self.fontSize = fontSize
  }

  /// Dark ink on white paper.
  public static let light = Theme(background: Colour(0xffffff), text: Colour(0x1c2024), quietText: Colour(0x5f666d), line: Colour(0xd4d8dc))
  /// Light ink on a near-black ground: pure black would smear beside bright pictures.
  public static let dark = Theme(background: Colour(0x15181b), text: Colour(0xeceef0), quietText: Colour(0x9ba2a9), line: Colour(0x3a4046))
}
