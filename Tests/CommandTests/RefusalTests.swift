import Analysis
import Engine
import Foundation
import Testing

/// Every verb beside what people get wrong: one line, the right exit code. What one verb alone refuses is in its own tests.
@Suite struct RefusalTests {
  private static let tiny = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/tiny/v1")
    .standardizedFileURL.path

  /// A run with the captures that all verbs read.
  private func run(_ place: borrowing Workplace, _ more: String...) throws -> String {
    let result = try place.run(
      ["trace", "a red house", "--steps", "2", "--sampler", "ddim", "-q"] + more + [
        "--sites", "unet.*.attn2.probs", "unet.*.attn2.q", "unet.*.attn1.probs@heads", "unet.mid_block.out",
      ])
    return try #require(result.lines.first, "\(result.errors)")
  }

  /// Verbs that read a run, each with what it needs besides.
  private static let readers: [[String]] = [
    ["heatmap", "RUN"], ["heatmap", "RUN", "--method", "ovam", "--words", "roof"], ["heatmap", "RUN", "--method", "p2p"],
    ["heatmap", "RUN", "--method", "neglect"], ["attention", "RUN"], ["information", "RUN", "--samples", "2"],
    ["directions", "RUN", "--components", "1"], ["report", "RUN"],
  ]
  /// Verbs that read a run and need no model for it.
  private static let plainReaders: [[String]] = [
    ["project", "RUN"], ["project", "RUN", "--site", "unet.mid_block.out"], ["features", "RUN", "RUN", "--ensemble", "1"],
    ["runs", "show", "RUN"], ["generate", "a house", "--inversion", "RUN"], ["trace", "a house", "--inversion", "RUN"],
  ]

  private func command(_ words: [String], _ run: String) -> [String] {
    let ending = words[0] == "report" ? "html" : words[0] == "project" ? "npy" : "png"
    return words.map { $0 == "RUN" ? run : $0 } + (["runs", "trace"].contains(words[0]) ? [] : ["-o", "x.\(ending)"])
  }

  @Test func aRunThatIsHalfThere() throws {
    let place = try Workplace()
    let run = try run(place)
    try FileManager.default.removeItem(at: place.url(run + "/latents.safetensors"))
    for reader in Self.readers + Self.plainReaders {
      let result = try place.run(command(reader, run))
      expectError(result, 65, "latents.safetensors")
      #expect(result.errors.contains("half there"), "\(reader): \(result.errors)")
    }
    // A file that is cut off, a manifest that is, and none at all.
    let other = try self.run(place, "--seed", "2")
    let captures = place.url(other + "/captures")
    let cut = try #require(try FileManager.default.contentsOfDirectory(at: captures, includingPropertiesForKeys: nil).first)
    try Data(contentsOf: cut).dropLast(4).write(to: cut)
    expectError(try place.run("heatmap", other, "-o", "x.png"), 65, "half there", "make it again")
    let manifest = place.url(other + "/manifest.json")
    try Data(contentsOf: manifest).prefix(300).write(to: manifest)
    expectError(try place.run("heatmap", other, "-o", "x.png"), 65, "manifest.json", "damaged")
    try FileManager.default.removeItem(at: manifest)
    expectError(try place.run("heatmap", other, "-o", "x.png"), 66, "no manifest.json")
    #expect(try place.files() == ["runs"])
    // Who makes runs makes a half one again, whole.
    #expect(try self.run(place) == run)
    #expect(try place.run("runs", "show", run, "--verify").output.contains("all digests agree"))
    for maker in [
      ["lens", "a house", "--steps", "1", "-o", "l.png"], ["grid", "a house", "--x", "steps=1-2", "-o", "g.png"],
      ["interpolate", "a house", "a boat", "--steps", "1", "--frames", "2", "-o", "i.png"],
      ["patch", "a house", "--mode", "tokens", "--steps", "1", "-o", "p.png"],
      ["directions", "a house", "--samples", "2", "--components", "1", "--strengths=1", "--steps", "2", "-o", "d.png"],
    ] {
      #expect(try place.run(maker + ["-q"]).code == 0)
      for name in try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path) where !name.hasPrefix("a-red") {
        try FileManager.default.removeItem(at: place.url("runs/\(name)/latents.safetensors"))
      }
      let again = try place.run(maker + ["-q", "-f"])
      #expect(again.code == 0, "\(maker): \(again.errors)")
      #expect(try place.run("runs", "clean", "--damaged", "-f").lines.isEmpty, "\(maker)")
      try? FileManager.default.removeItem(at: place.url("runs"))
      _ = try self.run(place)
    }
  }

  @Test func aRunOfAnotherModel() throws {
    let place = try Workplace()
    let run = try run(place)
    for reader in Self.readers {
      let result = try place.run(command(reader, run) + ["--model", Self.tiny])
      expectError(result, 65, "made with another model")
      #expect(result.errors.contains("--model"), "\(reader): \(result.errors)")
    }
    // The points of two models do not go together.
    let other = try #require(
      try place.run("trace", "a red house", "--steps", "2", "--model", Self.tiny, "-q", "--sites", "unet.mid_block.out").lines.first)
    expectError(try place.run("project", run, other), 65, other, "256 coordinates, expected 1024")
    expectError(try place.run("directions", run, other, "--components", "1", "-o", "x.png"), 65, other, "another model")
    // Latents and pictures.
    #expect(try place.run("generate", "a house", "--steps", "1", "-o", "a.png", "-q").code == 0)
    expectError(try place.run("rerun", "a.png", "--model", Self.tiny, "-o", "x.png"), 65, "made with another model")
    try Safetensors.write([("latents", Tensor.zeros([1, 7, 16, 16]))], to: place.url("seven.safetensors"))
    expectError(try place.run("decode", "seven.safetensors"), 65, "7 channels", "--model")
    expectError(try place.run("generate", "a house", "--init-latents", "seven.safetensors", "-o", "x.png"), 64, "--init-latents", "7")
  }

  @Test func aWordThatIsNotInThePrompt() throws {
    let place = try Workplace()
    let run = try run(place)
    for subject in [run, "a red house"] {
      for words in [
        ["heatmap", subject, "--words", "hous"], ["heatmap", subject, "--words", "red,hous", "--method", "p2p"],
        ["heatmap", subject, "--words", "hous", "--method", "neglect"], ["attention", subject, "--words", "hous"],
        ["information", subject, "--word", "hous"], ["information", subject, "--swap", "hous=boat"],
      ] {
        let result = try place.run(words + ["-o", "x.png"])
        expectError(result, 64, "no word 'hous'")
        #expect(result.errors.contains("did you mean 'house'?"), "\(words): \(result.errors)")
      }
    }
    #expect(try place.run("generate", "a house", "--steps", "1", "-o", "a.png", "-q").code == 0)
    for words in [
      ["heatmap", "a red house", "--image", "a.png", "--words", "hous"],
      ["information", "a red house", "--image", "a.png", "--word", "hous"],
      ["patch", "a red house", "--mode", "tokens", "--words", "hous"], ["patch", "a boat", "a red house", "--region", "hous"],
    ] {
      expectError(try place.run(words + ["-o", "x.png"]), 64, "no word 'hous'", "did you mean 'house'?")
    }
    // One that was cut off is not missing, but has no tokens.
    let long = String(repeating: "red house ", count: 40) + "tree"
    expectError(try place.run("heatmap", long, "--words", "tree", "-o", "x.png", "-q"), 64, "'tree' was cut off", "--long-prompt chunk")
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count == 1)
  }

  @Test func aSiteThatDoesNotExist() throws {
    let place = try Workplace()
    let run = try run(place)
    for (words, expected, near) in [
      (["trace", "a house", "--sites", "unet.*.atn2.probs"], "no site matches 'unet.*.atn2.probs'", "unet.*.attn2.probs"),
      (["trace", "a house", "--sites", "unet.mid_blok.out"], "no site matches 'unet.mid_blok.out'", "unet.mid_block"),
      (["patch", "a house", "a boat", "--sites", "unet.*.atn2.out", "-o", "x.png"], "no site matches 'unet.*.atn2.out'", "attn2.out"),
      (["project", run, "--site", "unet.mid_block.ou"], "has not captured 'unet.mid_block.ou'", "did you mean unet.mid_block.out"),
      (["heatmap", run, "--layers", "upp", "-o", "x.png"], "no cross-attention layer fits 'upp'", "up"),
      (["heatmap", run, "--layers", "7x7", "-o", "x.png"], "no cross-attention layer fits '7x7'", "8x8"),
      (["attention", run, "--layers", "upp", "-o", "x.png"], "no cross-attention layer fits 'upp'", "up"),
      (["features", run, run, "--block", "9", "-o", "x.png", "-q"], "up block 9", "0 to 2"),
      (["lens", "a house", "--layers", "9", "-o", "x.png"], "layers '9'", "0 to 3"),
    ] {
      let result = try place.run(words)
      expectError(result, 64)
      #expect(result.errors.contains(expected) && result.errors.contains(near), "\(words): \(result.errors)")
    }
    let plain = try #require(
      try place.run("trace", "a house", "--steps", "1", "--sampler", "ddim", "-q", "--sites", "unet.mid_block.out@pixels").lines.first)
    for words in [["heatmap", plain], ["attention", plain], ["directions", plain]] {
      let result = try place.run(words + ["-o", "x.png"])
      expectError(result, 64, "no captures of")
      #expect(result.errors.contains("sdlab trace --sites"), "\(words): \(result.errors)")
    }
  }

  @Test func tooFewPoints() throws {
    let place = try Workplace()
    let run = try run(place)
    try Npy.write([Float](repeating: 1, count: 12).enumerated().map { Float($0.offset) }, shape: [6, 2], to: place.url("six.npy"))
    for (method, words) in [("tsne", ["six.npy"]), ("tsne", [run, "--site", "latents"])] {
      expectError(try place.run(["project"] + words + ["--method", method]), 64, "are too few for perplexity 30")
    }
    expectError(try place.run("project", "six.npy", "--method", "tsne", "--perplexity", "6"), 64, "6 points are too few for perplexity 6")
    expectError(try place.run("project", "six.npy", "--method", "umap"), 64, "too few for 15 neighbours")
    expectError(try place.run("project", run), 65, "1 point, expected at least 2")
    expectError(try place.run("directions", run, "--components", "1", "-o", "x.png"), 64, "1 components of 1 pictures")
    #expect(try place.files() == ["runs", "six.npy"])
  }

  @Test func numbersThatAreNone() throws {
    let place = try Workplace()
    let values: [Float] = [1, 2, .nan, 4, 5, 6]
    try Npy.write(values, shape: [3, 2], to: place.url("nan.npy"))
    try Safetensors.write([("x", Tensor(values, [3, 2]))], to: place.url("nan.safetensors"))
    let noise = Tensor([Float](repeating: .infinity, count: 1024), [1, 4, 16, 16])
    try Safetensors.write([("latents", noise)], to: place.url("noise.safetensors"))
    for words in [
      ["project", "nan.npy"], ["project", "nan.safetensors"], ["decode", "noise.safetensors"],
      ["generate", "a house", "--init-latents", "noise.safetensors"], ["trace", "a house", "--init-latents", "noise.safetensors"],
      ["heatmap", "a house", "--init-latents", "noise.safetensors", "-o", "x.png"],
      ["lens", "a house", "--init-latents", "noise.safetensors", "-o", "x.png"],
      ["patch", "a house", "a boat", "--init-latents", "noise.safetensors", "-o", "x.png"],
      ["directions", "a house", "--direction", "nan.npy", "-o", "x.png"],
    ] {
      let result = try place.run(words + ["-q"])
      #expect(result.code == 65 || words[0] == "directions", "\(words): \(result.errors)")
      expectError(result, 65)
      #expect(result.errors.contains("finite") || words[0] == "directions", "\(words): \(result.errors)")
    }
    // A run's own tensors.
    let run = try run(place)
    func spoil(_ path: String) throws {
      let url = place.url("\(run)/\(path)")
      var data = try Data(contentsOf: url)
      data.withUnsafeMutableBytes { $0.storeBytes(of: Float.nan, toByteOffset: $0.count - 4, as: Float.self) }
      try data.write(to: url)
    }
    let names = try FileManager.default.contentsOfDirectory(atPath: place.url(run + "/captures").path)
    for name in names { try spoil("captures/\(name)") }
    for name in ["latents.safetensors", "trajectory.safetensors"] { try spoil(name) }
    for words in Self.readers + [
      ["project", "RUN"], ["project", "RUN", "--site", "unet.mid_block.out"], ["project", "RUN", "--site", "predicted_original"],
    ] {
      let result = try place.run(command(words, run) + ["-q"])
      expectError(result, 65)
      #expect(result.errors.contains("finite"), "\(words): \(result.errors)")
    }
    expectError(try place.run("runs", "show", run, "--verify"), 65, "SHA-256")
    // A model's weights.
    let model = place.url("model")
    try FileManager.default.copyItem(at: Resources.embeddedModel(), to: model)
    let weights = model.appendingPathComponent("vae/diffusion_pytorch_model.safetensors")
    var data = try Data(contentsOf: weights)
    data.withUnsafeMutableBytes { $0.storeBytes(of: UInt16(0x7e00), toByteOffset: $0.count - 2, as: UInt16.self) }
    try data.write(to: weights)
    expectError(try place.run("generate", "a house", "--steps", "1", "--model", "model", "-q", "-o", "x.png"), 65, "finite")
  }

  /// A picture of another size is made to fit; one that cannot be is refused, and two that must agree are.
  @Test func picturesOfAnotherSize() throws {
    let place = try Workplace()
    #expect(try place.run("generate", "a red house", "--steps", "1", "-o", "house.png", "-q").code == 0)
    try Picture(url: place.url("house.png")).resized(width: 70, height: 50).writePNG(to: place.url("odd.png"))
    try Picture(width: 3, height: 2, colour: (9, 9, 9)).writePNG(to: place.url("small.png"))
    try FileManager.default.createDirectory(at: place.url("f"), withIntermediateDirectories: true)
    let takers: [(words: [String], out: String)] = [
      (["heatmap", "a house", "--image", "IMAGE", "--at", "300"], "a.png"),
      (["information", "a house", "--image", "IMAGE", "--samples", "2"], "b.png"),
      (["invert", "IMAGE", "--steps", "2"], "c.png"), (["features", "IMAGE", "IMAGE", "--ensemble", "1"], "d.png"),
      (["generate", "a house", "--init-image", "IMAGE", "--steps", "2"], "e.png"),
      (["trace", "a house", "--init-image", "IMAGE", "--steps", "2"], ""),
      (["grid", "a house", "--init-image", "IMAGE", "--steps", "2", "--x", "seed=1"], "g.png"),
      (["interpolate", "a house", "--from-image", "IMAGE", "--to-image", "IMAGE", "--frames", "2", "--steps", "2"], "h.png"),
    ]
    for (words, out) in takers {
      func command(_ image: String) -> [String] { words.map { $0 == "IMAGE" ? image : $0 } + (out.isEmpty ? [] : ["-o", out]) + ["-q"] }
      let odd = try place.run(command("odd.png"))
      #expect(odd.code == 0, "\(words): \(odd.errors)")
      let small = try place.run(command("small.png") + ["-f"].filter { _ in words[0] != "trace" })
      expectError(small, 65)
      #expect(small.errors.contains("3") && small.errors.contains("4"), "\(words): \(small.errors)")
      expectError(try place.run(command("none.png") + ["-f"].filter { _ in words[0] != "trace" }), 66, "none.png")
    }
    #expect(try Picture(url: place.url("e.png")).width == 68 && Picture(url: place.url("e.png")).height == 48)
    expectError(try place.run("encode", "small.png"), 65, "small.png")
    #expect(try place.run("encode", "odd.png", "--latents-out", "l.safetensors", "-q").code == 0)
    #expect(try Safetensors.read(place.url("l.safetensors")).tensors[0].shape == [1, 4, 12, 17])
    expectError(
      try place.run("interpolate", "a house", "--from-image", "house.png", "--to-image", "odd.png", "-o", "x.png"), 64, "70x50", "64x64",
      "--width")
    expectError(
      try place.run("generate", "a house", "--init-latents", "l.safetensors", "-W", "64", "-H", "64", "-o", "x.png"), 64, "[1, 4, 16, 16]",
      "[1, 4, 12, 17]")
  }
}
