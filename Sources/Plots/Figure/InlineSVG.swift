import Foundation

extension Figure {
  /// The figure as an `<svg>` element for an HTML page.
  ///
  /// Cairo turns text into outlines, each letter once: expect 10 to 40 kB for a line plot; pictures and heatmaps are embedded as PNG. Numbers
  /// are cut to hundredths of a point.
  ///
  /// - Parameters:
  ///   - id: goes before all identifiers, so that several figures can stand in one page; letters, digits, `-` and `_`.
  ///   - alternative: what the figure shows, for those who do not see it; the title if nil.
  public func svg(theme: Theme = .light, id: String, alternative: String? = nil) throws -> String {
    guard let first = id.utf8.first, Self.isLetter(first), id.utf8.allSatisfy({ Self.isLetter($0) || $0 == 45 || (48...57).contains($0) })
    else { throw PlotError("figure: expected an identifier of letters, digits, - and _, found '\(id.prefix(40))'") }
    let file = try render(.svg, theme: theme)
    return InlineSVG.compacted(file, id: id, alternative: alternative ?? title)
  }

  private static func isLetter(_ b: UInt8) -> Bool { (65...90).contains(b) || (97...122).contains(b) || b == 95 }
}

enum InlineSVG {
  /// Without the XML declaration, with own identifiers, shorter numbers and a name for screen readers.
  static func compacted(_ file: [UInt8], id: String, alternative: String) -> String {
    let start = file.firstRange(of: Array("<svg".utf8))?.lowerBound ?? 0
    var out: [UInt8] = []
    out.reserveCapacity(file.count)
    let prefix = Array("\(id)-".utf8)
    let marks = ["id=\"", "href=\"#", "url(#"].map { Array($0.utf8) }
    let exact = Array("matrix(".utf8)
    let data = Array("href=\"data:".utf8)
    var i = start
    while i < file.count {
      let b = file[i]
      if b == UInt8(ascii: "m"), file[i...].starts(with: exact) {
        // A matrix of a picture scales by small factors: hundredths would distort.
        let end = file[i...].firstIndex(of: UInt8(ascii: ")")) ?? file.endIndex
        out += file[i..<end]
        i = end
      } else if b == UInt8(ascii: "h"), file[i...].starts(with: data) {
        let end = file[(i + data.count)...].firstIndex(of: UInt8(ascii: "\"")) ?? file.endIndex
        out += file[i..<end]
        i = end
      } else if let mark = marks.first(where: { $0[0] == b && file[i...].starts(with: $0) }) {
        out += mark + prefix
        i += mark.count
      } else if b == UInt8(ascii: "."), i > start, isDigit(file[i - 1]) {
        let end = file[(i + 1)...].firstIndex { !isDigit($0) } ?? file.endIndex
        appendDecimals(file[(i + 1)..<end], to: &out)
        i = end
      } else {
        out.append(b)
        i += 1
      }
    }
    var text = String(decoding: out, as: UTF8.self)
    let label = escaped(alternative)
    text = text.replacingOccurrences(
      of: "<svg ", with: "<svg role=\"img\" aria-label=\"\(label)\" ", range: text.range(of: "<svg "))
    return text
  }

  private static func isDigit(_ b: UInt8) -> Bool { (48...57).contains(b) }

  /// Two digits, rounded towards zero (at most a hundredth of a point off), without zeros at the end.
  private static func appendDecimals(_ digits: ArraySlice<UInt8>, to out: inout [UInt8]) {
    var kept = digits.prefix(2)
    while kept.last == UInt8(ascii: "0") { kept = kept.dropLast() }
    if !kept.isEmpty { out += [UInt8(ascii: ".")] + kept }
  }

  static func escaped(_ text: String) -> String {
    var out = ""
    for c in text.unicodeScalars {
      switch c {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      default: out.unicodeScalars.append(c.value < 0x20 ? " " : c)
      }
    }
    return out
  }
}
