import Engine
import Foundation
import Testing

@Suite struct LensVerbTests {
  @Test func everyLayerIsARunAndTheLastThePictureItself() throws {
    let place = try Workplace()
    let result = try place.run("lens", "a red house", "--steps", "2", "--sampler", "ddim", "-n", "2", "-o", "l.png", "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let layers = try #require(try result.json()["layers"] as? [[String: Any]])
    #expect(layers.map { $0["layer"] as? Int } == [0, 1, 2, 3])
    #expect(layers.last?["to_last"] as? [Double] == [0, 0] && layers.first?["to_previous"] == nil)
    #expect(layers.dropLast().allSatisfy { (($0["to_last"] as? [Double])?.min() ?? 0) > 0 })
    #expect(try result.json()["between_seeds"] as? Double ?? 0 > 0 && result.json()["seeds"] as? [Int] == [42, 43])
    #expect(try Picture(url: place.url("l.png")).width > 500)
    let last = try #require(layers.last?["run"] as? String)
    // The last layer's pictures are those that `generate` makes, and no run is made twice.
    #expect(try place.run("generate", "a red house", "--steps", "2", "--sampler", "ddim", "-n", "2", "-o", "g.png", "-q").code == 0)
    for i in 0..<2 { #expect(try Picture(url: place.url("g-\(42 + i).png")) == Picture(url: place.url("\(last)/image-\(i).png"))) }
    let runs = try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).sorted()
    #expect(runs.count == 4)
    let text = try place.run("lens", "a red house", "--steps", "2", "--sampler", "ddim", "-n", "2", "--layers", "1", "-o", "l.svg", "-q")
    #expect(text.lines.count == 4 && text.lines.last == "l.svg" && text.lines[2].hasPrefix("3 "), "\(text.output)\(text.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).sorted() == runs)
    let single = try place.run("lens", "a red house", "--steps", "1", "-o", "one.pdf", "-q", "--theme", "dark")
    #expect(single.lines.last == "one.pdf", "\(single.errors)")
  }

  @Test func mistakes() throws {
    let place = try Workplace()
    expectError(try place.run("lens", "a house", "--layers", "4", "-o", "x.png"), 64, "layers '4'", "0 to 3")
    expectError(try place.run("lens", "a house", "--layers", "3", "-o", "x.png"), 64, "only the last layer")
    expectError(try place.run("lens", "a house", "--clip-skip", "1", "-o", "x.png"), 64, "clip skip 1", "layer 2")
    expectError(try place.run("lens", "a house", "-o", "x.jpg"), 64, "x.jpg", ".png")
    #expect(try place.run("lens", "a house", "--dry-run").output.contains("would write"))
    #expect(try place.files().isEmpty)
  }
}

@Suite struct FeaturesVerbTests {
  private func houses(_ place: borrowing Workplace) throws {
    for (name, seed) in [("a", "1"), ("b", "2")] {
      let result = try place.run("generate", "a red house", "--steps", "2", "--seed", seed, "-o", "\(name).png", "-q")
      #expect(result.code == 0, "\(result.errors)")
    }
  }

  @Test func matchesOfTwoPictures() throws {
    let place = try Workplace()
    try houses(place)
    let result = try place.run(
      "features", "a.png", "a.png", "--point", "20,30", "--point", "41,9", "--ensemble", "2", "--arrays", "f.safetensors", "-o", "f.png",
      "-q",
      "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    let matches = try #require(json["matches"] as? [[String: Any]])
    // The same picture: every place is itself.
    #expect(matches.map { $0["to"] as? [Int] } == [[20, 30], [41, 9]] && matches.allSatisfy { $0["back_distance"] as? Double == 0 })
    #expect(json["block"] as? String == "unet.up_blocks.1.out" && json["cells"] as? [[Int]] == [[16, 16], [16, 16]])
    #expect(json["mutual_share"] as? Double == 1 && (json["mutual"] as? [Any])?.count == 256)
    let arrays = try Safetensors.read(place.url("f.safetensors")).tensors
    #expect(arrays.map(\.name).sorted() == ["a", "b", "similarity"])
    #expect(arrays.first { $0.name == "similarity" }?.shape == [2, 64, 64] && arrays.first { $0.name == "a" }?.shape == [128, 16, 16])
    let plain = try place.run("features", "a.png", "b.png", "--ensemble", "1", "-o", "g.svg", "-q")
    #expect(plain.lines.count == 2 && plain.lines[0].contains("of 256 places"), "\(plain.output)\(plain.errors)")
    let run = try place.run("trace", "a red house", "--steps", "2", "--seed", "1", "-q").lines[0]
    let stored = try place.run("features", run, "a.png", "--ensemble", "1", "--point", "5,6", "-o", "r.png", "-q", "--json")
    #expect(try (stored.json()["matches"] as? [[String: Any]])?.first?["to"] as? [Int] == [5, 6], "\(stored.errors)")
  }

  @Test func mistakes() throws {
    let place = try Workplace()
    try houses(place)
    expectError(try place.run("features", "a.png", "none.png", "-o", "x.png"), 66, "none.png: there is no such picture")
    expectError(try place.run("features", "a.png", "bb.png", "-o", "x.png"), 66, "bb.png", "did you mean", "b.png")
    expectError(try place.run("features", "a.png", "runs/nothing", "-o", "x.png"), 66, "no run 'runs/nothing'")
    expectError(try place.run("features", "a.png", "a house", "--index", "1", "-o", "x.png", "-q"), 64, "--index 1", "1 image")
    expectError(try place.run("features", "a.png", "b.png", "--point", "64,3", "-o", "x.png"), 64, "--point 64,3", "64x64")
    expectError(try place.run("features", "a.png", "b.png", "--point", "7", "-o", "x.png"), 64, "--point 7", "two whole numbers")
    expectError(try place.run("features", "a.png", "b.png", "--block", "3", "-o", "x.png", "-q"), 64, "up block 3", "0 to 2")
    expectError(try place.run("features", "a.png", "b.png", "--at", "1000", "-o", "x.png", "-q"), 64, "timestep 1000", "0 to 999")
    expectError(try place.run("features", "a.png", "b.png", "--ensemble", "0", "-o", "x.png"), 64, "--ensemble 0")
    expectError(try place.run("features", "a.png", "b.png", "--arrays", "f.npy", "-o", "x.png"), 64, "f.npy", ".safetensors")
    expectError(try place.run("features", "a.png", "b.png", "-o", "a.png"), 73, "a.png", "is there already")
    let tiny = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/tiny/inpaint")
      .standardizedFileURL
    expectError(
      try place.run("features", "a.png", "b.png", "--model", tiny.path, "-o", "x.png", "-q"), 64, "cannot be looked at", "inpainting")
    try Data("no picture".utf8).write(to: place.url("bad.png"))
    expectError(try place.run("features", "a.png", "bad.png", "-o", "x.png"), 65, "bad.png")
    #expect(try place.files() == ["a.png", "b.png", "bad.png"])
  }

  /// A prompt on either side is a run that is made once; it finds its own picture place by place.
  @Test func promptsAndRuns() throws {
    let place = try Workplace()
    let arguments = [
      "features", "a red house", "a.png", "--steps", "2", "--seed", "1", "--ensemble", "1", "--point", "20,30", "-q", "--json", "-o",
      "f.png", "-f",
    ]
    #expect(try place.run("generate", "a red house", "--steps", "2", "--seed", "1", "-o", "a.png", "-q").code == 0)
    let result = try place.run(arguments)
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    #expect(try (result.json()["matches"] as? [[String: Any]])?.first?["to"] as? [Int] == [20, 30])
    let names = try #require(try result.json()["runs"] as? [Any])
    let run = try #require(names.first as? String)
    #expect(names.last is NSNull)
    let kept = try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path)
    #expect(kept.count == 1 && "runs/\(kept[0])" == run)
    // Again, the other way round, and between two prompts with the same noise.
    #expect(try place.run(arguments).code == 0)
    let stored = try place.run("features", "a.png", run, "--ensemble", "1", "--point", "5,6", "-q", "--json", "-o", "g.png")
    #expect(try (stored.json()["matches"] as? [[String: Any]])?.first?["to"] as? [Int] == [5, 6], "\(stored.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path) == kept)
    let two = try place.run(
      "features", "a red house", "a blue house", "--steps", "2", "--seed", "1", "--ensemble", "1", "-q", "-o", "h.svg")
    #expect(two.lines.last == "h.svg", "\(two.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count == 2)
    // Another noise gives other features.
    func similarity(_ more: String...) throws -> Double {
      let result = try place.run(
        ["features", "a.png", "h-b.png", "--ensemble", "1", "--point", "20,30", "-q", "--json", "-o", "n.png", "-f"] + more)
      return try #require((try result.json()["matches"] as? [[String: Any]])?.first?["similarity"] as? Double)
    }
    #expect(try place.run("generate", "a blue boat", "--steps", "2", "--seed", "4", "-o", "h-b.png", "-q").code == 0)
    #expect(try similarity() != similarity("--noise-seed", "7"))
  }

  /// Another size: resized to what the VAE takes, with a warning, and points stay those of the picture as given.
  @Test func oddSizes() throws {
    let place = try Workplace()
    try houses(place)
    let odd = try Picture(url: place.url("a.png")).resized(width: 70, height: 50, filter: .lanczos)
    try odd.writePNG(to: place.url("odd.png"), metadata: PictureMetadata())
    let result = try place.run("features", "odd.png", "odd.png", "--point", "69,49", "--ensemble", "1", "-o", "o.png", "--json")
    #expect(result.code == 0 && result.errors.contains("70x50 is resized to 68x48"), "\(result.errors)")
    let to = try #require((try result.json()["matches"] as? [[String: Any]])?.first?["to"] as? [Int])
    #expect(abs(to[0] - 69) <= 1 && abs(to[1] - 49) <= 1)
  }
}

@Suite struct InformationVerbTests {
  @Test func mapsOfWords() throws {
    let place = try Workplace()
    let result = try place.run(
      "information", "a red house", "--word", "red,house", "--swap", "house=house, red=blue", "--samples", "3", "--steps", "2", "--arrays",
      "maps",
      "-o", "i.png", "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    let words = try #require(json["words"] as? [[String: Any]])
    #expect(words.map { $0["without"] as? String } == ["a house", "a red", "a red house", "a blue house"])
    let totals = try words.map { try #require(($0["orthogonal"] as? [String: Any])?["nats"] as? Double) }
    // A word in place of itself says exactly nothing.
    #expect(totals[2] == 0 && totals[0] > 0 && totals[1] > 0 && totals[3] > 0)
    #expect(json["samples"] as? Int == 3 && json["log_snr"] as? [Double] == [-5, 7])
    let map = try Npy.read(place.url("maps/red.npy"))
    #expect(map.shape == [16, 16])
    #expect(abs(try map.float32().reduce(0) { $0 + Double($1) } / totals[0] - 1) < 1e-4)
    #expect(FileManager.default.fileExists(atPath: place.url("maps/prompt.npy").path))
    // The run that was made is measured again with the same numbers.
    let run = try #require(json["run"] as? String)
    let again = try place.run(
      "information", run, "--word", "house", "--samples", "3", "--estimator", "standard", "-o", "s.svg", "-q", "--json")
    let house = try #require((try again.json()["words"] as? [[String: Any]])?.first?["orthogonal"] as? [String: Any])
    #expect(abs((house["nats"] as? Double ?? 0) / totals[1] - 1) < 1e-3, "\(again.errors)")
    let text = try place.run("information", run, "--samples", "2", "-o", "t.png", "-q")
    #expect(text.lines.count == 6 && text.lines.last == "t.png", "\(text.output)\(text.errors)")
    _ = try place.run("generate", "a red house", "--steps", "2", "-q", "-o", "house.png")
    let image = try place.run(
      "information", "a red house", "--image", "house.png", "--word", "house", "--samples", "2", "-o", "e.png", "-q", "--json")
    #expect(try image.code == 0 && image.json()["run"] == nil, "\(image.errors)")
  }

  /// Weights count as in `generate`: weight 1 changes nothing, weight 0 takes most of what a word says away, and brackets stay where words go.
  @Test func emphasis() throws {
    let place = try Workplace()
    #expect(try place.run("generate", "a red house", "--steps", "2", "-q", "-o", "house.png").code == 0)
    func nats(_ prompt: String, _ more: String...) throws -> (whole: Double, words: [(without: String, nats: Double)]) {
      let result = try place.run(
        ["information", prompt, "--image", "house.png", "--samples", "4", "-o", "i.png", "-f", "-q", "--json"] + more)
      #expect(result.code == 0, "\(result.errors)")
      let json = try result.json()
      let words = try #require(json["words"] as? [[String: Any]])
      func total(_ object: Any?) throws -> Double { try #require((object as? [String: Any])?["nats"] as? Double) }
      return (try total(json["orthogonal"]), try words.map { (try #require($0["without"] as? String), try total($0["orthogonal"])) })
    }
    let plain = try nats("a red house", "--word", "red")
    let one = try nats("a (red:1.0) house", "--emphasis", "a1111", "--word", "red")
    #expect(one.whole == plain.whole && one.words[0].nats == plain.words[0].nats && one.words[0].without == "a (:1.0) house")
    let strong = try nats("a (red:1.5) house", "--emphasis", "a1111", "--word", "red", "--swap", "red=red")
    #expect(strong.whole != plain.whole && strong.words[0].nats != plain.words[0].nats)
    #expect(strong.words[1].nats == 0 && strong.words[1].without == "a (red:1.5) house")
    // Without --emphasis brackets are text.
    #expect(try nats("a (red:1.5) house", "--word", "red").words[0].without == "a (:1.5) house")
    #expect(try nats("a (red:1.5) house", "--word", "red").words[0].nats != strong.words[0].nats)
    // A stored run's weights count too.
    let run = try place.run("trace", "a (red:1.5) house", "--emphasis", "a1111", "--steps", "2", "-q").lines[0]
    let stored = try place.run("information", run, "--word", "red", "--samples", "2", "-o", "s.png", "-q", "--json")
    #expect(stored.code == 0, "\(stored.errors)")
  }

  @Test func mistakes() throws {
    let place = try Workplace()
    expectError(try place.run("information", "a red house", "--word", "hous", "-o", "x.png"), 64, "no word 'hous'", "did you mean 'house'?")
    expectError(try place.run("information", "a red house", "--swap", "house", "-o", "x.png"), 64, "--swap house", "two words")
    expectError(try place.run("information", "a red house", "--samples", "1", "-o", "x.png"), 64, "--samples 1")
    expectError(try place.run("information", "a red house", "--image", "none.png", "-o", "x.png"), 66, "none.png")
    expectError(try place.run("information", "runs/none", "-o", "x.png"), 66, "no run")
    expectError(try place.run("information", "", "-o", "x.png"), 64, "no words")
    expectError(
      try place.run("information", "a (red) house", "--emphasis", "a1111", "--word", "red house", "-o", "x.png", "-q"), 64, "'red house'",
      "across a bracket")
    #expect(try place.run("information", "a red house", "--dry-run").output.contains("500 rows"))
    #expect(try place.files().isEmpty)
    let run = try place.run("trace", "a red house", "--steps", "2", "-q").lines[0]
    expectError(try place.run("information", run, "--index", "1", "-o", "x.png"), 64, "--index 1", "1 image")
    let tiny = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/tiny/v1").standardizedFileURL
      .path
    expectError(try place.run("information", run, "--model", tiny, "-o", "x.png"), 65, "made with another model")
    try FileManager.default.removeItem(at: place.url(run + "/latents.safetensors"))
    expectError(try place.run("information", run, "-o", "x.png"), 65, "half there")
  }
}
