import Foundation

extension Report {
  /// A PNG with its size and the text for those who do not see it.
  public struct Picture: Sendable {
    public let png: [UInt8]
    /// In pixels, from the file's header.
    public let width: Int
    public let height: Int
    /// What the picture shows, in words.
    public let alt: String

    /// - Throws: `PlotError` when `png` is no PNG or `alt` is blank.
    public init(png: [UInt8], alt: String) throws {
      guard png.count > 33, png.starts(with: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]) else {
        throw PlotError("report: the picture “\(alt)” is not a PNG")
      }
      func number(at i: Int) -> Int { png[i..<i + 4].reduce(0) { $0 << 8 | Int($1) } }
      (width, height) = (number(at: 16), number(at: 20))
      guard (1...65535).contains(width), (1...65535).contains(height) else {
        throw PlotError("report: the picture “\(alt)” claims \(width) x \(height) pixels")
      }
      guard !alt.allSatisfy(\.isWhitespace) else { throw PlotError("report: a picture of \(width) x \(height) has no alternative text") }
      self.png = png
      self.alt = alt
    }

    /// - Throws: `PlotError` when `alt` is blank or the PNG cannot be written.
    public init(_ image: RGBImage, alt: String) throws {
      let surface = try Surface(.png, size: Size(width: Double(image.width), height: Double(image.height)), scale: 1)
      try surface.draw(image, in: Rectangle(x: 0, y: 0, width: Double(image.width), height: Double(image.height)))
      try self.init(png: surface.finish(), alt: alt)
    }

    var uri: String { "data:image/png;base64," + Data(png).base64EncodedString() }

    /// For the partial `image`.
    var content: [String: Any] {
      // Small pictures are magnified to sharp squares: smoothing would invent what the model did not make.
      ["uri": uri, "alt": alt, "width": width, "height": height, "sharp": max(width, height) < 256]
    }
  }

  /// A drawing in one theme.
  public enum Drawing: Sendable {
    /// A PNG and the pixels it has per CSS pixel.
    case png([UInt8], scale: Double)
    /// An SVG document. It is embedded as a picture, so that its names and styles stay its own.
    case svg(String)
  }
}

extension Report.Drawing {
  var uri: String {
    switch self {
    case .png(let bytes, _): "data:image/png;base64," + Data(bytes).base64EncodedString()
    case .svg(let text): "data:image/svg+xml;base64," + Data(text.utf8).base64EncodedString()
    }
  }

  /// In CSS pixels; nil for an SVG that states no size.
  func size(_ alt: String) throws -> (width: Int, height: Int)? {
    switch self {
    case .png(let bytes, let scale):
      guard scale.isFinite, scale > 0 else { throw PlotError("report: the figure “\(alt)” has the scale \(scale)") }
      let picture = try Report.Picture(png: bytes, alt: alt)
      return (Int((Double(picture.width) / scale).rounded()), Int((Double(picture.height) / scale).rounded()))
    case .svg(let text):
      // The first `viewBox` (or `width` and `height`) is that of the root.
      guard let root = text.range(of: "<svg"), let end = text[root.upperBound...].firstIndex(of: ">") else {
        throw PlotError("report: the figure “\(alt)” is not an SVG")
      }
      let tag = text[root.upperBound..<end]
      func attribute(_ name: String) -> Substring? {
        guard let start = tag.range(of: " \(name)=\"") ?? tag.range(of: "\n\(name)=\"") else { return nil }
        return tag[start.upperBound...].prefix { $0 != "\"" }
      }
      if let box = attribute("viewBox") {
        let numbers = box.split { $0 == " " || $0 == "," }.compactMap { Double($0) }
        if numbers.count == 4, numbers.allSatisfy({ $0.isFinite && abs($0) < 1e6 }) {
          return (Int(numbers[2].rounded(.up)), Int(numbers[3].rounded(.up)))
        }
      }
      func length(_ name: String) -> Double? { attribute(name).flatMap { Double($0.prefix { $0.isNumber || $0 == "." }) } }
      guard let width = length("width"), let height = length("height"), width < 1e6, height < 1e6 else { return nil }
      return (Int(width.rounded(.up)), Int(height.rounded(.up)))
    }
  }
}
