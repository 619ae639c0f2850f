import Foundation

/// One self-contained HTML file: sections made of parts, told from top to bottom.
///
///     let assets = try ReportAssets(folder: resources.appendingPathComponent("report"))
///     let html = try Report(title: "a red house", lead: "…", sections: [section]).html(assets)
///
/// The file loads nothing (its content-security policy forbids it), reads without JavaScript, and follows the reader's light or dark
/// setting. The same report with the same assets gives the same bytes. Text from anywhere, a prompt above all, is escaped.
public struct Report: Sendable {
  public var title: String
  /// What this is, in one or two sentences under the title.
  public var lead: String
  public var sections: [Section]
  /// The runs that it was made of, for its seal.
  public var runs: [ReportSeal.Piece]

  /// Why the pictures are hidden until the reader asks for them; nil when they are not.
  public var veil: String?

  public init(title: String, lead: String, sections: [Section], runs: [ReportSeal.Piece] = [], veil: String? = nil) {
    self.title = title
    self.lead = lead
    self.sections = sections
    self.runs = runs
    self.veil = veil
  }

  /// A chapter: what it shows, what it does not show, and its parts in order.
  public struct Section: Sendable {
    public var title: String
    /// One sentence: what this section shows.
    public var shows: String
    /// One sentence: what it does not show, or what must not be read from it.
    public var limits: String
    public var parts: [any Part]

    public init(title: String, shows: String, limits: String, parts: [any Part]) {
      self.title = title
      self.shows = shows
      self.limits = limits
      self.parts = parts
    }
  }

  /// A finished report and what fills it.
  public struct Rendered: Sendable {
    public let html: String
    /// Bytes of the whole file.
    public let bytes: Int
    /// Bytes of each section, its data included, in order; what is missing to `bytes` are the frame, the style and the script.
    public let sectionBytes: [(title: String, bytes: Int)]

    /// A report above this many bytes is slow to send and to open.
    public static let comfortable = 10_000_000

    /// One line when the file is larger than `comfortable`, with the largest section.
    public var warning: String? {
      guard bytes > Self.comfortable, let largest = sectionBytes.max(by: { $0.bytes < $1.bytes }) else { return nil }
      return "the report has \(megabytes(bytes)), more than \(megabytes(Self.comfortable)); "
        + "the largest section is “\(largest.title)” with \(megabytes(largest.bytes))"
    }

    private func megabytes(_ n: Int) -> String { String(format: "%.1f MB", Double(n) / 1e6) }
  }

  /// - Throws: `PlotError` when a part's arrays do not fit together or a picture has no alternative text.
  public func html(_ assets: ReportAssets) throws -> String { try rendered(assets).html }

  /// The file with an account of its size.
  ///
  /// - Throws: `PlotError` when a part's arrays do not fit together or a picture has no alternative text.
  public func rendered(_ assets: ReportAssets) throws -> Rendered {
    var shown: [[String: Any]] = []
    var blocks = ""
    var sizes: [(title: String, bytes: Int)] = []
    for (number, section) in sections.enumerated() {
      var html = ""
      var data = ""
      for (index, part) in section.parts.enumerated() {
        var scope = Scope(id: "s\(number + 1)p\(index + 1)", assets: assets)
        var content = try part.content(&scope)
        content["id"] = scope.id
        html += try assets.render(content, template: part.template)
        data += scope.blocks
      }
      sizes.append((section.title, html.utf8.count + data.utf8.count))
      blocks += data
      shown.append([
        "number": number + 1, "id": Self.anchor(section.title, number: number + 1), "sectionTitle": section.title, "shows": section.shows,
        "limits": section.limits, "parts": html,
      ])
    }
    var page: [String: Any] = [
      "title": title, "lead": lead, "sections": shown, "blocks": blocks, "policy": assets.policy, "style": assets.style,
      "script": assets.script,
    ]
    if let veil { page["veil"] = veil }
    let html = try ReportSeal.sealed(assets.render(page, template: "page"), runs: runs)
    return Rendered(html: html, bytes: html.utf8.count, sectionBytes: sizes)
  }

  /// A section's place in a URL: its letters and digits of ASCII, and its number, which makes it unique.
  static func anchor(_ title: String, number: Int) -> String {
    let words = title.lowercased().split { !($0.isASCII && ($0.isLetter || $0.isNumber)) }
    return (["\(number)"] + words.prefix(6).map(String.init)).joined(separator: "-")
  }
}
