import Engine
import Foundation
import Testing

@Suite struct TrainVerbTests {
  private static let options = [
    "train", "ldm", "--examples", "20", "--batch", "2", "--steps", "7", "--checkpoint", "2", "--rate", "1e-3", "--warm-up", "2",
    "--samples", "", "-q",
  ]

  private func weights(_ place: borrowing Workplace, _ folder: String) throws -> Data {
    try Data(contentsOf: place.url("\(folder)/model/unet/diffusion_pytorch_model.safetensors"))
  }

  /// Killed without warning in the middle, the same command goes on and ends with the bits of a training that nothing disturbed; at most one interval
  /// between checkpoints is computed twice.
  @Test func killedAndResumed() throws {
    let place = try Workplace()
    let whole = try place.run(Self.options + ["--out", "whole", "--json"])
    #expect(whole.code == 0 && whole.errors.isEmpty, "\(whole.errors)")
    #expect(try whole.json()["steps"] as? Int == 7)
    #expect(place.logLines("whole").count == 8)

    // After step 3: the checkpoint of step 2 is there, that of step 4 is not or is being written.
    try place.killedTraining(Self.options, "killed", after: 4)
    #expect(!FileManager.default.fileExists(atPath: place.url("killed/model").path))
    let last = try FileManager.default.contentsOfDirectory(atPath: place.url("killed/checkpoints").path).filter { $0.hasPrefix("step-") }
      .max()
    let again = try #require(last.flatMap { Int($0.dropFirst(5)) }) + 1
    let resumed = try place.run(Self.options.filter { $0 != "-q" } + ["--out", "killed"])
    #expect(resumed.code == 0 && resumed.errors.contains("goes on from step"), "\(resumed.errors)")
    #expect(try weights(place, "killed") == weights(place, "whole"))
    #expect(place.logLines("killed") == place.logLines("whole"))
    let kept = try FileManager.default.contentsOfDirectory(atPath: place.url("killed/checkpoints").path).sorted()
    #expect(kept == ["step-00000006", "step-00000007"])
    // A file for TensorBoard for each start; the second says that it begins behind the checkpoint.
    let events = try FileManager.default.contentsOfDirectory(atPath: place.url("killed/tensorboard").path).sorted()
    #expect(events.count == 2 && events.allSatisfy { $0.hasPrefix("events.out.tfevents.") })
    let second = try Data(contentsOf: place.url("killed/tensorboard/\(events[1])"))
    let status = try #require(second.range(of: Data([0x3a, 0x02, 0x08, 0x01])), "session_log { status: START }")
    #expect(second[status.lowerBound - 2..<status.lowerBound] == Data([0x10, UInt8(again)]))
    #expect(second.ranges(of: Data("loss/training".utf8)).count == 8 - again)

    // It has learnt something, and what it has become is a model like any other.
    let start = try Data(contentsOf: Resources.embeddedModel().appendingPathComponent("unet/diffusion_pytorch_model.safetensors"))
    let end = try weights(place, "whole")
    #expect(end != start)
    let picture = try place.run("generate", "a red house", "--model", "whole/model", "--steps", "2", "-o", "x.png", "-q")
    #expect(picture.code == 0, "\(picture.errors)")
    let card = try String(contentsOf: place.url("whole/model/README.md"), encoding: .utf8)
    #expect(card.contains("20 scenes of seed 1000") && card.contains("7 of 7"))
    #expect(try Picture(url: place.url("whole/loss.png")).width > 600)

    // The same again has nothing left to do; other settings are another training.
    #expect(try place.run(Self.options + ["--out", "whole"]).code == 0)
    let other = try place.run(Self.options.map { $0 == "1e-3" ? "2e-3" : $0 } + ["--out", "whole"])
    expectError(other, 64, "its rate is 0.001, not 0.002")
  }

  /// A folder of one's own pictures, from scratch, with the text encoder and a sample sheet.
  @Test func fromAFolder() throws {
    let place = try Workplace()
    #expect(try place.run("scenes", "--count", "24", "--seed", "3", "--out", "data", "-q").code == 0)
    let result = try place.run(
      "train", "ldm", "--data", "data", "--scratch", "--text-encoder", "--optimiser", "muon", "--batch", "2", "--steps", "2",
      "--validation", "0.3",
      "--samples", "a red house", "--out", "new", "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    // From nothing, the noise is predicted as nothing: the loss is the weights' mean, and finite.
    let loss = try #require(try result.json()["loss"] as? Double)
    #expect(loss > 0.1)
    #expect(try Picture(url: place.url("new/samples.png")).width > 300)
    #expect(try place.run("inspect", "new/model").code == 0)
    // transformers goes by what the config says: the weights are float32 now.
    let config = try String(contentsOf: place.url("new/model/text_encoder/config.json"), encoding: .utf8)
    #expect(config.contains(#""torch_dtype": "float32""#) && config.contains(#""dtype": "float32""#) && !config.contains("float16"))
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    let base = ["train", "ldm", "--out", "x", "-q"]
    for (arguments, words) in [
      (["--steps", "0"], "--steps 0"), (["--batch", "5000"], "--batch 5000"), (["--rate", "0"], "--rate 0"),
      (["--average", "1"], "--average"),
      (["--clip", "-1"], "--clip"), (["--examples", "0"], "--examples 0"), (["--unconditional", "1"], "--unconditional"),
      (["--snr-gamma", "-1"], "--snr-gamma"), (["--validation", "0"], "--validation"), (["--checkpoint", "0"], "--checkpoint 0"),
      (["--pairs", "2"], "--pairs 2"), (["--timesteps", "9-3"], "--timesteps 9-3"), (["--timesteps", "500"], "such as 500-999"),
      (["--timesteps", "0-1000"], "0 to 999"), (["--high-noise", "0.5"], "--high-noise 0.5"),
      (["--fresh-words", "left", "--scratch"], "--fresh-words"), (["--fresh-words", ","], "--fresh-words"),
    ] { expectError(try place.run(base + arguments), 64, words) }
    expectError(try place.run(base + ["--data", "nowhere"]), 66, "nowhere")
    expectError(try place.run(base + ["--model", "nowhere.ckpt"]), 64, "diffusers folder")
    try FileManager.default.createDirectory(at: place.url("full"), withIntermediateDirectories: true)
    try Data("x".utf8).write(to: place.url("full/mine.txt"))
    expectError(try place.run("train", "ldm", "--out", "full", "--examples", "4", "-q"), 73, "holds other things")
    #expect(try place.run("train", "ldm", "--out", "x", "--batch", "1", "--dry-run").output.contains("parameters on 10000 scenes"))
    #expect(try place.files() == ["full"])
  }
}
