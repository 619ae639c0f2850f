import Engine
import Foundation
import Testing

/// `sdlab train vae`.
@Suite struct TrainVAEVerbTests {
  private static let options = [
    "train", "vae", "--examples", "20", "--batch", "2", "--steps", "7", "--checkpoint", "2", "--rate", "1e-3", "--warm-up", "2",
    "--samples", "0", "--flip", "0.5", "--colour-jitter", "0.1", "--composites", "0.2", "-q",
  ]

  private func weights(_ place: borrowing Workplace, _ folder: String) throws -> Data {
    try Data(contentsOf: place.url("\(folder)/model/vae/diffusion_pytorch_model.safetensors"))
  }

  @Test func killedAndResumed() throws {
    let place = try Workplace()
    let whole = try place.run(Self.options + ["--out", "whole", "--json"])
    #expect(whole.code == 0 && whole.errors.isEmpty, "\(whole.errors)")
    let summary = try whole.json()
    #expect(summary["steps"] as? Int == 7 && summary["model"] as? String == "whole/model")
    let psnr = try #require(summary["psnr"] as? Double)
    #expect(psnr > 25, "\(psnr)")
    #expect(place.logLines("whole").count == 8)
    #expect(place.logLines("whole")[0] == "step,loss,gradient_norm,rate,validation_loss,validation_psnr")
    #expect(place.logLines("whole")[1].hasSuffix(",,") && !place.logLines("whole")[2].hasSuffix(","))

    try place.killedTraining(Self.options, "killed", after: 4)
    #expect(!FileManager.default.fileExists(atPath: place.url("killed/model").path))
    let resumed = try place.run(Self.options.filter { $0 != "-q" } + ["--out", "killed"])
    #expect(resumed.code == 0 && resumed.errors.contains("goes on from step"), "\(resumed.errors)")
    #expect(try weights(place, "killed") == weights(place, "whole"))
    #expect(place.logLines("killed") == place.logLines("whole"))
    let kept = try FileManager.default.contentsOfDirectory(atPath: place.url("killed/checkpoints").path).sorted()
    #expect(kept == ["step-00000006", "step-00000007"])
    let events = try FileManager.default.contentsOfDirectory(atPath: place.url("whole/tensorboard").path)
    #expect(try Data(contentsOf: place.url("whole/tensorboard/\(events[0])")).range(of: Data("PSNR/validation".utf8)) != nil)

    // A whole model with another VAE: the other networks are those that it began with.
    let base = try Resources.embeddedModel()
    let network = "unet/diffusion_pytorch_model.safetensors"
    #expect(try Data(contentsOf: place.url("whole/model/\(network)")) == Data(contentsOf: base.appendingPathComponent(network)))
    #expect(try weights(place, "whole") != Data(contentsOf: base.appendingPathComponent("vae/diffusion_pytorch_model.safetensors")))
    let picture = try place.run("generate", "a red house", "--model", "whole/model", "--steps", "2", "-o", "x.png", "-q")
    #expect(picture.code == 0, "\(picture.errors)")
    #expect(try place.run("encode", "x.png", "--model", "whole/model", "--latents-out", "x.safetensors").code == 0)
    #expect(try place.run("decode", "x.safetensors", "--model", "whole/model", "-o", "y.png", "-q").code == 0)
    let card = try String(contentsOf: place.url("whole/model/README.md"), encoding: .utf8)
    #expect(
      card.contains("20 scenes of seed 1000") && card.contains("7 of 7") && card.contains("PSNR") && card.contains("50 % mirrored"),
      "\(card)")

    // The same again has nothing left to do; other settings are another training.
    #expect(try place.run(Self.options + ["--out", "whole"]).code == 0)
    expectError(try place.run(Self.options.map { $0 == "0.5" ? "0.4" : $0 } + ["--out", "whole"]), 64, "its flip is 0.5, not 0.4")
    expectError(try place.run(Self.options + ["--rotation", "5", "--out", "whole"]), 64, "its rotation is none, not 5.0")
    expectError(try place.run(Self.options + ["--kl", "1e-5", "--out", "whole"]), 64, "its kl is")
  }

  /// A folder of pictures without captions, from scratch, with latents folded and a sheet; then the decoder alone.
  @Test func fromAFolder() throws {
    let place = try Workplace()
    #expect(try place.run("scenes", "--count", "24", "--seed", "3", "--size", "80", "--out", "data", "-q").code == 0)
    try FileManager.default.removeItem(at: place.url("data/metadata.jsonl"))
    let options = [
      "train", "vae", "--data", "data", "--scratch", "--optimiser", "muon", "--batch", "2", "--steps", "6", "--warm-up", "1",
      "--validation", "0.3", "--average", "0", "--out", "new", "-q",
    ]
    let result = try place.run(options + ["--fold", "--samples", "3"])
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    #expect(try Picture(url: place.url("new/samples.png")).width > 300)
    #expect(try Picture(url: place.url("new/loss.png")).width > 600)
    let card = try String(contentsOf: place.url("new/model/README.md"), encoding: .utf8)
    #expect(card.contains("weights drawn anew") && card.contains("folded into the weights") && card.contains("train ldm"), "\(card)")
    // Not folded, it is the same training: pictures come back as they did.
    func pixels(_ model: String) throws -> [UInt8] {
      #expect(
        try place.run("encode", "data/00.png", "--width", "64", "--height", "64", "--model", model, "--latents-out", "z.safetensors")
          .code == 0)
      #expect(try place.run("decode", "z.safetensors", "--model", model, "-o", "back.png", "-q", "-f").code == 0)
      try FileManager.default.removeItem(at: place.url("z.safetensors"))
      return try Picture(url: place.url("back.png")).pixels
    }
    let (folded, foldedWeights) = (try pixels("new/model"), try weights(place, "new"))
    #expect(try place.run(options).code == 0)
    #expect(try weights(place, "new") != foldedWeights)
    #expect(try zip(folded, pixels("new/model")).allSatisfy { abs(Int($0) - Int($1)) <= 1 })

    let decoder = try place.run(
      "train", "vae", "--data", "data", "--validation", "0", "--decoder-only", "--batch", "2", "--steps", "2", "--samples", "2", "--crop",
      "random",
      "--out", "decoder", "-q", "--json")
    #expect(decoder.code == 0, "\(decoder.errors)")
    #expect(try decoder.json()["psnr"] == nil && decoder.json()["validation_loss"] == nil)
    func stored(_ url: URL) throws -> [String: Tensor] {
      Dictionary(uniqueKeysWithValues: try Safetensors.read(url).tensors.map { ($0.name, try $0.float32()) })
    }
    let file = "vae/diffusion_pytorch_model.safetensors"
    let (old, new) = (try stored(Resources.embeddedModel().appendingPathComponent(file)), try stored(place.url("decoder/model/\(file)")))
    #expect(Set(old.keys) == Set(new.keys))
    for (name, tensor) in old {
      let isFrozen = name.hasPrefix("encoder.") || name.hasPrefix("quant_conv.")
      if isFrozen { #expect(tensor.array == new[name]?.array, "\(name)") }
    }
    #expect(old["decoder.conv_out.weight"]?.array != new["decoder.conv_out.weight"]?.array)
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    let base = ["train", "vae", "--out", "x", "-q"]
    for (arguments, words) in [
      (["--kl=-1"], "--kl -1"), (["--edges", "nan"], "--edges"), (["--samples", "25"], "--samples 25"),
      (["--examples", "0"], "--examples 0"),
      (["--validation", "1"], "--validation 1"), (["--fold", "--decoder-only"], "--fold and --decoder-only"),
      (["--rate", "0"], "--rate 0"),
      (["--flip", "2"], "--flip 2"), (["--rotation", "60"], "--rotation 60"), (["--colour-jitter", "1"], "--colour-jitter 1"),
      (["--composites=-0.1"], "--composites -0.1"), (["--scale", "2"], "--scale '2'"),
      (["--scale", "1.2,0.8"], "the smaller one first"),
      (["--scale", "0.1,1"], "from 0.5 to 2"), (["--crop", "random"], "--crop random: scenes"), (["--vae", "other"], "as it is"),
    ] { expectError(try place.run(base + arguments), 64, words) }
    expectError(try place.run(base + ["--data", "nowhere"]), 66, "nowhere")
    expectError(try place.run(base + ["--model", "nowhere.ckpt"]), 64, "diffusers folder")
    try FileManager.default.createDirectory(at: place.url("empty"), withIntermediateDirectories: true)
    expectError(try place.run(base + ["--data", "empty"]), 65, "holds no pictures")
    #expect(try place.run("train", "vae", "--out", "x", "--batch", "1", "--dry-run").output.contains("parameters on 10000 scenes"))
    let json = try place.run("train", "vae", "--out", "x", "--batch", "1", "--flip", "0.5", "--dry-run", "--json").json()
    #expect((json["seconds_per_step"] as? Double ?? 0) > 0)
    #expect(try place.files() == ["empty"])
  }
}

/// Pictures that are changed anew each time, in the other trainings.
@Suite struct AugmentedTrainingTests {
  private static let changes = ["--flip", "0.5", "--rotation", "5", "--scale", "0.9,1.1", "--colour-jitter", "0.1"]

  /// Encoded as it goes, and yet to the bits of a training that nothing disturbed.
  @Test(arguments: ["ldm", "lora"]) func killedAndResumed(_ kind: String) throws {
    let place = try Workplace()
    let options =
      [
        "train", kind, "--examples", "20", "--batch", "2", "--steps", "7", "--checkpoint", "2", "--rate", "1e-3", "--warm-up", "2",
        "--samples",
        "", "--composites", "0.3", "-q",
      ] + Self.changes
    let file = kind == "ldm" ? "model/unet/diffusion_pytorch_model.safetensors" : "pytorch_lora_weights.safetensors"
    func weights(_ folder: String) throws -> Data { try Data(contentsOf: place.url("\(folder)/\(file)")) }
    let whole = try place.run(options + ["--out", "whole"])
    #expect(whole.code == 0, "\(whole.errors)")
    // Nothing is kept that is never seen again.
    #expect(!FileManager.default.fileExists(atPath: place.url("whole/latents.safetensors").path))
    try place.killedTraining(options, "killed", after: 4)
    #expect(try place.run(options + ["--out", "killed"]).code == 0)
    #expect(try weights("killed") == weights("whole"))
    #expect(place.logLines("killed") == place.logLines("whole") && place.logLines("whole").count == 8)
    let card = try String(contentsOf: place.url(kind == "ldm" ? "whole/model/README.md" : "whole/README.md"), encoding: .utf8)
    #expect(
      card.contains("50 % mirrored, turned by up to 5.0 degrees, magnified 0.9 to 1.1 times")
        && card.contains("30 % beside another picture"), "\(card)")
    // Other changes, and none, are another training; so is one that began without.
    expectError(
      try place.run(options.map { $0 == "0.9,1.1" ? "0.8,1.1" : $0 } + ["--out", "whole"]), 64, "its scale is 0.9,1.1, not 0.8,1.1")
    let plain = Array(options.dropLast(Self.changes.count)).filter { $0 != "--composites" && $0 != "0.3" }
    expectError(try place.run(plain + ["--out", "whole"]), 64, "its flip is 0.5, not none")
    #expect(try place.run(plain + ["--out", "plain"]).code == 0)
    expectError(try place.run(plain + ["--flip", "0.5", "--out", "plain"]), 64, "its flip is none, not 0.5")
    #expect(FileManager.default.fileExists(atPath: place.url("plain/latents.safetensors").path))
    #expect(try weights("plain") != weights("whole"))
    #expect(try place.run(options + ["--out", "x", "--dry-run"]).output.contains("parameters on 20 scenes"))
  }

  @Test func aWordFromChangedPictures() throws {
    let place = try Workplace()
    #expect(try place.run("scenes", "--count", "6", "--seed", "3", "--size", "96", "--objects", "1", "--out", "data", "-q").code == 0)
    try FileManager.default.removeItem(at: place.url("data/metadata.jsonl"))
    let options =
      [
        "train", "textual-inversion", "--token", "<x>", "--initial", "house", "--data", "data", "--batch", "2", "--steps", "4",
        "--checkpoint",
        "2", "--rate", "0.1", "--samples", "", "-q",
      ] + Self.changes
    #expect(try place.run(options + ["--out", "whole"]).code == 0)
    try place.killedTraining(options, "killed", after: 4)
    #expect(try place.run(options + ["--out", "killed"]).code == 0)
    let file = "learned_embeds.safetensors"
    #expect(try Data(contentsOf: place.url("killed/\(file)")) == Data(contentsOf: place.url("whole/\(file)")))
    expectError(try place.run(options.map { $0 == "<x>" ? "<left>" : $0 } + ["--out", "y"]), 64, "would become <right>")
    expectError(try place.run(options.map { $0 == "5" ? "50" : $0 } + ["--out", "y"]), 64, "--rotation 50")
  }

  /// What a picture shows twice may not fit into a row of tokens: that is said once.
  @Test func longCaptionsAreTold() throws {
    let place = try Workplace()
    #expect(try place.run("scenes", "--count", "4", "--seed", "3", "--out", "data", "-q").code == 0)
    let metadata = try String(contentsOf: place.url("data/metadata.jsonl"), encoding: .utf8)
    let long = Array(repeating: "a red house", count: 20).joined(separator: " and ")
    try Data(metadata.replacing(/"text":"[^"]*"/) { _ in "\"text\":\"\(long)\"" }.utf8).write(to: place.url("data/metadata.jsonl"))
    let result = try place.run("train", "lora", "--data", "data", "--batch", "2", "--steps", "2", "--samples", "", "--out", "x")
    #expect(result.code == 0 && result.errors.components(separatedBy: "it does not see").count == 2, "\(result.errors)")
  }

  @Test func inASweep() throws {
    let place = try Workplace()
    let common = "steps: 2, batch: 2, examples: 8, checkpoint: 2, samples: 0, warm-up: 0, colour-jitter: 0.1"
    try Data("train: vae\noptions: {\(common)}\ntry:\n  flip: [0, 0.5]\n  scale: [\"0.9,1.1\"]\n".utf8).write(to: place.url("s.yaml"))
    let result = try place.run("train", "sweep", "s.yaml", "--out", "sweep", "-q")
    #expect(result.code == 0 && result.lines.count == 3, "\(result.errors)")
    let csv = try String(contentsOf: place.url("sweep/leaderboard.csv"), encoding: .utf8)
    #expect(csv.hasPrefix("flip,scale,validation_loss,loss,seconds,folder\n") && csv.contains("\"0.9,1.1\""), "\(csv)")
  }
}
