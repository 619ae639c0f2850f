import Foundation
import TestSupport
import Testing

@testable import Engine

/// LoRAs and textual inversions on the tiny v2 model, against diffusers' pipeline with the same files.
@Suite struct AdapterTests {
  struct File: Decodable {
    struct Case: Decodable {
      struct Added: Decodable {
        var file: String
        var weight: Double
      }
      struct Word: Decodable {
        var file: String
        var token: String?
      }
      var name: String
      var prompt: String
      var loras: [Added]
      var embeddings: [Word]
    }
    var negative: String
    var cases: [Case]
  }

  static let folder = Golden.folder.appendingPathComponent("adapters")
  static let model = Golden.folder.appendingPathComponent("tiny/v2").path

  static func path(_ file: String) -> String { folder.appendingPathComponent(file).path }

  @Test func changesTheModelAsInDiffusers() throws {
    let golden = try Golden("adapters/golden.safetensors")
    let file = try Golden.json("adapters/golden.json", as: File.self)
    let plain = try golden.nhwc("plain.latents")
    #expect(file.cases.count == 9)
    for c in file.cases {
      let source = try ModelSource.resolve(
        Self.model, loras: c.loras.map { try LoRA(Self.path($0.file), weight: $0.weight) },
        embeddings: c.embeddings.map { try TextualInversion(Self.path($0.file), token: $0.token) })
      let model = try StableDiffusion(source)
      var ids = try model.tokenize(c.prompt).ids
      let expected = try golden.integers("\(c.name).ids")[0]
      // Places of added words in the table differ where the table is longer than the vocabulary; that they are the same places does not.
      #expect(ids.map { $0 < 680 } == expected.map { $0 < 680 }, "\(c.name)")
      ids = zip(ids, expected).map { $1 < 680 ? $0 : $1 }
      #expect(ids == expected, "\(c.name)")
      #expect(relativeError(try model.embedding(model.tokenize(c.prompt)), try golden.tensor("\(c.name).embedding")) < 1e-5, "\(c.name)")
      var request = GenerationRequest(
        prompt: c.prompt, negativePrompt: file.negative, sampler: .ddim, steps: 4, guidance: 3, width: 32, height: 32)
      request.initialLatents = try golden.nhwc("initial")
      let run = try model.denoising(request)
      while try run.next() != nil {}
      let latents = try golden.nhwc("\(c.name).latents")
      #expect(relativeError(run.latents, latents) < 1e-4, "\(c.name)")
      if c.name != "plain" { #expect(relativeError(run.latents, plain) > 0.05, "\(c.name) changes nothing") }
    }
  }

  @Test func weightZeroIsTheModelItself() throws {
    let plain = try StableDiffusion(Self.model)
    let adapted = try StableDiffusion(ModelSource.resolve(Self.model, loras: [LoRA(Self.path("peft.safetensors"), weight: 0)]))
    let request = GenerationRequest(prompt: "a red circle", sampler: .ddim, steps: 2)
    func latents(_ model: StableDiffusion) throws -> [Float] {
      let run = try model.denoising(request)
      while try run.next() != nil {}
      return run.latents.array
    }
    #expect(try latents(plain) == latents(adapted))
  }

  @Test func wordsOfSeveralVectorsAreOneWord() throws {
    let source = try ModelSource.resolve(Self.model, embeddings: [TextualInversion(Self.path("style.safetensors"))])
    let tokenizer = try source.tokenizer()
    #expect(source.embeddings[0].token == "style")
    let prompt = try tokenizer.prepare("a red circle, style at night", length: 32)
    let word = try #require(prompt.words.first { $0.text == "style" })
    #expect(word.positions.count == 3)
    #expect(try prompt.positions(of: "style").map(\.count) == [3])
    let first = try #require(word.positions.first?.index)
    #expect(prompt.chunks[0].tokens[first..<first + 3] == ["style", "style_1", "style_2"])
  }

  @Test func refusesWhatItCannotAdd() throws {
    func line(_ body: () throws -> Void) -> String {
      do {
        try body()
        return "nothing"
      } catch { return "\(error)" }
    }
    let v1 = Golden.folder.appendingPathComponent("tiny/v1").path
    #expect(line { _ = try ModelSource.resolve(v1, loras: [LoRA(Self.path("peft.safetensors"))]) }.contains("made for another model"))
    #expect(
      line { _ = try ModelSource.resolve(v1, embeddings: [TextualInversion(Self.path("toy.safetensors"))]).tokenizer() }.contains(
        "the text encoder has 16"))
    let twice = try ModelSource.resolve(
      Self.model,
      embeddings: [TextualInversion(Self.path("toy.safetensors")), TextualInversion(Self.path("style.safetensors"), token: "<toy>")])
    #expect(line { _ = try twice.tokenizer() }.contains("has a token '<toy>' already"))
    #expect(line { _ = try TextualInversion(Self.path("peft.safetensors")) }.contains("expected one tensor of vectors"))
    #expect(line { _ = try LoRA(Self.path("toy.safetensors")) }.contains("expected names such as"))
    #expect(line { _ = try LoRA(Self.path("missing.safetensors")) }.contains("missing.safetensors"))
    for (name, kind) in [
      ("a.hada_w1_a", "LoHa"), ("a.lokr_w1", "LoKr"), ("a.dora_scale", "DoRA"), ("lora_unet_x.lora_mid.weight", "LoCon"),
    ] {
      let url = try written([(name, Tensor([1, 2], [1, 2]))])
      defer { try? FileManager.default.removeItem(at: url) }
      #expect(line { _ = try LoRA(url.path) }.contains(kind), "\(name)")
    }
    let lone = try written([("unet.conv_in.lora_A.weight", Tensor([1, 2], [1, 2]))])
    defer { try? FileManager.default.removeItem(at: lone) }
    #expect(line { _ = try LoRA(lone.path) }.contains("its up matrix is missing"))
    let misshapen = try written([
      ("unet.conv_in.lora_A.weight", Tensor([1, 2], [1, 2])), ("unet.conv_in.lora_B.weight", Tensor([1, 2], [2, 1])),
    ])
    defer { try? FileManager.default.removeItem(at: misshapen) }
    #expect(line { _ = try ModelSource.resolve(Self.model, loras: [LoRA(misshapen.path)]) }.contains("adds [2, 2] to unet.conv_in.weight"))
  }

  private func written(_ tensors: [(String, Tensor)]) throws -> URL {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("adapter-\(UUID().uuidString).safetensors")
    try Safetensors.write(tensors, to: url)
    return url
  }
}
