import Foundation

/// Maps on their way to the page: 8 bits a value, each map with a range of its own.
///
/// A range for each map keeps the error below 1/510 of that map's range, where one range for all would leave faint maps with few levels.
struct QuantisedMaps {
  /// Map after map, row after row; value = low + (high - low) * byte / 255.
  var bytes: [UInt8] = []
  /// For each map.
  var low: [Float] = []
  var high: [Float] = []

  /// - Parameter values: a whole number of maps of `size` values. Not a number and infinities must have been refused before.
  init(_ values: [Float], size: Int) {
    bytes.reserveCapacity(values.count)
    for start in stride(from: 0, to: values.count, by: size) {
      let map = values[start..<start + size]
      let (lowest, highest) = (map.min() ?? 0, map.max() ?? 0)
      low.append(lowest)
      high.append(highest)
      let scale = highest > lowest ? 255 / (highest - lowest) : 0
      for v in map { bytes.append(UInt8(max(0, min(255, ((v - lowest) * scale).rounded())))) }
    }
  }
}

/// A colour map of 256 sRGB colours.
public struct ReportPalette: Sendable, Equatable {
  /// 256 times red, green, blue.
  public let rgb: [UInt8]

  /// - Throws: `PlotError` unless `rgb` has 768 bytes.
  public init(rgb: [UInt8]) throws {
    guard rgb.count == 768 else { throw PlotError("report: a palette has 256 x 3 bytes, found \(rgb.count)") }
    self.rgb = rgb
  }

  func image(_ values: some Sequence<Float>, width: Int, height: Int, low: Float, high: Float) throws -> RGBImage {
    var pixels: [UInt8] = []
    pixels.reserveCapacity(3 * width * height)
    for v in values {
      let index = high > low ? Int((max(0, min(1, (v - low) / (high - low))) * 255).rounded()) : 0
      pixels += rgb[3 * index..<3 * index + 3]
    }
    return try RGBImage(width: width, height: height, pixels: pixels)
  }

  /// A strip from the lowest to the highest colour.
  func bar(alt: String) throws -> Report.Picture {
    try Report.Picture(RGBImage(width: 256, height: 1, pixels: rgb), alt: alt)
  }
}

extension Report {
  /// Where something lies in a map, in words for alternative texts.
  static func place(row: Int, column: Int, height: Int, width: Int) -> String {
    let vertical = ["top", "middle", "bottom"][min(2, 3 * row / max(1, height))]
    let horizontal = ["left", "centre", "right"][min(2, 3 * column / max(1, width))]
    if vertical == "middle" { return horizontal == "centre" ? "in the centre" : "at the \(horizontal)" }
    return horizontal == "centre" ? "at the \(vertical)" : "at the \(vertical) \(horizontal)"
  }
}
