import Engine
import Foundation
import Testing

/// `sdlab train text`.
@Suite struct TrainTextVerbTests {
  private static let options = [
    "train", "text", "--batch", "4", "--steps", "9", "--checkpoint", "3", "--rate", "1e-3", "--warm-up", "2", "--average", "0", "-q",
  ]

  private func weights(_ place: borrowing Workplace, _ folder: String) throws -> Data {
    try Data(contentsOf: place.url("\(folder)/model/text_encoder/model.safetensors"))
  }

  @Test func killedAndResumed() throws {
    let place = try Workplace()
    let whole = try place.run(Self.options + ["--out", "whole", "--json"])
    #expect(whole.code == 0 && whole.errors.isEmpty, "\(whole.errors)")
    let read = try #require(try whole.json()["directions_read"] as? Double)
    #expect((0...1).contains(read))
    try place.killedTraining(Self.options, "killed", after: 5)
    let resumed = try place.run(Self.options + ["--out", "killed"])
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(try weights(place, "killed") == weights(place, "whole"))
    #expect(place.logLines("killed") == place.logLines("whole"))

    // Only the text encoder is another one, and the folder is a model.
    let base = try Resources.embeddedModel()
    for file in ["unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"] {
      #expect(try Data(contentsOf: place.url("whole/model/\(file)")) == Data(contentsOf: base.appendingPathComponent(file)))
    }
    #expect(try weights(place, "whole") != Data(contentsOf: base.appendingPathComponent("text_encoder/model.safetensors")))
    #expect(try place.run("generate", "a red house", "--model", "whole/model", "--steps", "2", "-o", "x.png", "-q").code == 0)
    let card = try String(contentsOf: place.url("whole/model/README.md"), encoding: .utf8)
    #expect(card.contains("9 of 9") && card.contains("direction read off the second noun"))
    expectError(try place.run(Self.options + ["--out", "whole", "--strength", "2"]), 64, "its strength is 1.5, not 2")
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    for (arguments, words) in [
      (["--strength", "0"], "--strength 0"), (["--pairs", "1.5"], "--pairs 1.5"), (["--batch", "0"], "--batch 0"),
      (["--lora", "x.safetensors"], "as it is"), (["--model", "nowhere.ckpt"], "diffusers folder"),
    ] { expectError(try place.run(["train", "text", "--out", "x", "-q"] + arguments), 64, words) }
    #expect(try place.run("train", "text", "--out", "x", "--batch", "2", "--dry-run").output.contains("captions of seed 3000"))
    #expect(!FileManager.default.fileExists(atPath: place.url("x").path))
  }

  /// What comes out in half precision is what float32 rounds to, and is named so.
  @Test func inHalfPrecision() throws {
    let place = try Workplace()
    let options = ["train", "ldm", "--examples", "4", "--batch", "1", "--steps", "1", "--samples", "", "-q"]
    #expect(try place.run(options + ["--out", "whole"]).code == 0)
    #expect(try place.run(options + ["--half", "--out", "half"]).code == 0)
    func tensors(_ folder: String) throws -> [StoredTensor] {
      try Safetensors.read(place.url("\(folder)/model/unet/diffusion_pytorch_model.safetensors")).tensors.sorted { $0.name < $1.name }
    }
    for (single, half) in zip(try tensors("whole"), try tensors("half")) {
      #expect(half.dtype == .float16 && single.dtype == .float32 && half.name == single.name)
      #expect(try half.float32().array == single.float32().array.map { Float(Float16($0)) }, "\(half.name)")
    }
    #expect(try String(contentsOf: place.url("half/model/text_encoder/config.json"), encoding: .utf8).contains("\"float16\""))
    #expect(try place.run("generate", "a red house", "--model", "half/model", "--steps", "2", "-o", "x.png", "-q").code == 0)
  }
}
