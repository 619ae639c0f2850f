import Foundation

extension Report {
  /// Something that a section is made of: names a template and fills it.
  public protocol Part: Sendable {
    /// The template's file name in the folder of assets, without `.mustache`.
    var template: String { get }
    /// What the template's tags stand for. Strings are escaped by `{{tag}}`; `{{{tag}}}` is for what is known to be harmless.
    ///
    /// - Throws: `PlotError` when the arrays do not fit together.
    func content(_ scope: inout Scope) throws -> [String: Any]
  }

  /// Where a part is in the document, and the data that it leaves for the script.
  ///
  /// Data goes to the end of the document, so that nothing visible waits for it.
  public struct Scope {
    /// Unique in the document.
    public let id: String
    let assets: ReportAssets
    private(set) var blocks = ""

    init(id: String, assets: ReportAssets) {
      self.id = id
      self.assets = assets
    }

    /// Leaves `value` for the script as JSON in `#ID-NAME`. Characters that could end the element are written as escapes.
    public mutating func leave(json value: some Encodable, name: String = "data") throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      let text = Self.harmless(json: String(decoding: try encoder.encode(value), as: UTF8.self))
      blocks += "<script type=\"application/json\" id=\"\(id)-\(name)\">\(text)</script>\n"
    }

    /// JSON with escapes for what could end the element that it stands in.
    static func harmless(json: String) -> String {
      var text = ""
      for scalar in json.unicodeScalars {
        switch scalar {
        case "<": text += "\\u003c"
        case ">": text += "\\u003e"
        case "&": text += "\\u0026"
        case "\u{2028}": text += "\\u2028"
        case "\u{2029}": text += "\\u2029"
        case "\u{202a}"..."\u{202e}", "\u{2066}"..."\u{2069}": text += "\\ufffd"  // as in Markup
        default: text.unicodeScalars.append(scalar)
        }
      }
      return text
    }

    /// Leaves bytes for the script as base64 in `#ID-NAME`.
    public mutating func leave(bytes: [UInt8], name: String) {
      blocks += "<script type=\"text/plain\" id=\"\(id)-\(name)\">\(Data(bytes).base64EncodedString())</script>\n"
    }

    /// The HTML of a part inside this one.
    mutating func nested(_ part: some Part, _ suffix: String) throws -> String {
      var inner = Scope(id: "\(id)-\(suffix)", assets: assets)
      var content = try part.content(&inner)
      content["id"] = inner.id
      blocks += inner.blocks
      return try assets.render(content, template: part.template)
    }
  }
}

/// A text for a template's section: absent when empty.
func shown(_ text: String?) -> Any {
  guard let text, !text.isEmpty else { return false }
  return text
}

/// A number as people read it: three significant digits, no locale.
func brief(_ value: Double) -> String {
  guard value.isFinite else { return "–" }
  let size = abs(value)
  if size != 0, size < 0.001 || size >= 100_000 { return String(format: "%.2e", value) }
  return size >= 100 ? String(format: "%.0f", value) : String(format: "%.3g", value)
}
