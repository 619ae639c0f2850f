import Foundation
import Testing

@testable import sdlab

/// Every combination of some options, and which was best.
@Suite struct TrainSweepTests {
  private static let common = "{steps: 2, batch: 2, examples: 8, checkpoint: 2, samples: \"\", warm-up: 0, data-seed: 5}"

  @Test func leaderboard() throws {
    let place = try Workplace()
    try Data("train: ldm\noptions: \(Self.common)\ntry:\n  rate: [1e-4, 2e-1]\n  seed: [1]\n".utf8).write(to: place.url("s.yaml"))
    let planned = try place.run("train", "sweep", "s.yaml", "--out", "sweep", "--dry-run")
    #expect(planned.lines.count == 2 && planned.lines[0].contains("--rate 1e-4 --seed 1 --out sweep/001-rate=1e-4,seed=1"))
    let first = try place.run("train", "sweep", "s.yaml", "--out", "sweep", "-q")
    #expect(first.code == 0 && first.errors.isEmpty, "\(first.errors)")
    // A rate of 0.2 wrecks the model: it comes last, whatever the order of the file.
    #expect(first.lines.count == 3 && first.lines[1].contains("1e-4") && first.lines[2].contains("2e-1"), "\(first.output)")
    let csv = try String(contentsOf: place.url("sweep/leaderboard.csv"), encoding: .utf8)
    // The validation loss is there, and it is what ranks.
    #expect(csv.hasPrefix("rate,seed,validation_loss,loss,seconds,folder\n1e-4,1,0."), "\(csv)")
    #expect(FileManager.default.fileExists(atPath: place.url("sweep/leaderboard.png").path))
    // Done is done: nothing is trained again, and the result is the same to the letter.
    let weights = place.url("sweep/001-rate=1e-4,seed=1/model/unet/diffusion_pytorch_model.safetensors")
    let before = try FileManager.default.attributesOfItem(atPath: weights.path)[.modificationDate] as? Date
    let again = try place.run("train", "sweep", "s.yaml", "--out", "sweep", "-q")
    #expect(again.output == first.output)
    #expect(try FileManager.default.attributesOfItem(atPath: weights.path)[.modificationDate] as? Date == before)
    // One training is lost: that one alone is made again, to the same loss.
    try FileManager.default.removeItem(at: place.url("sweep/002-rate=2e-1,seed=1"))
    let mended = try place.run("train", "sweep", "s.yaml", "--out", "sweep", "--json", "-q")
    let ranks = try #require(try JSONSerialization.jsonObject(with: Data(mended.output.utf8)) as? [[String: Any]])
    #expect(ranks.count == 2 && (ranks[1]["options"] as? [String: String])?["rate"] == "2e-1")
    // Another sweep in the same folder is refused.
    try Data("train: ldm\noptions: \(Self.common.replacing("steps: 2", with: "steps: 3"))\ntry:\n  rate: [1e-4, 2e-1]\n  seed: [1]\n".utf8)
      .write(to: place.url("t.yaml"))
    expectError(try place.run("train", "sweep", "t.yaml", "--out", "sweep", "-q"), 64, "the training of another sweep")
  }

  @Test(arguments: [
    ("train: [", "not YAML"), ("train: gan\ntry: {rate: [1]}", "line 1: train: expected vae, ldm"),
    ("- a", "expected train, options and try"),
    ("train: ldm", "try: expected options"), ("train: ldm\ntry: {rate: 1}", "rate: expected a list of values"),
    ("train: ldm\ntry: {rate: [1, 1]}", "a value stands there twice"),
    ("train: ldm\nrate: 1\ntry: {rate: [1]}", "rate: expected train, options or try"),
    ("train: ldm\noptions: {rate: 1}\ntry: {rate: [1]}", "is among the options and is tried"),
    ("train: ldm\noptions: {out: x}\ntry: {rate: [1]}", "out: the sweep gives it itself"),
    ("train: ldm\noptions: {steps: [1]}\ntry: {rate: [1]}", "steps: expected a value"),
  ])
  func refused(_ text: String, _ expected: String) throws {
    let place = try Workplace()
    try Data(text.utf8).write(to: place.url("s.yaml"))
    expectError(try place.run("train", "sweep", "s.yaml", "--out", "x"), 65, "s.yaml", expected)
    #expect(!FileManager.default.fileExists(atPath: place.url("x").path))
  }

  @Test func wrongOptions() throws {
    let place = try Workplace()
    try Data("train: ldm\ntry: {raet: [1]}\n".utf8).write(to: place.url("s.yaml"))
    expectError(try place.run("train", "sweep", "s.yaml", "--out", "x"), 64, "s.yaml: raet=1", "--raet")
    expectError(try place.run("train", "sweep", "none.yaml", "--out", "x"), 66, "none.yaml")
    let many = try SweepFile(
      "train: lora\noptions: {steps: 4, text-encoder: true, recompute: false}\ntry: {rank: [2, 4], alpha: [1, 2, 8]}", "x")
    #expect(many.trials.count == 6 && many.trials[1].map(\.value) == ["2", "2"] && many.common.map(\.name) == ["steps", "text-encoder"])
  }
}
