import Engine
import Foundation
import Testing

/// The verbs that make and read runs.
@Suite struct RunVerbsTests {
  @Test func traceHeatmapRuns() throws {
    let place = try Workplace()
    let traced = try place.run("trace", "a red house and a green tree", "--steps", "3", "-q", "--json")
    #expect(traced.code == 0 && traced.errors.isEmpty, "\(traced.errors)")
    let run = try #require(try traced.json()["run"] as? String)
    let again = try place.run("trace", "a red house and a green tree", "--steps", "3", "-q")
    #expect(again.lines == [run])
    #expect(try place.run("runs", "-q").output.contains(URL(fileURLWithPath: run).lastPathComponent))
    #expect(try place.run("runs", "show", run, "--verify").output.contains("all digests agree"))

    let maps = try place.run("heatmap", run, "--words", "house,green tree", "--arrays", "maps", "-o", "h.svg", "--json", "-q")
    #expect(maps.code == 0, "\(maps.errors)")
    let words = try #require(try maps.json()["words"] as? [[String: Any]])
    #expect(words.map { $0["word"] as? String } == ["house", "green tree"])
    #expect(words.map { ($0["positions"] as? [Int])?.count } == [1, 2])
    let array = try Npy.read(place.url("maps/green tree.npy"))
    #expect(array.shape == [16, 16])
    let values = try array.float32()
    let tokens = try ["green", "tree"].map { word in
      _ = try place.run("heatmap", run, "--words", word, "--arrays", "maps", "-o", "\(word).png", "-q")
      return try Npy.read(place.url("maps/\(word).npy")).float32()
    }
    // A phrase is the mean of its tokens.
    #expect(zip(values, zip(tokens[0], tokens[1])).allSatisfy { abs($0 - ($1.0 + $1.1) / 2) < 1e-5 })
    #expect(try Picture(url: place.url("tree.png")).width > 300)
    for method in ["p2p", "neglect"] {
      let result = try place.run("heatmap", run, "--method", method, "-o", "\(method).png", "-q")
      #expect(result.lines == ["\(method).png"], "\(result.errors)")
    }

    expectError(try place.run("heatmap", run, "--words", "hous", "-o", "x.png"), 64, "no word 'hous'", "did you mean 'house'?")
    expectError(try place.run("heatmap", run, "-o", "h.svg"), 73, "h.svg", "is there already")
    expectError(try place.run("heatmap", run, "-o", "h.jpg"), 64, "h.jpg", ".png")
    expectError(try place.run("heatmap", run, "--layers", "7x7", "-o", "x.png"), 64, "no cross-attention layer fits '7x7'")
    expectError(try place.run("heatmap", run, "--at-steps", "9", "-o", "x.png"), 64, "expected 0 to 2")
    expectError(try place.run("heatmap", run, "--index", "4", "-o", "x.png"), 64, "--index 4")
    expectError(try place.run("heatmap", run, "--method", "ovam", "--words", "cat", "-o", "x.png"), 64, "no captures of unet.*.attn2.q")
    let tiny = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/tiny/v1").standardizedFileURL
      .path
    expectError(try place.run("heatmap", run, "--model", tiny, "-o", "x.png"), 65, "made with another model")
    expectError(try place.run("runs", "show", "nothing"), 66, "no run 'nothing'")
    // A mistyped path is no prompt; the beginning of a name is a run.
    expectError(try place.run("heatmap", run + "x", "-o", "x.png"), 66, "no run")
    expectError(try place.run("heatmap", "./nowhere", "-o", "x.png"), 66, "no run")
    #expect(try place.run("heatmap", "a-red-house-and", "-o", "begin.png", "-q", "--json").json()["run"] as? String == run)
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count == 1)
    try FileManager.default.removeItem(at: place.url(run + "/latents.safetensors"))
    expectError(try place.run("heatmap", run, "-o", "x.png"), 65, "latents.safetensors", "half there")
    #expect(try place.run("runs", "clean", "--damaged", "-f").lines.count == 1)
  }

  @Test func traceSaysWhatItWillTake() throws {
    let place = try Workplace()
    let plan = try place.run("trace", "a red house", "--steps", "4", "--dry-run", "--json", "--sites", "unet.mid_block.out@pixels").json()
    #expect(plan["bytes"] as? Int == 4 * 192 * 4)
    #expect(try place.files().isEmpty)
    // The whole run: captures, trajectory, pictures, manifest. An upper bound, and not an idle one.
    for sites in [["unet.mid_block.out"], ["unet.*.attn2.probs", "unet.*.attn1.probs@heads"]] {
      func trace(_ more: String) throws -> [String: Any] {
        try place.run(["trace", "a red house", "--steps", "4", "-q", "--json", more, "--sites"] + sites).json()
      }
      let planned = try #require(try trace("--dry-run")["disk_bytes"] as? Double)
      let found = try #require(try trace("--again")["bytes"] as? Int)
      #expect(planned >= Double(found) && planned < 2.5 * Double(found) + 60_000, "\(sites): \(planned) planned, \(found) written")
    }
    expectError(
      try place.run("trace", "a red house", "--sites", "unet.*.atn2.probs"), 64, "no site matches 'unet.*.atn2.probs'", "unet.*.attn2.probs"
    )
    expectError(try place.run("trace", "a red house", "--sites", "unet.mid_block.out@heads"), 64, "does not fit")
  }

  @Test func openVocabularyAndExistingPictures() throws {
    let place = try Workplace()
    let ovam = try place.run(
      "heatmap", "a red house", "--method", "ovam", "--words", "roof,house", "--steps", "2", "-q", "-o", "o.png", "--json")
    #expect(ovam.code == 0, "\(ovam.errors)")
    #expect((try ovam.json()["words"] as? [[String: Any]])?.count == 2)
    _ = try place.run("generate", "a red house", "--steps", "2", "-q", "-o", "house.png")
    let result = try place.run("heatmap", "a red house", "--image", "house.png", "--at", "300,500", "-q", "-o", "i.png", "--json")
    #expect(result.code == 0, "\(result.errors)")
    #expect(try result.json()["run"] == nil)
    expectError(try place.run("heatmap", "a red house", "--image", "house.png", "--at", "5000", "-o", "x.png"), 64, "timestep 5000")
    expectError(try place.run("heatmap", "a red house", "--image", "none.png", "-o", "x.png"), 66, "none.png")
  }

  /// The main job, in few steps: one file that needs nothing else; the second time its passes are there.
  @Test func explore() throws {
    let place = try Workplace()
    let first = try place.run("explore", "a red house", "--steps", "3", "-q", "--json", "-o", "e.html")
    #expect(first.code == 0, "\(first.errors)")
    let html = try String(contentsOf: place.url("e.html"), encoding: .utf8)
    for title in [
      "How the picture came to be", "Where each word went", "What places look at", "Where this picture lies", "What lies between",
      "What each word does", "How to make it again",
    ] { #expect(html.contains(title), "\(title)") }
    for loading in ["src=\"http", "href=\"http", "url(http", "@import"] { #expect(!html.contains(loading), "\(loading)") }
    #expect(html.utf8.count < 10_000_000)
    let runs = try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count
    #expect(runs > 10)
    // The picture's own run tells the same of the words, from the runs that are there.
    let base = try #require(
      try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).first { name in
        let captures = (try? FileManager.default.contentsOfDirectory(atPath: place.url("runs/\(name)/captures").path)) ?? []
        return captures.contains { $0.hasSuffix("attn2.q.safetensors") }
      })
    let told = try place.run("report", "runs/\(base)", "-q", "--json", "-o", "r.html")
    #expect((try told.json()["sections"] as? [String])?.contains("What each word does") == true, "\(told.errors)")
    func table(_ name: String) throws -> Substring {
      let page = try String(contentsOf: place.url(name), encoding: .utf8)
      let start = try #require(page.range(of: "<caption>Does a word"))
      let end = try #require(page.range(of: "</table>", range: start.upperBound..<page.endIndex))
      return page[start.lowerBound..<end.upperBound]
    }
    #expect(try table("r.html") == table("e.html"))
    expectError(try place.run("explore", "a red house", "-o", "e.html"), 73, "e.html", "is there already")
    expectError(try place.run("explore", "a red house", "--count", "2", "-o", "x.html"), 64, "--count 2")
    expectError(try place.run("explore", "a red house", "--budget", "0.0001", "-o", "x.html"), 64, "the smallest exploration takes")
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count == runs)
  }
}
