import Engine
import Foundation
import Testing

/// `--lora` and `--embedding` on the verbs: recorded, made again, told apart, refused in one line.
@Suite struct AdapterVerbTests {
  private static let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens")
    .standardizedFileURL.path
  private static let model = ["-m", goldens + "/tiny/v2"]

  private func adapter(_ name: String) -> String { Self.goldens + "/adapters/" + name }

  @Test func aPictureIsMadeAgainWithItsAdapters() throws {
    let place = try Workplace()
    let common = ["--steps", "2", "--sampler", "ddim", "-q"] + Self.model
    let added = ["--lora", adapter("peft.safetensors") + ":0.5", "--embedding", adapter("toy.safetensors") + ":<thing>"]
    #expect(try place.run(["generate", "a red <thing>", "-o", "a.png"] + common + added).code == 0)
    #expect(try place.run(["generate", "a red <thing>", "-o", "b.png"] + common).code == 0)
    let pixels = { (name: String) in try Picture(url: place.url(name)).pixels }
    #expect(try pixels("a.png") != pixels("b.png"))
    let again = try place.run("rerun", "a.png", "-o", "c.png")
    #expect(again.code == 0 && again.errors.contains("the same picture"), "\(again.errors)")
    #expect(try pixels("a.png") == pixels("c.png"))
    // Another weight is another model.
    expectError(
      try place.run("rerun", "a.png", "-o", "d.png", "--lora", adapter("peft.safetensors") + ":0.6"), 65, "made with another model")
    let text = try place.run("inspect", "a.png").output
    #expect(text.contains("peft.safetensors: 0.5") && text.contains("<thing>"), "\(text)")
  }

  @Test func runsOfAdaptedModelsAreOtherRuns() throws {
    let place = try Workplace()
    let trace = ["trace", "a red toy", "--steps", "1", "--sampler", "ddim", "-q", "--sites", "unet.mid_block.out"] + Self.model
    let names = try [[], ["--lora", adapter("kohya.safetensors")], ["--lora", adapter("kohya.safetensors") + ":0.25"]].map { more in
      try #require(try place.run(trace + more).lines.first)
    }
    #expect(Set(names).count == 3)
    // The run brings its adapters: the model that it was made with is found without being named.
    #expect(try place.run("heatmap", names[1], "--words", "red", "-o", "x.png", "-q").errors.contains("captur"))
  }

  @Test func inspectSaysWhatChanges() throws {
    let place = try Workplace()
    let text = try place.run(
      ["inspect"] + Self.model + ["--lora", adapter("metadata.safetensors"), "--embedding", adapter("style.safetensors")])
    #expect(text.code == 0 && text.output.contains("the word style, 3 vectors"), "\(text.output)\(text.errors)")
    #expect(text.output.contains("weights of the text_encoder and") && text.output.contains("5.0"), "\(text.output)")
    let json = try place.run(["inspect", "--json"] + Self.model + ["--lora", adapter("metadata.safetensors")])
    #expect(json.output.contains("relative"), "\(json.output.prefix(300))")
  }

  @Test func refusals() throws {
    let place = try Workplace()
    let generate = ["generate", "a house", "--steps", "1", "-q", "-o", "x.png"]
    expectError(try place.run(generate + ["--lora", "none.safetensors"]), 66, "none.safetensors")
    expectError(try place.run(generate + Self.model + ["--lora", adapter("peft.safetensors") + ":much"]), 64, "much")
    expectError(try place.run(generate + ["--lora", adapter("peft.safetensors")]), 65, "another model")
    expectError(try place.run(generate + ["--embedding", adapter("toy.safetensors")]), 65, "another model")
    expectError(
      try place.run(generate + Self.model + ["--embedding", adapter("toy.safetensors") + ":two words"]), 64, "no word of a prompt")
    #expect(try place.files().isEmpty)
  }
}
