import Engine
import Foundation
import Testing

/// `sdlab train lora` and `sdlab train textual-inversion`.
@Suite struct TrainAdapterVerbTests {
  private static let lora = [
    "train", "lora", "--examples", "20", "--batch", "2", "--steps", "7", "--checkpoint", "2", "--rate", "1e-2", "--warm-up", "2",
    "--rank", "2", "--alpha", "3", "--text-encoder", "--samples", "", "-q",
  ]

  @Test func aLoRAIsKilledResumedAndUsed() throws {
    let place = try Workplace()
    let whole = try place.run(Self.lora + ["--out", "whole", "--json"])
    #expect(whole.code == 0 && whole.errors.isEmpty, "\(whole.errors)")
    let file = "whole/pytorch_lora_weights.safetensors"
    #expect(try whole.json()["model"] as? String == file)
    try place.killedTraining(Self.lora, "killed", after: 4)
    #expect(!FileManager.default.fileExists(atPath: place.url("killed/pytorch_lora_weights.safetensors").path))
    let resumed = try place.run(Self.lora.filter { $0 != "-q" } + ["--out", "killed"])
    #expect(resumed.code == 0 && resumed.errors.contains("goes on from step"), "\(resumed.errors)")
    #expect(
      try Data(contentsOf: place.url("killed/pytorch_lora_weights.safetensors")) == Data(contentsOf: place.url(file)))
    #expect(place.logLines("killed") == place.logLines("whole") && place.logLines("whole").count == 8)
    // Checkpoints hold the adapter, not the model.
    let checkpoint = try FileManager.default.contentsOfDirectory(atPath: place.url("whole/checkpoints/step-00000007").path).sorted()
    #expect(checkpoint == ["README.md", "pytorch_lora_weights.safetensors", "training_state.safetensors"])
    let card = try String(contentsOf: place.url("whole/README.md"), encoding: .utf8)
    #expect(card.contains("rank 2, alpha 3.0, attention of the UNet and the text encoder"), "\(card)")
    #expect(
      try Data(
        contentsOf: place.url("whole/tensorboard").appendingPathComponent(
          FileManager.default.contentsOfDirectory(atPath: place.url("whole/tensorboard").path)[0])
      ).count > 500)

    // It changes the picture, and kohya's file of the same training changes it alike.
    let again = try place.run(Self.lora + ["--out", "whole", "--format", "kohya"])
    #expect(again.code == 0 && again.lines == ["whole/lora.safetensors"], "\(again.errors)")
    func picture(_ name: String, _ more: [String]) throws -> [UInt8] {
      let made = try place.run(["generate", "a red house", "--steps", "3", "--sampler", "ddim", "-o", name, "-q"] + more)
      #expect(made.code == 0, "\(made.errors)")
      return try Picture(url: place.url(name)).pixels
    }
    let plain = try picture("a.png", [])
    let added = try picture("b.png", ["--lora", file])
    #expect(plain != added)
    #expect(try picture("c.png", ["--lora", "whole/lora.safetensors"]) == added)
    #expect(try picture("d.png", ["--lora", file + ":0"]) == plain)
    let inspected = try place.run("inspect", "--lora", file)
    #expect(inspected.output.contains("12 weights of the text_encoder"), "\(inspected.output)\(inspected.errors)")

    expectError(try place.run(Self.lora.map { $0 == "3" ? "4" : $0 } + ["--out", "whole"]), 64, "its alpha is 3.0, not 4.0")
    expectError(try place.run(Self.lora + ["--out", "whole", "--targets", "attn2.to_v"]), 64, "its targets is attention")
  }

  /// A few pictures without captions, some with one, and a word of two vectors.
  @Test func aWordIsKilledResumedAndUsed() throws {
    let place = try Workplace()
    #expect(try place.run("scenes", "--count", "6", "--seed", "3", "--objects", "1", "--out", "data", "-q").code == 0)
    try FileManager.default.removeItem(at: place.url("data/metadata.jsonl"))
    let pictures = try FileManager.default.contentsOfDirectory(atPath: place.url("data").path).filter { $0.hasSuffix(".png") }.sorted()
    let caption = place.url("data/\(pictures[0].dropLast(4)).txt")
    try Data("a small <x> at night\n".utf8).write(to: caption)
    let options = [
      "train", "textual-inversion", "--token", "<x>", "--initial", "house", "--vectors", "2", "--data", "data", "--batch", "2", "--steps",
      "5",
      "--checkpoint", "2", "--warm-up", "1", "--rate", "0.1", "--templates", "a {};one {}", "-q",
    ]
    let whole = try place.run(options + ["--out", "whole", "--samples", "a <x>"])
    #expect(whole.code == 0 && whole.lines == ["whole/learned_embeds.safetensors"], "\(whole.errors)")
    try place.killedTraining(options + ["--samples", ""], "killed", after: 4)
    let resumed = try place.run(options + ["--out", "killed", "--samples", ""])
    #expect(resumed.code == 0, "\(resumed.errors)")
    let file = "whole/learned_embeds.safetensors"
    #expect(try Data(contentsOf: place.url("killed/learned_embeds.safetensors")) == Data(contentsOf: place.url(file)))
    #expect(try Picture(url: place.url("whole/samples.png")).width > 300)

    let word = try TextualInversion(place.url(file).path)
    #expect(word.token == "<x>" && word.vectors.shape.dimensions == [2, 128])
    #expect(word.vectors.array[0..<128] != word.vectors.array[128..<256])
    func picture(_ name: String, _ prompt: String) throws -> [UInt8] {
      let made = try place.run("generate", prompt, "--embedding", file, "--steps", "3", "--sampler", "ddim", "-o", name, "-q")
      #expect(made.code == 0, "\(made.errors)")
      return try Picture(url: place.url(name)).pixels
    }
    #expect(try picture("a.png", "a <x>") != picture("b.png", "a house house"))

    try Data("a small house\n".utf8).write(to: caption)
    expectError(try place.run(options + ["--out", "other"]), 65, "its caption does not name <x>")
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    let lora = ["train", "lora", "--out", "x", "-q"]
    for (arguments, words) in [
      (["--rank", "0"], "--rank 0"), (["--alpha", "0"], "--alpha 0"), (["--targets", ","], "--targets"),
      (["--targets", "to_w"], "to_w: fits no linear layer"), (["--targets", "conv1"], "expected linear layers"),
      (["--validation", "1"], "--validation"), (["--rate", "2"], "--rate 2"), (["--lora", "a.safetensors"], "a training begins with"),
      (["--format", "other"], "format"),
    ] { expectError(try place.run(lora + arguments), 64, words) }
    let word = ["train", "textual-inversion", "--out", "x", "--data", "data", "-q"]
    #expect(try place.run("scenes", "--count", "2", "--out", "data", "-q").code == 0)
    for (arguments, words) in [
      (["--token", "two words", "--initial", "house"], "can be no word"), (["--token", "house</w>", "--initial", "house"], "already"),
      (["--token", "<x>", "--initial", "xylophone"], "--initial 'xylophone'"), (["--token", "<x>", "--initial", " "], "give a word"),
      (["--token", "<x>", "--initial", "house", "--vectors", "0"], "--vectors 0"),
      (["--token", "<x>", "--initial", "house", "--templates", "a house"], "--templates"),
    ] { expectError(try place.run(word + arguments), 64, words) }
    expectError(try place.run(word + ["--token", "<x>", "--initial", "house"]), 65, "does not name <x>")
    expectError(
      try place.run(["train", "textual-inversion", "--token", "<x>", "--initial", "a", "--data", "none", "--out", "x"]), 66, "none")
    let dry = try place.run("train", "lora", "--out", "x", "--batch", "1", "--dry-run")
    #expect(dry.output.contains("parameters on 10000 scenes"), "\(dry.errors)")
    #expect(try place.files() == ["data"])
  }
}
