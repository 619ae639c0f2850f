import Foundation
import TestSupport
import Testing

@testable import Engine

/// Low-rank additions and new words in training: gradients against PEFT's layers and transformers' text encoder, files against diffusers' writer
/// (Tests/Goldens/make/adapter_training.py).
@Suite struct AdapterTrainingTests {
  static let bar = 1e-3

  private struct Model {
    let pipeline: StableDiffusion
    let parameters: Parameters
    let inputs: Golden
    let answers: Golden

    init(_ name: String) throws {
      pipeline = try StableDiffusion(Golden.folder.appendingPathComponent("tiny/\(name)").path)
      parameters = try Parameters(pipeline.source.weights)
      inputs = try Golden("gradients/\(name).safetensors")
      answers = try Golden("adapters/training-\(name).safetensors")
    }

    /// The loss of the golden's script, of networks from `store`.
    func loss(_ store: WeightStore, ids: [[Int]], adding vectors: Tensor? = nil) throws -> Tensor {
      var text = CLIPText(store["text_encoder"]["text_model"], pipeline.text.config)
      if let vectors { text.add(vectors) }
      let out = try UNet(store["unet"], pipeline.unet.config)(
        inputs.nhwc("in:noisy"), timesteps: inputs.values("in:times").map(Double.init), text: text(ids).lastHiddenState)
      return out.meanSquaredError(try inputs.nhwc("in:target"), weights: try inputs.values("in:weights"))
    }

    func ids() throws -> [[Int]] {
      let ids = try inputs.tensor("in:ids")
      return (0..<ids.shape[0]).map { row in ids.slice(row..<row + 1).array.map { Int($0) } }
    }

    /// v2: attention of both networks; v1: all linear layers of the UNet.
    func modules(alpha: Double = 3) throws -> LowRankModules {
      let isV2 = pipeline.unet.config.crossAttentionDim == 24
      return try LowRankModules(parameters, rank: 2, alpha: alpha, targets: isV2 ? .attention : .allLinear, trainsText: isV2)
    }

    /// The matrices that the golden's script fills with cosines.
    func filled(_ modules: LowRankModules) -> [(name: String, tensor: Tensor)] {
      modules.initial(seed: 1).sorted { $0.name < $1.name }.enumerated().map { index, one in
        (one.name, waves(one.tensor.shape, index, one.name.contains("lora_A") ? 0.4 : 0.2))
      }
    }
  }

  private static func waves(_ shape: Shape, _ index: Int, _ scale: Double) -> Tensor {
    Tensor((0..<shape.count).map { Float(scale * cos(1.3 * Double($0) + 0.7 * Double(index))) }, shape)
  }

  /// Largest error over the matrices, each relative to its own gradient.
  private func worst(_ gradients: [String: Tensor], _ golden: Golden) throws -> (error: Double, name: String) {
    let names = golden.names.filter(LowRankModules.isPart)
    #expect(Set(gradients.keys) == Set(names))
    let largest = try names.flatMap { try golden.values($0) }.lazy.map(abs).max() ?? 0
    var worst = (0.0, "")
    for name in names {
      guard let gradient = gradients[name] else { continue }
      let expected = try golden.values(name).map(Double.init)
      let own = gradient.count <= 48 ? gradient.array : projections(gradient.array)
      // What has next to no gradient is rounding.
      if (expected.map(abs).max() ?? 0) < 1e-5 * Double(largest) { continue }
      let error = relativeError(own, expected)
      if error > worst.0 { worst = (error, name) }
    }
    return worst
  }

  @Test(arguments: ["v1", "v2"]) func matricesHaveTheGradientsOfPEFT(name: String) throws {
    let model = try Model(name)
    let modules = try model.modules()
    let all = model.parameters.adding(model.filled(modules))
    let recorded = all.recorded(where: LowRankModules.isPart)
    let loss = try model.loss(modules.store(recorded), ids: model.ids())
    #expect(relativeError(loss.array, try model.answers.values("lora:loss").map(Double.init)) < 1e-5)
    let found = try worst(recorded.gradients(of: loss), model.answers)
    #expect(found.error < Self.bar, "\(found.name)")

    // Sabotage: alpha forgotten.
    let plain = try model.modules(alpha: 2)
    let other = all.recorded(where: LowRankModules.isPart)
    let wrong = try model.loss(plain.store(other), ids: model.ids())
    #expect(try worst(other.gradients(of: wrong), model.answers).error > 100 * Self.bar)
  }

  @Test(arguments: ["v1", "v2"]) func vectorsHaveTheGradientsOfTransformers(name: String) throws {
    let model = try Model(name)
    let ids = try model.answers.integers("word:ids")
    let width = model.pipeline.text.config.hiddenSize
    let all = model.parameters.adding([(TextualInversion.parameter, Self.waves([2, width], 0, 0.5))])
    func gradient(_ ids: [[Int]]) throws -> (loss: Tensor, vectors: Tensor) {
      let recorded = all.recorded { $0 == TextualInversion.parameter }
      let loss = try model.loss(recorded.store, ids: ids, adding: recorded[TextualInversion.parameter])
      let found = recorded.gradients(of: loss)
      #expect(found.count == 1)
      return (loss, try #require(found[TextualInversion.parameter]))
    }
    let found = try gradient(ids)
    #expect(relativeError(found.loss.array, try model.answers.values("word:loss").map(Double.init)) < 1e-5)
    let expected = try model.answers.tensor("word:gradient")
    #expect(relativeError(found.vectors, expected) < Self.bar)
    // Sabotage: the two vectors in each other's place.
    let swapped = try gradient(ids.map { $0.map { $0 == 680 ? 681 : $0 == 681 ? 680 : $0 } })
    #expect(relativeError(swapped.vectors, expected) > 20 * Self.bar)
  }

  /// A file of either layout, loaded, is the network that was trained.
  @Test(arguments: LoRA.Layout.allCases) func whatIsWrittenIsWhatWasTrained(layout: LoRA.Layout) throws {
    let model = try Model("v2")
    let modules = try model.modules()
    let all = model.parameters.adding(model.filled(modules))
    let (x, ids) = (try model.inputs.nhwc("in:noisy"), try model.ids())
    func output(_ text: CLIPText, _ unet: UNet) throws -> Tensor { try unet(x, timesteps: [480], text: text(ids).lastHiddenState) }
    let store = modules.store(all.recorded { _ in false })
    let trained = try output(
      CLIPText(store["text_encoder"]["text_model"], model.pipeline.text.config), UNet(store["unet"], model.pipeline.unet.config))
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("lora-\(UUID().uuidString).safetensors")
    defer { try? FileManager.default.removeItem(at: url) }
    try LoRA.write(all, modules, layout, to: url)
    let path = Golden.folder.appendingPathComponent("tiny/v2").path
    let loaded = try StableDiffusion(ModelSource.resolve(path, loras: [LoRA(url.path)]))
    #expect(relativeError(try output(loaded.text, loaded.unet), trained) < 1e-6)
    #expect(relativeError(try output(model.pipeline.text, model.pipeline.unet), trained) > 0.01)
    #expect(try LoRA(url.path).modules.allSatisfy { $0.delta.alpha == 3 && $0.delta.rank == 2 })
  }

  @Test func namesAndShapesAreThoseOfDiffusers() throws {
    struct Saved: Decodable {
      let diffusers: [String: String]
      let kohya: [String: String]
    }
    let expected = try Golden.json("adapters/saved.json", as: Saved.self)
    let model = try Model("v2")
    let modules = try model.modules()
    let all = model.parameters.adding(modules.initial(seed: 3))
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("lora-\(UUID().uuidString).safetensors")
    defer { try? FileManager.default.removeItem(at: url) }
    func written(_ layout: LoRA.Layout) throws -> (shapes: [String: String], metadata: [String: String]) {
      try LoRA.write(all, modules, layout, to: url)
      let contents = try Safetensors.read(url)
      let shapes = contents.tensors.map { ($0.name, $0.shape.map(String.init).joined(separator: " ")) }
      return (Dictionary(uniqueKeysWithValues: shapes), contents.metadata)
    }
    let own = try written(.diffusers)
    #expect(own.shapes == expected.diffusers)
    #expect(try written(.kohya).shapes == expected.kohya)
    // The settings that diffusers builds its own layers with.
    let text = try #require(own.metadata["lora_adapter_metadata"])
    let settings = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    let saved = try #require(try Golden.object("adapters/saved.json")["settings"] as? [String: Any])
    #expect(Set(settings.keys) == Set(saved.keys))
    for (key, value) in saved {
      let (ours, theirs) = (settings[key], value)
      if let list = theirs as? [String] {
        #expect((ours as? [String])?.sorted() == list, "\(key)")
      } else {
        #expect((ours as? NSNumber)?.doubleValue == (theirs as? NSNumber)?.doubleValue, "\(key)")
      }
    }
  }

  @Test func whatIsTrainedIsChosenByName() throws {
    let model = try Model("v1")
    func modules(_ targets: LowRankModules.Targets, text: Bool = false) throws -> [String] {
      try LowRankModules(model.parameters, rank: 1, alpha: 1, targets: targets, trainsText: text).names
    }
    let attention = try modules(.attention)
    #expect(attention.allSatisfy { $0.hasPrefix("unet.") && $0.contains(".attn") } && attention.contains { $0.hasSuffix("to_out.0") })
    #expect(try modules(.named(["attn2.to_v"])) == attention.filter { $0.hasSuffix("attn2.to_v") })
    #expect(try modules(.named(["fc1"]), text: true).allSatisfy { $0.hasPrefix("text_encoder.") })
    func line(_ targets: LowRankModules.Targets) -> String {
      do { return "\(try modules(targets).count)" } catch { return "\(error)" }
    }
    #expect(line(.named(["to_q", "to_w"])).contains("to_w: fits no linear layer of the unet"))
    #expect(line(.named(["conv1"])).contains("expected linear layers"))
    #expect(line(.named(["fc1"])).contains("fits no linear layer"))
    // It begins with nothing added, and with the deviation that it says.
    let start = try LowRankModules(model.parameters, rank: 4, alpha: 4, targets: .allLinear, trainsText: true).initial(seed: 7)
    #expect(start.filter { $0.name.contains("lora_B") }.allSatisfy { $0.tensor.array.allSatisfy { $0 == 0 } })
    let drawn = start.filter { $0.name.contains("lora_A") }.flatMap(\.tensor.array)
    let deviation = (drawn.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(drawn.count)).squareRoot()
    #expect(drawn.count > 5000 && abs(deviation - 0.25) < 0.01, "\(drawn.count) \(deviation)")
  }

  @Test func aWordBeginsAsAnother() throws {
    let model = try Model("v2")
    let tokenizer = model.pipeline.tokenizer
    let table = try #require(model.parameters["text_encoder.text_model.embeddings.token_embedding.weight"])
    let id = try #require(tokenizer.encode("red").first)
    let vectors = try TextualInversion.initial("red", count: 3, tokenizer, model.parameters)
    #expect(vectors.shape == [3, 24] && vectors.array == (0..<3).flatMap { _ in table.slice(id..<id + 1).array })
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("word-\(UUID().uuidString).safetensors")
    defer { try? FileManager.default.removeItem(at: url) }
    try TextualInversion("<x>", vectors: vectors, url: url).write(to: url)
    let read = try TextualInversion(url.path)
    #expect(read.token == "<x>" && read.vectors.array == vectors.array && read.vectors.shape == vectors.shape)
    #expect(throws: InputError.self) { try TextualInversion.initial("lighthouse keepers", count: 1, tokenizer, model.parameters) }
    #expect(throws: InputError.self) { try TextualInversion.initial(" ", count: 1, tokenizer, model.parameters) }
  }
}
