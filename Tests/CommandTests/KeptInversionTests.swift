import Analysis
import Engine
import Foundation
import Testing

/// Inversions are runs; `generate`, `trace`, `rerun` and `interpolate` go on from them.
@Suite struct KeptInversionTests {
  private static let tiny = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/tiny/v1")
    .standardizedFileURL.path
  private static let model = Result { try StableDiffusion() }

  private func house(_ place: borrowing Workplace) throws -> Picture {
    #expect(try place.run("generate", "a red house", "--sampler", "ddim", "--steps", "6", "-q", "-o", "house.png").code == 0)
    return try Picture(url: place.url("house.png"))
  }

  private func largest(_ a: Picture, _ b: Picture) -> Int { zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 256 }

  private func runs(_ place: borrowing Workplace) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).sorted()
  }

  /// Edit-friendly: with the same prompt the picture itself comes back, as far as the VAE lets it, from the run and from the file; with another prompt the edit.
  @Test func editFriendlyIsGivenBack() throws {
    let place = try Workplace()
    _ = try house(place)
    try FileManager.default.createDirectory(at: place.url("p"), withIntermediateDirectories: true)
    let invert = [
      "invert", "house.png", "--prompt", "a red house", "--method", "edit-friendly", "--steps", "5", "--edit", "a blue boat on the sea",
      "--skip", "2", "--edit-guidance", "6", "--pictures", "p", "--arrays", "n.safetensors", "-o", "i.png", "-q", "--json", "-f",
    ]
    let json = try place.run(invert).json()
    let run = try #require(json["run"] as? String)
    let vae = try Picture(url: place.url("p/vae.png"))
    for (name, from) in [("run", run), ("name", URL(fileURLWithPath: run).lastPathComponent), ("file", "n.safetensors")] {
      let back = try place.run("generate", "a red house", "--inversion", from, "-q", "-o", "\(name).png")
      #expect(back.code == 0, "\(back.errors)")
      #expect(try largest(Picture(url: place.url("\(name).png")), vae) <= 1, "\(name)")
    }
    // From any step on; and without the noises (as DDIM would) it is another picture.
    #expect(try place.run("generate", "a red house", "--inversion", run, "--skip", "3", "-q", "-o", "late.png").code == 0)
    #expect(try largest(Picture(url: place.url("late.png")), vae) <= 1)
    #expect(
      try place.run(
        "generate", "a red house", "--init-latents", "n.safetensors", "--sampler", "ddim", "--steps", "5", "-q", "-o", "ddim.png"
      )
      .code == 0)
    #expect(try largest(Picture(url: place.url("ddim.png")), vae) > 20)
    let edit = try place.run(
      "generate", "a blue boat on the sea", "--inversion", run, "--skip", "2", "--guidance", "6", "-q", "-o", "edit.png")
    #expect(edit.code == 0, "\(edit.errors)")
    #expect(try Picture(url: place.url("edit.png")) == Picture(url: place.url("p/edit.png")))
    #expect(try largest(Picture(url: place.url("edit.png")), vae) > 20)
    // The edit is a run, the one that `trace` would make but for what it captures.
    let kept = try runs(place)
    #expect(kept.count == 2)
    #expect(try place.run(invert).json()["edit_run"] as? String == json["edit_run"] as? String)
    #expect(try runs(place) == kept)
    let traced = try place.run(
      "trace", "a blue boat on the sea", "--inversion", run, "--skip", "2", "--guidance", "6", "-q", "--sites", "unet.*.attn2.probs")
    #expect(traced.code == 0, "\(traced.errors)")
    #expect(try Picture(url: place.url("\(traced.lines[0])/image-0.png")) == Picture(url: place.url("p/edit.png")))
    #expect(try place.run("heatmap", traced.lines[0], "--words", "boat", "-q", "-o", "h.png").code == 0)
  }

  /// DDIM: what is given back is the reconstruction, as far from the picture as was stated.
  @Test func ddimIsGivenBackWithTheStatedError() throws {
    let place = try Workplace()
    let picture = try house(place)
    let invert = [
      "invert", "house.png", "--prompt", "a red house", "--negative", "night", "--guidance", "2", "--steps", "6", "-o", "i.png", "-q",
      "--json",
      "-f",
    ]
    let json = try place.run(invert).json()
    let run = try #require(json["run"] as? String)
    let stated = try #require((json["reconstruction"] as? [String: Any])?["picture_psnr"] as? Double)
    // The guidance is the inversion's; what is told is told again.
    let back = try place.run("generate", "a red house", "--negative", "night", "--inversion", run, "-q", "-o", "back.png", "--json")
    #expect(back.code == 0, "\(back.errors)")
    let found = try #require(try ReconstructionError(picture: Picture(url: place.url("back.png")), reference: picture).psnr)
    #expect(abs(found - stated) < 1e-6 && stated > 15, "\(found) \(stated)")
    let parameters = try #require(try back.json()["parameters"] as? [String: Any])
    #expect(parameters["guidance"] as? Double == 2 && parameters["sampler"] as? String == "ddim" && parameters["steps"] as? Int == 6)
    #expect(parameters["inversion"] != nil && parameters["skip"] == nil)
    // What was kept is not made twice, and made again it is the same.
    let kept = try runs(place)
    #expect(try (place.run(invert).json()["reconstruction"] as? [String: Any])?["picture_psnr"] as? Double == stated)
    #expect(try (place.run(invert + ["--again"]).json()["reconstruction"] as? [String: Any])?["picture_psnr"] as? Double == stated)
    #expect(try runs(place) == kept && kept.count == 1)

    // A picture made from an inversion is made again from it.
    let rerun = try place.run("rerun", "back.png", "-o", "again.png")
    #expect(rerun.code == 0 && rerun.errors.contains("the same picture, pixel for pixel"), "\(rerun.errors)")
    expectError(try place.run("rerun", "\(run)/image-0.png", "-o", "x.png"), 65, "was changed while it was made", "inversion: ddim")
    try FileManager.default.moveItem(at: place.url("\(run)/inversion.safetensors"), to: place.url("moved.safetensors"))
    expectError(try place.run("generate", "a red house", "--inversion", run, "-o", "x.png"), 65, "inversion.safetensors", "half there")
    #expect(try place.run("rerun", "back.png", "--inversion", "moved.safetensors", "-q", "-f", "-o", "again.png").code == 0)
  }

  @Test func mistakes() throws {
    let place = try Workplace()
    _ = try house(place)
    let json = try place.run("invert", "house.png", "--steps", "3", "--arrays", "n.safetensors", "-o", "i.png", "-q", "--json").json()
    let run = try #require(json["run"] as? String)
    func refused(_ arguments: String..., code: Int32, words: String...) throws {
      let result = try place.run(["generate", "a house", "-o", "x.png"] + arguments)
      expectError(result, code)
      for word in words { #expect(result.errors.contains(word), "\(arguments): \(result.errors)") }
    }
    try refused("--skip", "1", code: 64, words: "only with --inversion")
    try refused("--inversion", run, "--skip", "3", code: 64, words: "--skip 3", "0 to 2")
    try refused("--inversion", run, "--steps", "4", code: 64, words: "--steps 4", "made with 3")
    try refused("--inversion", run, "--sampler", "euler", code: 64, words: "--sampler euler", "ddim")
    try refused("--inversion", run, "--eta", "0.5", code: 64, words: "--eta")
    try refused("--inversion", run, "--spacing", "trailing", code: 64, words: "--spacing trailing")
    try refused("--inversion", run, "--count", "2", code: 64, words: "--count", "one picture")
    try refused("--inversion", run, "--strength", "0.5", code: 64, words: "--strength", "--skip")
    try refused("--inversion", run, "--init-image", "house.png", code: 64, words: "--init-image")
    try refused("--inversion", run, "--width", "96", code: 64, words: "[1, 4, 16, 24]", "[1, 4, 16, 16]")
    try refused("--inversion", run, "--model", Self.tiny, code: 65, words: "made with another model")
    try refused("--inversion", "n.safetensors", "--model", Self.tiny, code: 65, words: "made with another model")
    try refused("--inversion", "runs/none", code: 66, words: "no run")
    try refused("--inversion", "none.safetensors", code: 66, words: "none.safetensors")
    let plain = try place.run("trace", "a house", "--steps", "2", "-q").lines[0]
    try refused("--inversion", plain, code: 64, words: "holds no inversion", "sdlab invert")
    try Safetensors.write([("latents", Tensor.zeros([1, 4, 16, 16]))], to: place.url("latents.safetensors"))
    try refused("--inversion", "latents.safetensors", code: 65, words: "is no inversion")
    var bytes = try Data(contentsOf: place.url("n.safetensors"))
    bytes.withUnsafeMutableBytes { $0.storeBytes(of: Float.nan, toByteOffset: $0.count - 8, as: Float.self) }
    try bytes.write(to: place.url("nan.safetensors"))
    try refused("--inversion", "nan.safetensors", code: 65, words: "trajectory", "nan", "finite")
    let plan = try place.run("generate", "a house", "--inversion", run, "--skip", "1", "--dry-run", "--json")
    #expect((try plan.json()["estimate"] as? [String: Any])?["passes"] as? Int == 2, "\(plan.errors)")
  }

  /// Between two inverted pictures: at the ends the reconstructions, in between the noises on a great circle, told words on a line.
  @Test func betweenTwoInvertedPictures() throws {
    let place = try Workplace()
    try FileManager.default.createDirectory(at: place.url("f"), withIntermediateDirectories: true)
    let prompts = ["a red house", "a blue boat on the sea"]
    for (name, prompt) in zip(["a", "b"], prompts) {
      #expect(try place.run("generate", prompt, "--sampler", "dpmpp-2m", "--steps", "8", "-o", "\(name).png", "-q").code == 0)
    }
    let command =
      ["interpolate"] + prompts + ["--from-image", "a.png", "--to-image", "b.png", "--invert", "--steps", "5", "-q", "-f", "-o", "i.png"]
    let result = try place.run(command + ["--frames", "3", "--frames-out", "f", "--json"])
    #expect(result.code == 0, "\(result.errors)")
    let inversions = try #require(try result.json()["inversions"] as? [String])
    #expect(try inversions.count == 2 && result.json()["computed"] as? Int == 3)
    // They are those of `invert`, which makes nothing anew.
    let before = try runs(place).count
    for (name, (prompt, run)) in zip(["a", "b"], zip(prompts, inversions)) {
      let alone = try place.run("invert", "\(name).png", "--prompt", prompt, "--steps", "5", "-q", "--json", "-f", "-o", "v.png")
      #expect(try alone.json()["run"] as? String == run, "\(alone.errors)")
    }
    #expect(try runs(place).count == before)
    #expect(try Picture(url: place.url("f/000.png")) == Picture(url: place.url("\(inversions[0])/image-0.png")))
    #expect(try Picture(url: place.url("f/002.png")) == Picture(url: place.url("\(inversions[1])/image-0.png")))
    let model = try Self.model.get()
    let files = try inversions.map { try InversionFile(place.url("\($0)/inversion.safetensors")) }
    func middle(from step: Int, skipping: Int = 0) throws -> Picture {
      let noise = try Blending.slerp.latents(files[0].inversion.trajectory[step], files[1].inversion.trajectory[step], 0.5)
      let ends = try prompts.map { try model.embedding(model.tokenize($0)) }
      let request = GenerationRequest(prompt: prompts[0], sampler: .ddim, steps: 5, guidance: 1)
      let told = Conditioning(prompt: Tensor.combination((0.5, ends[0]), (0.5, ends[1])), negative: nil)
      var start = request
      start.inverted = .init(files[0].inversion, skipping: step)
      let run = try model.denoising(start, conditioning: told)
      run.latents = noise
      while try run.next() != nil {}
      return Picture(try model.decode(run.latents))
    }
    #expect(try largest(middle(from: 0), Picture(url: place.url("f/001.png"))) <= 1)
    // --strength: from the latents at that step.
    #expect(try place.run(command + ["--frames", "3", "--frames-out", "f", "--strength", "0.4"]).code == 0)
    #expect(try largest(middle(from: 3), Picture(url: place.url("f/001.png"))) <= 1)
    #expect(try runs(place).count == before + 3)

    expectError(try place.run("interpolate", "a house", "a boat", "--invert"), 64, "--invert", "--from-image")
    expectError(try place.run(command + ["--sampler", "euler"]), 64, "--sampler euler", "ddim")
    expectError(try place.run(command + ["--to-seed", "7"]), 64, "--to-seed")
    expectError(try place.run(command + ["--eta", "1"]), 64, "--eta")
    expectError(try place.run(command + ["--strength", "0"]), 64, "--strength 0")
  }
}
