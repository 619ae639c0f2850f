import Crypto
import Foundation

/// The SHA-256 of everything in a report, carried by the report itself: of each picture, each block of data, each section's text and its lines, the frame
/// around them, and the runs it was made of.
///
/// It finds what was damaged or edited since, and says where. It is no signature: who edits a report can compute these digests anew.
public struct ReportSeal: Codable, Sendable, Equatable {
  public struct Piece: Codable, Sendable, Equatable {
    public var name: String
    public var sha256: String

    public init(name: String, sha256: String) {
      self.name = name
      self.sha256 = sha256
    }
  }

  struct Section: Codable, Sendable, Equatable {
    var title: String
    /// Of its text, with a number in the place of each picture.
    var sha256: String
    /// For each line the first 8 digits, which say where a section has changed.
    var lines: [String]
    var pictures: [Piece]
  }

  /// The runs that the report was made of: name, and SHA-256 of the run's `manifest.json`, which holds those of its files.
  public var runs: [Piece]
  var sections: [Section]
  var data: [Piece]
  /// All that is in no section: title, style, script.
  var frame: String
  /// Of this record with this field empty.
  var own = ""

  static let opening = "<script type=\"application/json\" id=\"seal\">"
  static let closing = "</script>\n"

  /// - Parameter html: the report without its seal.
  init(_ html: [UInt8], runs: [Piece]) {
    let (page, data) = Self.withoutData(html)
    let (frame, sections) = Self.cut(page)
    self.runs = runs
    self.sections = sections.map(Self.section)
    self.data = data
    self.frame = Self.digest(frame)
  }

  // MARK: In the file

  /// The report with its seal.
  static func sealed(_ html: String, runs: [Piece]) throws -> String {
    let bytes = Array(html.utf8)
    var seal = ReportSeal(bytes, runs: runs)
    seal.own = try seal.ownDigest()
    guard let end = bytes.last("</body>") else { throw PlotError("report: the page has no </body>") }
    let block = opening + Report.Scope.harmless(json: try seal.encoded()) + closing
    return String(decoding: bytes[..<end.lowerBound] + Array(block.utf8) + bytes[end.lowerBound...], as: UTF8.self)
  }

  /// Compares a report with the digests that it carries.
  ///
  /// - Returns: its seal, and a line for each place that is not as it was; none when the report is whole.
  /// - Throws: `PlotError` when there is no seal or it cannot be read.
  public static func check(_ html: [UInt8]) throws -> (seal: ReportSeal, changes: [String]) {
    guard let start = html.last(opening), let end = html.first(closing, from: start.upperBound) else {
      throw PlotError("there are no digests in it: no report of sdlab's, or one that was cut off")
    }
    guard let stored = try? JSONDecoder().decode(ReportSeal.self, from: Data(html[start.upperBound..<end.lowerBound])) else {
      throw PlotError("the digests in it cannot be read")
    }
    let bare = Array(html[..<start.lowerBound] + html[end.upperBound...])
    let found = ReportSeal(bare, runs: stored.runs)
    var changes = found.changes(from: stored, texts: texts(of: bare))
    if stored.own != (try stored.ownDigest()) { changes.append("the digests themselves") }
    return (stored, changes.map(unescaped))
  }

  private func ownDigest() throws -> String {
    var copy = self
    copy.own = ""
    return Self.digest(Array(try copy.encoded().utf8))
  }

  private func encoded() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  // MARK: What changed

  private func changes(from old: ReportSeal, texts: [[String]]) -> [String] {
    var out: [String] = []
    if sections.map(\.title) != old.sections.map(\.title) {
      return ["the sections: \(old.sections.count) were sealed, \(sections.count) are there, or their titles differ"]
    }
    for (index, (now, then)) in zip(sections, old.sections).enumerated() {
      let place = "section “\(now.title)”"
      if now.pictures.count != then.pictures.count {
        out.append("\(place): \(then.pictures.count) pictures were sealed, \(now.pictures.count) are there")
      } else {
        for (a, b) in zip(now.pictures, then.pictures) where a.sha256 != b.sha256 { out.append("\(place): the picture “\(b.name)”") }
      }
      if now.sha256 == then.sha256 { continue }
      if now.lines.count != then.lines.count {
        out.append("\(place): \(then.lines.count) lines were sealed, \(now.lines.count) are there")
        continue
      }
      let changed = now.lines.indices.filter { now.lines[$0] != then.lines[$0] }
      for line in changed.prefix(3) {
        let text = texts.indices.contains(index) && texts[index].indices.contains(line) ? texts[index][line] : ""
        out.append("\(place): the text now “\(text)”")
      }
      if changed.count > 3 { out.append("\(place): \(changed.count - 3) more lines") }
      if changed.isEmpty { out.append("\(place): its text") }
    }
    let before = Dictionary(old.data.map { ($0.name, $0.sha256) }, uniquingKeysWith: { a, _ in a })
    for piece in data where before[piece.name] != piece.sha256 { out.append("the data of \(named(piece.name))") }
    let there = Set(data.map(\.name))
    for piece in old.data where !there.contains(piece.name) { out.append("the data of \(named(piece.name)): not there") }
    if frame != old.frame { out.append("the frame: title, contents, style or script") }
    return out
  }

  /// `s2p1-maps` is data of the second section.
  private func named(_ id: String) -> String {
    let number = id.dropFirst().prefix { $0.isNumber }
    guard id.hasPrefix("s"), let n = Int(number), sections.indices.contains(n - 1) else { return id }
    return "section “\(sections[n - 1].title)” (\(id))"
  }

  /// What people read of each line of each section.
  private static func texts(of html: [UInt8]) -> [[String]] {
    cut(withoutData(html).page).sections.map { section in
      lines(withoutPictures(section).html).map { line in
        var text: [UInt8] = []
        var isInside = false
        for byte in line {
          if byte == UInt8(ascii: "<") {
            isInside = true
            text.append(UInt8(ascii: " "))
          } else if byte == UInt8(ascii: ">") {
            isInside = false
          } else if !isInside {
            text.append(byte)
          }
        }
        let words = String(decoding: text, as: UTF8.self).split(separator: " ").joined(separator: " ")
        return words.count > 80 ? words.prefix(79) + "…" : words
      }
    }
  }

  /// Markup's escapes as the characters that they stand for.
  private static func unescaped(_ text: String) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")].reduce(text) { $0.replacing($1.0, with: $1.1) }
  }

  // MARK: The pieces

  /// The page's sections, and what is around them.
  private static func cut(_ page: [UInt8]) -> (frame: [UInt8], sections: [[UInt8]]) {
    var frame: [UInt8] = []
    var sections: [[UInt8]] = []
    var from = 0
    while let start = page.first("<section id=", from: from), let end = page.first("</section>", from: start.upperBound) {
      frame += page[from..<start.lowerBound]
      sections.append(Array(page[start.lowerBound..<end.upperBound]))
      from = end.upperBound
    }
    return (frame + page[from...], sections)
  }

  private static func section(_ html: [UInt8]) -> Section {
    let (skeleton, pictures) = withoutPictures(html)
    return Section(
      title: skeleton.text("</span>", "</h2>", from: 0) ?? "", sha256: digest(skeleton),
      lines: lines(skeleton).map { String(digest(Array($0)).prefix(8)) }, pictures: pictures)
  }

  private static func lines(_ html: [UInt8]) -> [ArraySlice<UInt8>] {
    html.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
  }

  /// A number in the place of each embedded picture.
  private static func withoutPictures(_ html: [UInt8]) -> (html: [UInt8], pictures: [Piece]) {
    var out: [UInt8] = []
    var pictures: [Piece] = []
    var from = 0
    while let start = html.first("data:image/", from: from), let end = html.first("\"", from: start.upperBound) {
      out += html[from..<start.lowerBound]
      let sha256 = digest(Array(html[start.lowerBound..<end.lowerBound]))
      // The picture for dark pages stands before the other and has no text of its own.
      let tag = Array(html[end.lowerBound...].prefix { $0 != UInt8(ascii: ">") })
      let alt = tag.text("alt=\"", "\"", from: 0)
      pictures.append(Piece(name: alt ?? "a figure for dark pages, number \(pictures.count + 1)", sha256: sha256))
      out += "picture \(pictures.count)".utf8
      from = end.lowerBound
    }
    return (out + html[from...], pictures)
  }

  /// The page without the blocks of data at its end.
  private static func withoutData(_ html: [UInt8]) -> (page: [UInt8], data: [Piece]) {
    var out: [UInt8] = []
    var data: [Piece] = []
    var from = 0
    while let start = html.first("<script type=\"", from: from), let end = html.first("</script>", from: start.upperBound) {
      out += html[from..<start.lowerBound]
      let block = Array(html[start.lowerBound..<end.upperBound])
      data.append(Piece(name: block.text("id=\"", "\"", from: 0) ?? "block \(data.count + 1)", sha256: digest(block)))
      from = end.upperBound
    }
    return (out + html[from...], data)
  }

  private static func digest(_ bytes: [UInt8]) -> String {
    SHA256.hash(data: bytes).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}

extension [UInt8] {
  /// Where `text` stands first, from a place on: reports have megabytes, and characters are slow.
  fileprivate func first(_ text: String, from: Int = 0) -> Range<Int>? {
    let needle = Array(text.utf8)
    guard let head = needle.first, from >= 0 else { return nil }
    return withUnsafeBytes { all in
      guard let base = all.baseAddress else { return nil }
      var at = from
      while at + needle.count <= count {
        guard let found = memchr(base + at, Int32(head), count - needle.count + 1 - at) else { return nil }
        at = UnsafeRawPointer(found) - base
        if memcmp(base + at, needle, needle.count) == 0 { return at..<at + needle.count }
        at += 1
      }
      return nil
    }
  }

  fileprivate func last(_ text: String) -> Range<Int>? {
    var found: Range<Int>?
    var from = 0
    while let next = first(text, from: from) {
      found = next
      from = next.upperBound
    }
    return found
  }

  /// What stands between two texts.
  fileprivate func text(_ a: String, _ b: String, from: Int) -> String? {
    guard let start = first(a, from: from), let end = first(b, from: start.upperBound) else { return nil }
    return String(decoding: self[start.upperBound..<end.lowerBound], as: UTF8.self)
  }
}
