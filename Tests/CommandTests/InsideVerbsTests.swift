import Engine
import Foundation
import Testing

@Suite struct AttentionVerbTests {
  @Test func budgetHeadsAndComponents() throws {
    let place = try Workplace()
    let made = try place.run(
      "attention", "a red house and a green tree", "--steps", "3", "--words", "house,green tree,<bos>", "-o", "a.png", "--arrays",
      "a.safetensors", "-q",
      "--json")
    #expect(made.code == 0 && made.errors.isEmpty, "\(made.errors)")
    let json = try made.json()
    let files = ["a.png", "a-heads-house.png", "a-heads-green-tree.png", "a-heads-bos.png", "a-self.png", "a.safetensors"]
    #expect(json["files"] as? [String] == files)
    #expect(try place.files() == (files + ["runs"]).sorted())
    for file in files.dropLast() { #expect(try Picture(url: place.url(file)).width > 300) }
    #expect(json["steps"] as? [Int] == [0, 1, 2])
    let layers = try #require(json["layers"] as? [[String: Any]])
    #expect(layers.count == 7)
    for layer in layers {
      let heads = try #require(layer["heads"] as? [[String: Double]])
      #expect(heads.count == 4)
      for head in heads {
        #expect(abs(["bos", "words", "eos", "padding"].reduce(0) { $0 + (head[$1] ?? .nan) } - 1) < 1e-5)
        #expect((0...log(32.0)).contains(head["entropy"] ?? -1))
      }
    }
    let words = try #require(json["words"] as? [[String: Any]])
    #expect(words.map { $0["word"] as? String } == ["house", "green tree", "<bos>"])
    #expect(words.map { ($0["positions"] as? [Int])?.count } == [1, 2, 1])
    for word in words {
      let shares = try #require(word["heads"] as? [[String: Any]]).compactMap { $0["share"] as? Double }
      #expect(shares.count == 28 && shares == shares.sorted(by: >))
    }
    // The share of BOS in the atlas is that of the budget.
    let bos = try #require(words[2]["heads"] as? [[String: Any]])
    for layer in layers {
      for (number, head) in try #require(layer["heads"] as? [[String: Double]]).enumerated() {
        let found = bos.first { $0["layer"] as? String == layer["path"] as? String && $0["head"] as? Int == number }
        #expect(abs((found?["share"] as? Double ?? -1) - (head["bos"] ?? 1)) < 1e-5)
      }
    }
    #expect((json["components"] as? [[String: Any]])?.count == 6)
    let tensors = try Safetensors.read(place.url("a.safetensors")).tensors
    func shape(_ name: String) -> [Int]? { tensors.first { $0.name == name }?.shape }
    #expect(shape("share") == [3, 28, 4] && shape("entropy") == [3, 28] && shape("self.components") == [6, 16, 16])
    #expect(shape("map.green tree.unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2") == [4, 8, 8])

    // The run is there: the same again, parts of it, by another order, in another format.
    let run = try #require(json["run"] as? String)
    let part = try place.run("attention", run, "--layers", "up", "--at-steps", "1-2", "--rank", "peakedness", "-o", "p.svg", "-q")
    #expect(
      part.code == 0 && part.output.contains("peakedness") && part.lines.suffix(3) == ["p.svg", "p-heads.svg", "p-self.svg"],
      "\(part.errors)")
    #expect(part.lines.count { $0.hasPrefix("up ") && $0.contains("x") } == 4 && !part.output.contains("down 0.0"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count == 1)

    expectError(try place.run("attention", run, "--words", "hous", "-o", "x.png"), 64, "no word 'hous'", "did you mean 'house'?")
    expectError(try place.run("attention", run, "--words", ",", "-o", "x.png"), 64, "--words")
    expectError(try place.run("attention", run, "--layers", "7x7", "-o", "x.png"), 64, "no cross-attention layer fits '7x7'")
    expectError(try place.run("attention", run, "--at-steps", "9", "-o", "x.png"), 64, "expected 0 to 2")
    expectError(try place.run("attention", run, "--index", "1", "-o", "x.png"), 64, "--index 1", "1 images")
    expectError(try place.run("attention", run, "--components", "0", "-o", "x.png"), 64, "--components 0")
    expectError(try place.run("attention", run, "--arrays", "x.csv", "-o", "x.png"), 64, ".safetensors")
    expectError(try place.run("attention", run, "-o", "a.png"), 73, "a.png", "is there already")
    expectError(try place.run("attention", run + "x", "-o", "x.png"), 66, "no run")
    let tiny = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/tiny/v1").standardizedFileURL
      .path
    expectError(try place.run("attention", run, "--model", tiny, "-o", "x.png"), 65, "made with another model")
    try FileManager.default.removeItem(at: place.url(run + "/latents.safetensors"))
    expectError(try place.run("attention", run, "-o", "x.png"), 65, "half there")
  }

  @Test func runsThatKeptLessAndDamagedOnes() throws {
    let place = try Workplace()
    // What `trace` keeps by default has no self-attention; non-square.
    let traced = try place.run("trace", "a red house", "--steps", "2", "--width", "96", "-q")
    let run = try #require(traced.lines.first)
    let result = try place.run("attention", run, "-o", "w.png", "--json")
    #expect(result.code == 0 && result.errors.contains("kept no self-attention"), "\(result.errors)")
    #expect(try result.json()["files"] as? [String] == ["w.png", "w-heads.png"])
    let averaged = try #require(
      try place.run("trace", "a red house", "--steps", "2", "--sites", "unet.*.attn2.probs@heads", "-q").lines.first)
    expectError(try place.run("attention", averaged, "-o", "x.png"), 64, "can be used here", "--reduce none")
    // Values that are not numbers.
    let captures = place.url(run + "/captures")
    let file = try #require(
      try FileManager.default.contentsOfDirectory(at: captures, includingPropertiesForKeys: nil).first { $0.path.contains("mid_block.att") }
    )
    var data = try Data(contentsOf: file)
    data.withUnsafeMutableBytes { $0.storeBytes(of: Float.nan, toByteOffset: $0.count - 4, as: Float.self) }
    try data.write(to: file)
    expectError(try place.run("attention", run, "-o", "x.png", "-q"), 65, "expected finite numbers")
    let plan = try place.run("attention", "a red house", "--steps", "2", "--dry-run", "-o", "x.png")
    #expect(plan.code == 0 && plan.output.contains("would write") && plan.output.contains("captures"))
    #expect(!FileManager.default.fileExists(atPath: place.url("x.png").path))
  }
}

@Suite struct PatchVerbTests {
  private static let common = ["--steps", "3", "--sampler", "ddim", "-q"]

  @Test func promptSwapByLayer() throws {
    let place = try Workplace()
    func patch(_ arguments: String...) throws -> Workplace.Result {
      try place.run(["patch"] + arguments + Self.common)
    }
    let result = try patch(
      "a red house at night", "a blue boat on the sea", "--mode", "prompt", "--region", "house", "-o", "p.png", "--arrays", "p.safetensors",
      "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    #expect(json["rows"] as? [String] == ["down 0.0", "down 1.0", "mid", "up 1.0", "up 1.1", "up 2.0", "up 2.1", "all"])
    #expect(json["patched_rows"] as? String == "cond" && json["metric"] as? String == "toward")
    let cells = try #require(json["cells"] as? [[String: Any]])
    #expect(cells.count == 8)
    // All layers that read A make A's picture, to the byte.
    let all = try #require(cells.last)
    #expect(all["toward"] as? Double == 1 && abs((all["region"] as? Double ?? 0) - 1) < 1e-9)
    let a = try Picture(url: place.url(#require(json["a"] as? String) + "/image-0.png"))
    #expect(try Picture(url: place.url(#require(all["run"] as? String) + "/image-0.png")) == a)
    #expect(cells.dropLast().allSatisfy { ($0["toward"] as? Double ?? 2) < 0.99 })
    #expect(try Picture(url: place.url("p.png")).width > 300 && Picture(url: place.url("p-pictures.png")).width > 300)
    let tensors = try Safetensors.read(place.url("p.safetensors")).tensors
    #expect(Set(tensors.map(\.name)) == ["change", "toward", "latent", "region"] && tensors.allSatisfy { $0.shape == [8, 1] })

    // Every run is kept: the same again makes none.
    let runs = try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count
    #expect(runs == 10)
    let again = try patch("a red house at night", "a blue boat on the sea", "--mode", "prompt", "--region", "house", "-o", "again.png")
    #expect(again.code == 0 && again.output.contains("up 2.1") && again.lines.suffix(2) == ["again.png", "again-pictures.png"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count == runs)
    let part = try patch(
      "a red house at night", "a blue boat on the sea", "--mode", "prompt", "--sites", "unet.up_blocks.*.attn2.v", "--by", "block",
      "--at-steps", "1-2",
      "--rows", "both", "-o", "part.png", "--arrays", "part.npy", "--metric", "change")
    #expect(part.code == 0, "\(part.errors)")
    #expect(try Npy.read(place.url("part.npy")).shape == [3, 1])
  }

  @Test func activationsHeadsAndTokens() throws {
    let place = try Workplace()
    func patch(_ arguments: String...) throws -> Workplace.Result { try place.run(["patch"] + arguments + Self.common) }
    let grid = try patch("a red house", "a blue boat", "--by", "level", "--parts", "3", "-o", "g.png", "--json")
    #expect(grid.code == 0, "\(grid.errors)")
    let json = try grid.json()
    #expect(
      json["rows"] as? [String] == ["level 0", "level 1", "level 2", "all"] && json["columns"] as? [String] == ["0", "1", "2", "all"])
    let cells = try #require(json["cells"] as? [[String: Any]])
    #expect(cells.count == 16 && abs((cells.last?["toward"] as? Double ?? 0) - 1) < 1e-3)

    let heads = try patch("a red house", "--mode", "heads", "--sites", "unet.mid_block.*.mixed", "-o", "h.png", "--json")
    #expect(heads.code == 0, "\(heads.errors)")
    let ablated = try #require(try heads.json()["cells"] as? [[String: Any]])
    // The mid block's self-attention and cross-attention, four heads each.
    let ranking = try #require(try heads.json()["ranking"] as? [[String: Any]]).compactMap { $0["value"] as? Double }
    #expect(ranking.count == 8 && ranking == ranking.sorted(by: >))
    #expect(ablated.count == 8 && ablated.allSatisfy { ($0["toward"] as? Double) == nil && ($0["latent"] as? Double ?? 0) > 0 })
    let words = try patch("a red house", "--mode", "tokens", "-o", "t.png", "--json")
    #expect(try words.json()["rows"] as? [String] == ["a", "red", "house"], "\(words.errors)")

    let two = ["a red house", "a blue boat"]
    expectError(
      try patch(two[0], two[1], "--sites", "unet.*.atn2.out", "-o", "x.png"), 64, "no site matches 'unet.*.atn2.out'", "attn2.out")
    expectError(try patch(two[0], two[1], "--sites", "unet.*.probs", "-o", "x.png"), 64, "cannot be patched")
    expectError(try patch(two[0], two[1], "--sites", "vae.*", "-o", "x.png"), 64, "cannot be patched")
    expectError(try patch(two[0], two[1], "--mode", "heads", "-o", "x.png"), 64, "expected one prompt")
    expectError(try patch(two[0], "--mode", "prompt", "-o", "x.png"), 64, "expected two prompts")
    expectError(try patch(two[0], "--metric", "toward", "-o", "x.png"), 64, "no A")
    expectError(try patch(two[0], two[1], "--metric", "region", "-o", "x.png"), 64, "--region")
    expectError(try patch(two[0], two[1], "--region", "hous", "-o", "x.png"), 64, "no word 'hous'")
    expectError(try patch(two[0], two[1], "--parts", "9", "-o", "x.png"), 64, "--parts 9", "1 to 3")
    expectError(try patch(two[0], two[1], "--at-steps", "3", "-o", "x.png"), 64, "expected 0 to 2")
    expectError(try patch(two[0], two[1], "--count", "2", "-o", "x.png"), 64, "--count 2")
    expectError(try patch(two[0], two[0], "--mode", "prompt", "-o", "x.png"), 64, "A and B are the same")
    expectError(try patch(two[0], "--mode", "tokens", "--words", "tree", "-o", "x.png"), 64, "no word 'tree'")
    expectError(try patch(two[0], two[1], "-o", "g.png"), 73, "g.png", "is there already")
    expectError(try patch(two[0], two[1], "--mode", "prompt", "--sites", "unet.*.attn2.q", "-o", "x.png"), 64, "not made of the text")
    let runs = try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count
    let plan = try patch(two[0], two[1], "--dry-run")
    #expect(plan.code == 0 && plan.output.contains("24 patched runs") && plan.output.contains("would write"), "\(plan.output)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count == runs)
  }
}

@Suite struct JudgeHeatmapTests {
  /// On drawn scenes, whose masks are known: most of the map lies around the object, and words that are no nouns of the world are refused.
  @Test func mapsLieOnTheObject() throws {
    let place = try Workplace()
    #expect(try place.run("scenes", "--count", "4", "--seed", "3", "--objects", "1", "--out", "world", "-q").code == 0)
    let lines = try String(contentsOf: place.url("world/metadata.jsonl"), encoding: .utf8).split(separator: "\n")
    for (i, line) in lines.enumerated() {
      let scene = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let object = try #require((scene["objects"] as? [[String: Any]])?.first)
      let (noun, x, y) = (try #require(object["noun"] as? String), object["x"] as? Double ?? -1, object["y"] as? Double ?? -1)
      let r = try #require(object["r"] as? Double)
      let text = try #require(scene["text"] as? String)
      let made = try place.run(
        "heatmap", text, "--image", "world/\(i).png", "--method", "judge", "-o", "h\(i).png", "--arrays", "maps\(i)", "-q", "--json")
      #expect(made.code == 0 && made.errors.isEmpty, "\(made.errors)")
      let map = try Npy.read(place.url("maps\(i)/\(noun).npy"))
      #expect(map.shape == [16, 16])
      let values = try map.float32().map { Double($0) }
      // Within its radius and two cells, which is as sharp as features of 8 by 8 can be.
      let inside = values.indices.filter { cell in
        let (across, down) = (Double(cell % 16) * 4 + 2 - x, Double(cell / 16) * 4 + 2 - y)
        return (across * across + down * down).squareRoot() < r + 8
      }
      let (within, all): (Double, Double) = (inside.reduce(0.0) { $0 + values[$1] }, values.reduce(0.0, +))
      #expect(
        all > 0 && within / all > 1.3 * Double(inside.count) / 256, "\(noun): \(within / all) of the map in \(Double(inside.count) / 256)")
    }
    expectError(
      try place.run("heatmap", "a red house", "--image", "world/0.png", "--method", "judge", "--words", "red", "-o", "x.png"), 64, "red",
      "circle")
    expectError(
      try place.run("heatmap", "red", "--image", "world/0.png", "--method", "judge", "-o", "x.png"), 64, "none of the judge's nouns")
  }
}
