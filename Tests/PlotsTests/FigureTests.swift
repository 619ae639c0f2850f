import Foundation
import Testing

@testable import Plots

@Suite struct FigureTests {
  static let themes: [(String, Theme)] = [("light", .light), ("dark", .dark)]
  static let names = [
    "curves", "scatter", "thumbnails", "scree", "entropy", "overlays", "bars", "distances", "pictures", "trajectories", "field", "times",
  ]

  private func figure(_ name: String) throws -> Figure {
    try #require(try Example.all().first { $0.name == name }?.figure)
  }

  @Test(arguments: ["curves", "scatter", "entropy", "overlays", "bars", "pictures", "trajectories", "field"], ["light", "dark"])
  func looksAsExpected(_ name: String, _ mode: String) throws {
    // Half of each in each theme keeps the repository small.
    let isDark = mode == "dark"
    guard ["curves", "entropy", "bars", "trajectories"].contains(name) || !isDark else { return }
    var figure = try figure(name)
    if ["scatter", "field"].contains(name) { figure.width = 340 }
    try Pictures.expect(try figure.render(.png, scale: 1, theme: isDark ? .dark : .light), "\(name)-\(mode)")
  }

  /// The comparison of pictures sees a label that moved by two points, another colour, a missing mark.
  @Test func picturesThatDifferAreSeen() throws {
    let figure = try figure("distances")
    let want = try Decoded(figure.render(.png, scale: 1))
    #expect(Pictures.difference(want, try Decoded(figure.render(.png, scale: 1))).isSmall)
    var wrong: [Figure] = []
    for change: (inout Figure) -> Void in [
      { $0.panels[0].x.name = "frames" }, { $0.title = "How far neighbors are apart" }, { $0.panels[0].marks.removeLast() },
      { $0.panels[0].y.domain = 0...0.6 },
    ] {
      var other = figure
      change(&other)
      wrong.append(other)
    }
    for other in wrong { #expect(!Pictures.difference(want, try Decoded(other.render(.png, scale: 1))).isSmall) }
  }

  @Test(arguments: FileFormat.allCases) func everyFormatIsWholeAndStable(_ format: FileFormat) throws {
    for name in ["curves", "overlays", "pictures"] {
      let bytes = try figure(name).render(format, theme: .dark)
      #expect(bytes == (try figure(name).render(format, theme: .dark)), "\(name)")
      let text = String(decoding: bytes, as: UTF8.self)
      switch format {
      case .png: #expect(bytes.starts(with: [0x89, 0x50, 0x4e, 0x47]))
      case .svg: #expect(text.contains("<svg") && text.contains("</svg>"))
      case .pdf: #expect(text.hasPrefix("%PDF") && text.contains("%%EOF"))
      }
    }
  }

  @Test func sizesAreWhatWasAskedFor() throws {
    var figure = try figure("curves")
    figure.height = 333
    for scale in [1.0, 2, 300.0 / 72] {
      let d = try Decoded(figure.render(.png, scale: scale))
      #expect(d.width == Int((720 * scale).rounded(.up)) && d.height == Int((333 * scale).rounded(.up)))
    }
  }

  /// Sizes that are no whole number of pixels have no dark rim.
  @Test func theGroundReachesTheEdges() throws {
    var figure = try figure("curves")
    (figure.width, figure.height) = (396.3, 250.7)
    for scale in [1.0, 1.1, 300.0 / 72] {
      let d = try Decoded(figure.render(.png, scale: scale))
      #expect((0..<d.height).allSatisfy { d.pixels[$0 * d.width + d.width - 1] == 0xffffff })
      #expect((0..<d.width).allSatisfy { d.pixels[(d.height - 1) * d.width + $0] == 0xffffff })
    }
  }

  /// The picture of an SVG made small is the picture of the whole: identifiers are the figure's own, nothing is declared twice.
  @Test(arguments: names) func inlineSVGStandsInAPage(_ name: String) throws {
    let figure = try figure(name)
    let text = try figure.svg(id: "f1", alternative: "a \"plot\" <of> things")
    #expect(text.hasPrefix("<svg role=\"img\" aria-label=\"a &quot;plot&quot; &lt;of&gt; things\" "))
    #expect(!text.contains("<?xml") && text.hasSuffix("</svg>\n"))
    let whole = try figure.render(.svg)
    #expect(text.utf8.count < whole.count)
    let ids = values(in: text, after: " id=\"")
    #expect(ids.allSatisfy { $0.hasPrefix("f1-") } && Set(ids).count == ids.count, "\(ids)")
    let used = Set(values(in: text, after: "href=\"#") + values(in: text, after: "url(#"))
    #expect(!used.isEmpty && used.isSubset(of: ids), "\(used.subtracting(ids)) are nowhere")
    for id in ["", "1a", "a b", "ä", "\"x"] { #expect(throws: PlotError.self) { try figure.svg(id: id) } }
  }

  /// What follows `key` up to a quote or a parenthesis, each time.
  private func values(in text: String, after key: String) -> [String] {
    let (bytes, mark) = (Array(text.utf8), Array(key.utf8))
    var out: [String] = []
    for i in 0..<max(bytes.count - mark.count, 0) where bytes[i] == mark[0] && bytes[i..<i + mark.count].elementsEqual(mark) {
      let end = bytes[(i + mark.count)...].prefix { $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: ")") }
      out.append(String(decoding: end, as: UTF8.self))
    }
    return out
  }

  /// Not a test: writes figures to look at, when SDLAB_LOOK names a folder.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["SDLAB_LOOK"] != nil)) func figuresToLookAt() throws {
    let folder = URL(fileURLWithPath: ProcessInfo.processInfo.environment["SDLAB_LOOK"] ?? "")
    for (name, figure) in try Example.all() {
      for (mode, theme) in Self.themes {
        try Data(figure.render(.png, scale: 1.5, theme: theme)).write(to: folder.appendingPathComponent("\(name)-\(mode).png"))
      }
      try Data(figure.render(.pdf)).write(to: folder.appendingPathComponent("\(name).pdf"))
      try Data(figure.svg(id: name).utf8).write(to: folder.appendingPathComponent("\(name).svg"))
    }
  }
}
