/// Colours for magnitudes, lowest first: 256 entries.
public struct Palette: Sendable, Equatable {
  public let name: String
  /// 256 entries of red, green and blue: what a canvas needs to colour 8-bit data as the figures do.
  public let bytes: [UInt8]
  /// Zero lies in the middle: a domain is made symmetric around it.
  public let diverging: Bool

  private init(name: String, hex: String) {
    self.name = name
    bytes = hex.split { $0 == " " || $0 == "\n" }.flatMap { entry -> [UInt8] in
      let v = UInt32(entry, radix: 16) ?? 0
      return [UInt8(v >> 16 & 255), UInt8(v >> 8 & 255), UInt8(v & 255)]
    }
    diverging = false
  }

  /// Piecewise linear between equally spaced colours `0xRRGGBB`.
  private init(diverging name: String, _ anchors: [UInt32]) {
    self.name = name
    diverging = true
    bytes = (0..<256).flatMap { i -> [UInt8] in
      let at = Double(i) / 255 * Double(anchors.count - 1)
      let k = min(Int(at), anchors.count - 2)
      let part = at - Double(k)
      return [16, 8, 0].map { (shift: UInt32) in
        let a = Double(anchors[k] >> shift & 255)
        let b = Double(anchors[k + 1] >> shift & 255)
        return UInt8((a + (b - a) * part).rounded(.down))
      }
    }
  }

  public static let viridis = Palette(name: "viridis", hex: PaletteTables.viridis)
  public static let magma = Palette(name: "magma", hex: PaletteTables.magma)
  public static let inferno = Palette(name: "inferno", hex: PaletteTables.inferno)
  public static let cividis = Palette(name: "cividis", hex: PaletteTables.cividis)
  /// Blue below zero, nearly white at zero, red above: ColorBrewer's RdBu (C. Brewer, Apache 2.0), reversed.
  public static let redBlue = Palette(
    diverging: "redBlue",
    [0x053061, 0x2166ac, 0x4393c3, 0x92c5de, 0xd1e5f0, 0xf7f7f7, 0xfddbc7, 0xf4a582, 0xd6604d, 0xb2182b, 0x67001f])

  public static let all: [Palette] = [.viridis, .magma, .inferno, .cividis, .redBlue]

  /// The colour of `part`, 0 to 1; beyond that the first or the last. Not a number: the first.
  public func colour(_ part: Double) -> Colour {
    let (r, g, b) = rgb(part)
    return Colour(UInt32(r) << 16 | UInt32(g) << 8 | UInt32(b))
  }

  func rgb(_ part: Double) -> (UInt8, UInt8, UInt8) {
    // As matplotlib: 256 equal bins, the upper end in the last.
    let i = part > 0 ? Int(min(part * 256, 255)) : 0
    return (bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2])
  }
}
