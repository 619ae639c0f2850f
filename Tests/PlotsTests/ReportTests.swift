import Foundation
import Testing

@testable import Plots

@Suite struct ReportTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Resources/report")
  let assets: ReportAssets

  init() throws { assets = try ReportAssets(folder: Self.folder) }

  private func matches(_ pattern: String, in text: String) throws -> [String] {
    let regex = try NSRegularExpression(pattern: pattern, options: [.dotMatchesLineSeparators])
    return regex.matches(in: text, range: NSRange(text.startIndex..., in: text)).compactMap { m in
      Range(m.range, in: text).map { String(text[$0]) }
    }
  }

  /// The document without script and style elements, whose insides are no markup.
  private func markup(_ html: String) throws -> String {
    var out = html
    for tag in ["script", "style"] {
      out = out.replacingOccurrences(of: "<\(tag)[ >].*?</\(tag)>", with: "", options: .regularExpression, range: nil)
      while let start = out.range(of: "<\(tag)"), let end = out.range(of: "</\(tag)>", range: start.upperBound..<out.endIndex) {
        out.removeSubrange(start.lowerBound..<end.upperBound)
      }
    }
    return out
  }

  /// The browser test opens what this writes.
  @Test func demo() throws {
    let rendered = try ReportDemo().report().rendered(assets)
    #expect(rendered.warning == nil)
    if let path = ProcessInfo.processInfo.environment["SDLAB_REPORT_DEMO"] {
      try rendered.html.write(toFile: path, atomically: true, encoding: .utf8)
    }
  }

  @Test func sameReportGivesTheSameBytes() throws {
    #expect(try ReportDemo().report().html(assets) == ReportDemo().report().html(assets))
  }

  // MARK: Strangers' text

  /// Hostile text in every slot leaves the same elements and the same attributes as harmless text: nothing of it is markup.
  @Test(arguments: [
    "</script><script>alert(1)</script>", "\" onmouseover=\"alert(1)", "' onmouseover='alert(1)", "<img src=x onerror=alert(1)>", "<!--",
    "]]></style><style>*{display:none}</style>", "{{{script}}}{{#sections}}", "\"\u{301} onmouseover=alert(1) x=\"\u{301}", "<\u{301}b>",
    "&quot;>&lt;",
    "a\u{0}b\u{1b}[31m\u{202e}c", "\u{2028}\u{2029}", "\\u003c/script>", "\r\n\t",
  ])
  func hostileTextStaysText(_ text: String) throws {
    func bones(_ html: String) throws -> [String] {
      try matches("<[a-zA-Z/!][^\\s>]*|\\s[a-z-]+=\"", in: try markup(html)).map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
    }
    // The same words, so that only the text differs.
    let harmless = try bones(ReportDemo(text: "harmless").report().html(assets))
    let html = try ReportDemo(text: text).report().html(assets)
    #expect(try bones(html) == harmless)
    #expect(harmless.count > 1000)
    // Only our script runs, and every element of data ends where it should.
    #expect(try matches("<script>", in: html).count == 1)
    #expect(try matches("<script", in: html).count == matches("</script>", in: html).count)
    #expect(!html.unicodeScalars.contains("\u{0}") && !html.unicodeScalars.contains("\u{202e}"))
  }

  /// Why the library's escaping is replaced: a quotation mark with a combining accent is one character to it.
  @Test func escapingGoesByCodePoints() {
    #expect(Markup().escapeText("\"\u{301}") == "&quot;\u{301}")
    #expect(Markup().escapeText("<a href='x'>&\u{7}\u{202e}") == "&lt;a href=&#39;x&#39;&gt;&amp;\u{fffd}\u{fffd}")
  }

  @Test func dataBlocksAreJSONAgain() throws {
    let hostile = "</script><script>alert(1)</script>&<!--\u{2028}"
    let html = try ReportDemo(text: hostile).report().html(assets)
    let block = try #require(try matches("<script type=\"application/json\" id=\"s2p2-data\">.*?</script>", in: html).first)
    let json = try #require(block.split(separator: ">", maxSplits: 1).last?.dropLast("</script>".count))
    #expect(!json.contains("<") && !json.contains(">"))
    let object = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    let words = try #require(object["words"] as? [[String: Any]])
    #expect(words[1]["text"] as? String == hostile)
  }

  // MARK: The document

  @Test func nothingIsLoaded() throws {
    let html = try ReportDemo().report().html(assets)
    let policy = try #require(try matches("http-equiv=\"Content-Security-Policy\" content=\"[^\"]*\"", in: html).first)
    for rule in ["default-src &#39;none&#39;", "img-src data:", "script-src &#39;sha256-", "style-src &#39;sha256-"] {
      #expect(policy.contains(rule))
    }
    #expect(!policy.contains("unsafe") && !policy.contains("http:"))
    for attribute in try matches("\\s(src|href|srcset)=\"[^\"]{0,12}", in: try markup(html)) {
      #expect(attribute.contains("=\"data:") || attribute.contains("=\"#"), "\(attribute)")
    }
    // SVG's name is the only address, and inside pictures.
    #expect(try matches("https?://(?!www\\.w3\\.org/2000/svg)", in: try markup(html)).isEmpty)
    #expect(try matches("url\\(|@import|fetch\\(|XMLHttpRequest|import\\(", in: assets.style + assets.script).isEmpty)
    // The policy would drop them without a word.
    #expect(try matches("\\sstyle=\"|\\son[a-z]+=\"", in: try markup(html)).isEmpty)
  }

  @Test func everyPictureHasAlternativeText() throws {
    let html = try ReportDemo().report().html(assets)
    let images = try matches("<img [^>]*>", in: html)
    #expect(images.count > 80)
    for image in images where !image.contains("lightbox-image") { #expect(try matches("alt=\"[^\"]*\\w[^\"]*\"", in: image).count == 1) }
    for canvas in try matches("<canvas [^>]*>", in: html) { #expect(canvas.contains("aria-label=\"")) }
    for svg in try matches("<svg [^>]*>", in: html) { #expect(svg.contains("aria-label=\"") || svg.contains("aria-hidden=\"true\"")) }
    #expect(throws: PlotError.self) { try Report.Picture(scene(0), alt: "  ") }
    let mute = Report.Figure(light: .svg("<svg viewBox=\"0 0 1 1\"></svg>"), dark: nil, caption: "", alt: "")
    #expect(throws: PlotError.self) {
      try Report(title: "", lead: "", sections: [.init(title: "", shows: "", limits: "", parts: [mute])]).html(assets)
    }
  }

  @Test func namesAreUnique() throws {
    let ids = try matches("\\sid=\"[^\"]*\"", in: ReportDemo().report().html(assets))
    #expect(Set(ids).count == ids.count && ids.count > 30)
    #expect(Report.anchor("Ünïcode & <more> words 3", number: 2) == "2-n-code-more-words-3")
  }

  @Test func sizeIsAccountedFor() throws {
    let report = try ReportDemo().report()
    let rendered = try report.rendered(assets)
    #expect(rendered.bytes == rendered.html.utf8.count)
    let sections = rendered.sectionBytes.reduce(0) { $0 + $1.bytes }
    let frame = rendered.bytes - sections - assets.style.utf8.count - assets.script.utf8.count
    // The page around the sections, and the seal: eight digits a line, 64 a picture.
    #expect((500...40_000).contains(frame))
    #expect(rendered.sectionBytes.map(\.title) == report.sections.map(\.title))
    let heavy = Report.Rendered(html: "", bytes: 12_300_000, sectionBytes: [("small", 1_000_000), ("big", 11_000_000)])
    #expect(heavy.warning?.contains("12.3 MB") == true && heavy.warning?.contains("“big” with 11.0 MB") == true)
    #expect(assets.style.utf8.count + assets.script.utf8.count < ReportAssets.limit)
  }

  // MARK: Data

  @Test func quantisedMapsStayWithinHalfALevel() {
    let values: [Float] = (0..<200).map { i in i < 100 ? 0.5 + 0.001 * Float(i % 37) : Float(i % 13) }
    let maps = QuantisedMaps(values, size: 100)
    #expect(maps.low == [0.5, 0] && maps.high == [0.536, 12])
    for (i, v) in values.enumerated() {
      let m = i / 100
      let back = maps.low[m] + (maps.high[m] - maps.low[m]) * Float(maps.bytes[i]) / 255
      #expect(abs(back - v) <= (maps.high[m] - maps.low[m]) / 509)
    }
    #expect(QuantisedMaps([3, 3], size: 2).bytes == [0, 0])
  }

  /// The static small map is the palette's colours of the values on the common scale.
  @Test func smallMapsAreColouredOnTheCommonScale() throws {
    let rgb = (0..<256).flatMap { (i: Int) -> [UInt8] in [UInt8(i), UInt8(255 - i), 7] }
    let palette = try ReportPalette(rgb: rgb)
    let maps = Report.WordMaps(
      title: "m", picture: try Report.Picture(scene(0), alt: "p"), words: [.init("<BOS>", special: true), .init("a"), .init("b")],
      steps: [],
      groups: [.init(name: "g", height: 1, width: 2, total: [50, 60, 0, 1, 2, 4])], palette: palette, unit: "u")
    let html = try Report(title: "t", lead: "l", sections: [.init(title: "s", shows: "", limits: "", parts: [maps])]).html(assets)
    let tiles = try matches("<figure class=\"tile.*?</figure>", in: html)
    #expect(tiles.count == 3)
    func pixels(_ tile: String) throws -> [UInt32] {
      let uri = try #require(try matches("base64,[^\"]*", in: tile).first?.dropFirst("base64,".count))
      return try Decoded([UInt8](#require(Data(base64Encoded: String(uri))))).pixels
    }
    // BOS lies above the common scale 0 to 4 of the words: clipped, and marked.
    #expect(try pixels(tiles[0]) == [0xff0007, 0xff0007] && tiles[0].contains("▲"))
    #expect(try pixels(tiles[1]) == [0x00ff07, 0x40bf07] && !tiles[1].contains("▲"))
    #expect(try pixels(tiles[2]) == [0x807f07, 0xff0007])
  }

  @Test func arraysThatDoNotFitAreRefused() throws {
    func refused(_ part: any Report.Part, _ words: String) throws {
      let report = Report(title: "t", lead: "l", sections: [.init(title: "s", shows: "a", limits: "b", parts: [part])])
      let error = #expect(throws: PlotError.self) { try report.html(assets) }
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
    let picture = try Report.Picture(scene(0), alt: "p")
    let palette = try ReportDemo.palette()
    func maps(_ total: [Float]) -> Report.WordMaps {
      .init(
        title: "m", picture: picture, words: [.init("a")], steps: [], groups: [.init(name: "g", height: 2, width: 2, total: total)],
        palette: palette, unit: "u")
    }
    try refused(maps([1, 2, 3]), "2 x 2 for 1 words")
    try refused(maps([1, 2, 3, .nan]), "not finite")
    try refused(
      Report.SelfAttention(title: "m", picture: picture, groups: [.init(name: "g", height: 64, width: 64, values: [])], palette: palette),
      "average larger maps first")
    try refused(Report.Film(title: "f", steps: ["1", "2"], rows: [.init(label: "latents", frames: [picture])]), "2 steps")
    try refused(
      Report.ImageGrid(title: "g", columnAxis: "x", rowAxis: "y", modes: [.init(columnLabels: ["a"], rowLabels: ["b"], rows: [[]])]),
      "labels for 1 rows")
    try refused(Report.Table(caption: "c", header: ["a", "b"], rows: [["1"]]), "1 cells")
    let points = Report.Scatter.Projection(method: "PCA", space: "latents", x: [1], y: [1, 2], xLabel: "x", yLabel: "y")
    try refused(Report.Scatter(title: "s", projections: [points], factors: [], captions: ["a", "b"]), "1 and 2 coordinates")
    let good = Report.Scatter.Projection(method: "PCA", space: "latents", x: [1], y: [1], xLabel: "x", yLabel: "y")
    try refused(
      Report.Scatter(title: "s", projections: [good], factors: [.init(name: "f", categories: ["a"], values: [1])], captions: ["a"]),
      "categories")
    try refused(
      Report.Scatter(
        title: "s", projections: [good], factors: [.init(name: "f", categories: ["a"], values: [0], colours: ["red\" x=\""])],
        captions: ["a"]), "#rrggbb")
    #expect(throws: PlotError.self) { try ReportPalette(rgb: [0]) }
    #expect(throws: PlotError.self) { try Report.Picture(png: [1, 2, 3], alt: "a") }
  }

  @Test func missingAssetsAreNamed() throws {
    let error = #expect(throws: PlotError.self) { try ReportAssets(folder: URL(fileURLWithPath: "/nowhere/report")) }
    #expect(error?.description == "report: cannot read /nowhere/report/report.css")
  }
}
