import Foundation
import Testing

@testable import Plots

@Suite struct ReportSealTests {
  private func report(_ text: String = "a red house") throws -> [UInt8] {
    var report = try ReportDemo(text: text).report()
    report.runs = [.init(name: "a-red-house-42-00000000", sha256: String(repeating: "0", count: 64))]
    return Array(try report.html(ReportAssets(folder: ReportTests.folder)).utf8)
  }

  @Test(arguments: ["a red house", "</section><section id=\"x\"> data:image/png;base64,\"", "\r\n<script type=\"\u{301}"])
  func aReportIsAsItWasMade(_ text: String) throws {
    let (seal, changes) = try ReportSeal.check(report(text))
    #expect(changes.isEmpty, "\(changes)")
    #expect(seal.runs.map(\.name) == ["a-red-house-42-00000000"])
    #expect(!seal.sections.isEmpty && seal.sections.contains { !$0.pictures.isEmpty } && !seal.data.isEmpty)
  }

  /// Whatever byte of the file is changed, it is found.
  @Test func everyByteCounts() throws {
    let good = try report()
    var places = Array(stride(from: 0, to: good.count, by: max(1, good.count / 97)))
    // The seal itself, densely.
    places += Array(stride(from: good.count - 3000, to: good.count, by: 41))
    for place in places {
      var bad = good
      bad[place] ^= 1
      guard let found = try? ReportSeal.check(bad) else { continue }
      #expect(!found.changes.isEmpty, "byte \(place) of \(good.count)")
    }
  }

  /// What was changed is named by what a reader sees.
  @Test func changesHaveNames() throws {
    let good = String(decoding: try report(), as: UTF8.self)
    func changes(_ old: String, _ new: String) throws -> [String] {
      let at = try #require(good.range(of: old))
      return try ReportSeal.check(Array(good.replacingCharacters(in: at, with: new).utf8)).changes
    }
    let sections = try ReportSeal.check(Array(good.utf8)).seal.sections
    let title = sections[0].title
    #expect(
      try changes("<dt>Shows</dt><dd>", "<dt>Shows</dt><dd>not ").first?.contains("section “\(title)”: the text now “Shows not") == true)
    #expect(try changes("</section>", "<p>more</p>\n</section>").first?.contains("lines were sealed") == true)
    #expect(try changes("<title>", "<title>x") == ["the frame: title, contents, style or script"])
  }
}
