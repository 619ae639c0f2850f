import Engine
import Foundation
import Testing

@Suite struct ReportVerbTests {
  private func trace(_ place: borrowing Workplace, _ arguments: String...) throws -> String {
    let result = try place.run(["trace"] + arguments + ["--steps", "3", "-q", "--json"])
    return try #require(try result.json()["run"] as? String)
  }

  private func text(_ place: borrowing Workplace, _ name: String) throws -> String {
    try String(contentsOf: place.url(name), encoding: .utf8)
  }

  /// One run: what it kept is shown, what it did not keep is named; nothing is generated.
  @Test func aRun() throws {
    let place = try Workplace()
    let run = try trace(place, "a red house")
    let before = try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path)
    let result = try place.run("report", run, "-o", "r.html", "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    #expect(
      try result.json()["sections"] as? [String] == [
        "How the picture came to be", "Where each word went", "What places look at", "How to make it again",
      ])
    let html = try text(place, "r.html")
    #expect(html.contains("Self-attention of 16x16 places: not kept") && html.contains("unet.*.attn1.probs"))
    #expect(!html.contains("Cross-attention: not kept") && html.contains("BOS can carry nothing of the prompt"))
    for loading in ["src=\"http", "href=\"http", "url(http", "@import"] { #expect(!html.contains(loading), "\(loading)") }
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path) == before)
    expectError(try place.run("report", run, "-o", "r.html"), 73, "r.html", "is there already")
    expectError(try place.run("report", run, "--index", "2", "-o", "x.html"), 64, "--index 2", "1 image")
    expectError(try place.run("report", "nothing", "-o", "x.html"), 66, "no run 'nothing'")
    expectError(try place.run("report", run, run, "-o", "x.html"), 64, "named twice")
    let tiny = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/tiny/v1").standardizedFileURL
      .path
    expectError(try place.run("report", run, "--model", tiny, "-o", "x.html"), 65, "made with another model")
    try FileManager.default.removeItem(at: place.url(run + "/latents.safetensors"))
    expectError(try place.run("report", run, "-o", "x.html"), 65, "latents.safetensors", "half there")
  }

  /// A run that kept everything, and one that kept means over the heads.
  @Test func whatARunKept() throws {
    let place = try Workplace()
    let whole = try trace(
      place, "a red house", "--sites", "unet.*.attn2.probs", "unet.*.attn1.probs@heads", "unet.up_blocks.2.resnets.0.out")
    #expect(try place.run("report", whole, "-o", "w.html", "-q").lines == ["w.html"])
    let html = try text(place, "w.html")
    #expect(!html.contains("not kept") && html.contains("leading components") && html.contains("features of the decoder"))
    let averaged = try trace(place, "a red house", "--sites", "unet.*.attn2.probs@heads", "--at-steps", "1,2")
    #expect(try place.run("report", averaged, "-o", "a.html", "-q").lines == ["a.html"])
    let means = try text(place, "a.html")
    #expect(means.contains("from means over the heads") && means.contains("Budget and entropy by head: not kept"))
    // Steps keep their numbers.
    #expect(means.contains("step 3, t = ") && !means.contains("Cross-attention: not kept"))
    let nothing = try trace(place, "a red house", "--sites", "unet.mid_block.out@pixels")
    #expect(try place.run("report", nothing, "-o", "n.html", "-q").lines == ["n.html"])
    #expect(try text(place, "n.html").contains("Cross-attention: not kept"))
  }

  /// Pictures enough are put on a map, with what tells them apart; few, or of several sizes, are not.
  @Test func aMapOfThePictures() throws {
    let place = try Workplace()
    let title = "Where the pictures lie to each other"
    func sections(_ runs: [String], _ name: String) throws -> [String] {
      let result = try place.run(["report"] + runs + ["-o", name, "-q", "--json"])
      #expect(result.code == 0, "\(result.errors)")
      return try #require(try result.json()["sections"] as? [String])
    }
    let three = try trace(place, "a red house", "--count", "3", "--sites", "unet.mid_block.out@pixels")
    let two = try trace(place, "a blue boat", "--count", "2", "--sites", "unet.mid_block.out@pixels")
    #expect(try !sections([three], "few.html").contains(title))
    #expect(try sections([three, two], "map.html").contains(title))
    let html = try text(place, "map.html")
    #expect(html.contains("run A, a red house, seed 44") && html.contains("run B, a blue boat, seed 43") && html.contains("UMAP"))
    #expect(try place.run("report", "check", "map.html").code == 0)
    let wide = try trace(place, "a red house", "--count", "2", "--width", "96", "--sites", "unet.mid_block.out@pixels")
    #expect(try !sections([three, wide], "sizes.html").contains(title))
  }

  /// Two runs: what differs is told, what is the same is not in the table.
  @Test func sideBySide() throws {
    let place = try Workplace()
    let a = try trace(place, "a red house")
    let b = try trace(place, "a blue house", "--seed", "7", "--guidance", "3")
    let result = try place.run("report", a, b, "-o", "two.html", "-q", "--json")
    #expect(result.code == 0, "\(result.errors)")
    let sections = try #require(try result.json()["sections"] as? [String])
    #expect(sections.prefix(2) == ["Side by side", "The words side by side"] && sections.contains("B: where each word went"))
    let html = try text(place, "two.html")
    let table = try #require(html.range(of: "<caption>What differs</caption>"))
    let rows = html[table.upperBound...].prefix { _ in true }.prefix(4000)
    let body = rows[..<(rows.range(of: "</table>")?.lowerBound ?? rows.endIndex)]
    for name in ["prompt", "guidance", "seed"] { #expect(body.contains("<th scope=\"row\">\(name)</th>"), "\(name)") }
    for name in ["sampler", "steps", "size", "model"] { #expect(!body.contains("<th scope=\"row\">\(name)</th>"), "\(name)") }
    // Parts of the two runs can be told apart by those who hear them.
    for name in ["A", "B"] { #expect(html.components(separatedBy: "house”, run \(name)\"").count > 1, "\(name)") }
    #expect(html.contains("Distance between the pictures") && html.utf8.count < 10_000_000)
    #expect(try place.run("report", "check", "two.html").output.contains("2 are here and the same, 0 not here"))
    #expect(try place.run("report", "check", "two.html", "--runs", "nowhere").output.contains("0 are here and the same, 2 not here"))
  }

  /// A changed picture, number, data block or frame is found and named.
  @Test func checkFindsWhatWasChanged() throws {
    let place = try Workplace()
    let run = try trace(place, "a red house")
    #expect(try place.run("report", run, "-o", "r.html", "-q").code == 0)
    let good = try place.run("report", "check", "r.html", "--json")
    #expect(good.code == 0, "\(good.errors)")
    #expect(try good.json()["whole"] as? Bool == true && good.json()["runs_compared"] as? Int == 1)
    let html = try text(place, "r.html")

    func tampered(_ name: String, _ edit: (inout String) throws -> Void) throws -> Workplace.Result {
      var copy = html
      try edit(&copy)
      #expect(copy != html, "\(name): nothing was changed")
      try Data(copy.utf8).write(to: place.url("t.html"))
      return try place.run("report", "check", "t.html")
    }
    func replace(_ text: inout String, after marker: String, _ old: String, _ new: String) throws {
      let from = try #require(text.range(of: marker))
      let at = try #require(text.range(of: old, range: from.upperBound..<text.endIndex))
      text.replaceSubrange(at, with: new)
    }

    let picture = try tampered("picture") { html in
      // One character of the first picture's PNG.
      let start = try #require(html.range(of: "data:image/png;base64,"))
      let at = html.index(start.upperBound, offsetBy: 200)
      html.replaceSubrange(at...at, with: html[at] == "A" ? "B" : "A")
    }
    expectError(picture, 65, "1 place is not as sealed", "How the picture came to be", "the picture “the picture made of “a red house””")
    let number = try tampered("number") { try replace(&$0, after: ">guidance</dt>", "8.0", "9.0") }
    expectError(number, 65, "How the picture came to be", "the text now", "guidance 9.0")
    let data = try tampered("data") { html in
      let start = try #require(html.range(of: "<script type=\"text/plain\" id=\"s2p1"))
      let close = try #require(html.range(of: ">", range: start.upperBound..<html.endIndex))
      let at = html.index(close.upperBound, offsetBy: 40)
      html.replaceSubrange(at...at, with: html[at] == "A" ? "B" : "A")
    }
    expectError(data, 65, "the data of section “Where each word went”")
    expectError(try tampered("title") { try replace(&$0, after: "<title>", "a red house", "a green house") }, 65, "the frame")
    let seal = try tampered("seal") { html in
      let name = URL(fileURLWithPath: run).lastPathComponent
      try replace(&html, after: "id=\"seal\">", "\"name\":\"\(name)\"", "\"name\":\"another\"")
    }
    expectError(seal, 65, "the digests themselves")
  }

  @Test func checkRefusesOtherFiles() throws {
    let place = try Workplace()
    try Data("<html><body>nothing</body></html>".utf8).write(to: place.url("other.html"))
    expectError(try place.run("report", "check", "other.html"), 65, "other.html", "no digests")
    try Data([0xff, 0xfe, 0, 1]).write(to: place.url("bytes.html"))
    expectError(try place.run("report", "check", "bytes.html"), 65, "bytes.html")
    try Data("<script type=\"application/json\" id=\"seal\">{\"runs\":3}</script>\n".utf8).write(to: place.url("odd.html"))
    expectError(try place.run("report", "check", "odd.html"), 65, "cannot be read")
    expectError(try place.run("report", "check", "none.html"), 66, "none.html")
    expectError(try place.run("report"), 64)
  }

  /// A run that was made again since is not the one that the report tells of.
  @Test func checkComparesTheRuns() throws {
    let place = try Workplace()
    let run = try trace(place, "a red house")
    #expect(try place.run("report", run, "-o", "r.html", "-q").code == 0)
    var manifest = try String(contentsOf: place.url(run + "/manifest.json"), encoding: .utf8)
    manifest = manifest.replacingOccurrences(of: "\"created\" : \"20", with: "\"created\" : \"19")
    try Data(manifest.utf8).write(to: place.url(run + "/manifest.json"))
    expectError(try place.run("report", "check", "r.html"), 65, "made again since")
  }
}
