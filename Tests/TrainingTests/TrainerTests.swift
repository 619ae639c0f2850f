import Engine
import Foundation
import TestSupport
import Testing

@testable import Training

@Suite struct TrainerTests {
  private static func model() throws -> StableDiffusion { try StableDiffusion(Golden.folder.appendingPathComponent("tiny/v1").path) }

  private func networks(_ model: StableDiffusion) throws -> Parameters {
    let all = try Parameters(model.source.weights)
    return Parameters(zip(all.names, all.values).filter { !$0.0.hasPrefix("vae.") }.map { ($0, $1) })
  }

  private func same(_ a: Parameters, _ b: Parameters) -> Bool {
    a.names == b.names && zip(a.values, b.values).allSatisfy { $0.array == $1.array }
  }

  /// Three steps, a state, three more: the bits of six in a row. With Muon too, and with the text encoder.
  @Test(arguments: TrainerSettings.Optimiser.allCases, [false, true]) func goesOnToTheSameBits(
    _ optimiser: TrainerSettings.Optimiser, text: Bool
  ) throws {
    let model = try Self.model()
    let objective = try DenoisingObjective(model, .init(trainsText: text), seed: 3)
    let settings = TrainerSettings(steps: 6, batch: 4, rate: 1e-3, warmUp: 2, optimiser: optimiser, seed: 3)
    let empty = try model.tokenize("").chunks[0].ids
    let ids = try ["a", "b c", "", "d"].map { try model.tokenize($0).chunks[0].ids }
    var random = TorchRandom(seed: 1)
    let latents = random.normal(nhwc: [4, 8, 8, model.vae.config.latentChannels])
    func advance(_ trainer: inout Trainer) throws -> Trainer.Report {
      try trainer.advance { try objective.loss($0, latents: latents, ids: ids, empty: empty, step: $1) }
    }
    var whole = Trainer(try networks(model), settings, where: objective.isTrained)
    let start = whole.parameters
    var reports: [Trainer.Report] = []
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).safetensors")
    defer { try? FileManager.default.removeItem(at: file) }
    while !whole.isDone {
      if whole.step == 3 { try whole.save(to: file) }
      reports.append(try advance(&whole))
    }
    var second = Trainer(try networks(model), settings, where: objective.isTrained)
    try second.restore(from: file)
    #expect(second.step == 3)
    while !second.isDone { #expect(try advance(&second) == reports[second.step - 1]) }
    #expect(same(second.parameters, whole.parameters) && same(second.average.values, whole.average.values))
    // Only what is trained has moved.
    for (name, (old, new)) in zip(start.names, zip(start.values, whole.parameters.values)) {
      if !objective.isTrained(name) { #expect(old.array == new.array, "\(name)") }
    }
    #expect(!same(start, whole.parameters))
    // A state of other parameters, and one that is damaged, are refused.
    var other = Trainer(Parameters([("unet.x", Tensor([1, 2], [2]))]), settings)
    #expect(throws: InputError.self) { try other.restore(from: file) }
    try Data(contentsOf: file).dropLast(100).write(to: file)
    #expect(throws: InputError.self) { try second.restore(from: file) }
  }

  /// A problem whose answer is known is solved, and what is not finite stops the training with the parameters as they were.
  @Test func findsAMinimum() throws {
    let target = Tensor([1, -2, 3], [1, 3])
    var trainer = Trainer(
      Parameters([("a.weight", Tensor([0, 0, 0], [1, 3]))]),
      TrainerSettings(steps: 400, batch: 1, rate: 0.05, warmUp: 10, decay: 0, clip: 100, average: 0.9))
    while !trainer.isDone {
      _ = try trainer.advance { parameters, _ in
        parameters.store["a"].take("weight", [1, 3]).meanSquaredError(target)
      }
    }
    #expect(zip(trainer.parameters.values[0].array, target.array).allSatisfy { abs($0 - $1) < 1e-2 })
    #expect(zip(trainer.average.values.values[0].array, target.array).allSatisfy { abs($0 - $1) < 1e-2 })
  }

  /// Batches are a function of seed and number; every epoch shows each example once.
  @Test func batchesAreAFunctionOfTheStep() throws {
    let scenes = SceneSource(seed: 5, count: 10, size: 16)
    var random = TorchRandom(seed: 1)
    let data = LatentData(latents: random.normal(nhwc: [10, 2, 2, 1]), source: scenes, indices: Array(0..<10))
    let batches = try (0..<5).map { try data.batch($0, size: 4, seed: 7) }
    #expect(try data.batch(3, size: 4, seed: 7).latents.array == batches[3].latents.array)
    #expect(try data.batch(3, size: 4, seed: 7).captions == batches[3].captions)
    #expect(try data.batch(3, size: 4, seed: 8).latents.array != batches[3].latents.array)
    let first = batches.flatMap { b in (0..<4).map { b.latents.slice($0..<$0 + 1).array[0] } }
    #expect(Set(first[0..<10]).count == 10 && Set(first[10..<20]) == Set(first[0..<10]))
    #expect(try scenes.caption(3, epoch: 2) == scenes.example(3, epoch: 2).caption)
  }

  /// Weights drawn anew have the spread that they should, and say nothing at first.
  @Test func initialisation() throws {
    let model = try Self.model()
    let drawn = try networks(model).initialised(seed: 4)
    let again = try networks(model).initialised(seed: 4)
    let other = try networks(model).initialised(seed: 5)
    #expect(same(drawn, again) && !same(drawn, other))
    #expect(drawn["unet.conv_out.weight"]?.array.allSatisfy { $0 == 0 } == true)
    for (name, tensor) in zip(drawn.names, drawn.values)
    where name.hasPrefix("unet.") && name.hasSuffix(".weight") && tensor.shape.rank >= 2 {
      if name.hasPrefix("unet.conv_out") { continue }
      let bound = 1 / Double(tensor.shape.count / tensor.shape[0]).squareRoot()
      let values = tensor.array.map(Double.init)
      #expect(values.allSatisfy { abs($0) <= bound * 1.0001 }, "\(name)")
      let deviation = (values.reduce(0) { $0 + $1 * $1 } / Double(values.count)).squareRoot()
      if values.count > 500 { #expect(abs(deviation / bound * 3.0.squareRoot() - 1) < 0.15, "\(name)") }
    }
    #expect(drawn["unet.conv_norm_out.weight"]?.array.allSatisfy { $0 == 1 } == true)
    #expect(drawn["unet.conv_norm_out.bias"]?.array.allSatisfy { $0 == 0 } == true)
  }
}
