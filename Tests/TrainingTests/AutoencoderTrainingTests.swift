import Engine
import Foundation
import TestSupport
import Testing

@testable import Training

/// The training of an autoencoder against PyTorch's (Tests/Goldens/make/autoencoder_training.py), and what becomes of its latents.
@Suite struct AutoencoderTrainingTests {
  private static let kl = 2e-2

  private func model(_ name: String) throws -> (StableDiffusion, Parameters) {
    let model = try StableDiffusion(Golden.folder.appendingPathComponent("tiny/\(name)").path)
    let all = try Parameters(model.source.weights)
    return (model, Parameters(zip(all.names, all.values).filter { $0.0.hasPrefix("vae.") }.map { ($0, $1) }))
  }

  /// Noise of a step, `[n, h, w, c]`.
  private func noise(_ golden: Golden, _ step: Int) throws -> Tensor { try golden.step(step, of: "in:noises") }

  @Test(arguments: ["v1", "v2"], [false, true]) func lossAndGradients(name: String, recomputes: Bool) throws {
    let golden = try Golden("autoencoder/training-\(name).safetensors")
    let (model, parameters) = try model(name)
    let pictures = try golden.nhwc("in:pictures")
    func loss(_ settings: AutoencoderObjective.Settings, _ recorded: RecordedParameters) throws -> Tensor {
      try AutoencoderObjective(model.vae.config, settings, seed: 0).loss(recorded, pictures: pictures, noise: noise(golden, 0))
    }
    let expected = Double(try golden.values("out:loss")[0])
    func error(_ settings: AutoencoderObjective.Settings) throws -> Double {
      abs(Double(try loss(settings, parameters.recorded { _ in false }).array[0]) / expected - 1)
    }
    #expect(try error(.init(kl: Self.kl, edges: 0.5)) < 1e-5)
    // Each part counts.
    let parts = try golden.values("out:parts").map(Double.init)
    for settings in [AutoencoderObjective.Settings(kl: 0, edges: 0.5), .init(kl: Self.kl, edges: 0), .init(kl: 2 * Self.kl, edges: 0.5)] {
      #expect(try error(settings) > 1e-4)
    }
    let small = Double(try loss(.init(kl: 0, edges: 0), parameters.recorded { _ in false }).array[0])
    #expect(abs(small - parts[0] - parts[1]) < 1e-5)

    let recorded = parameters.recorded()
    let gradients = recorded.gradients(of: try loss(.init(kl: Self.kl, edges: 0.5, recomputes: recomputes), recorded))
    let names = golden.names.filter { $0.hasPrefix("vae.") }
    #expect(Set(gradients.keys) == Set(names) && names.count > 50)
    let largest = try names.flatMap { try golden.values($0) }.lazy.map(abs).max() ?? 0
    for name in names {
      guard let gradient = gradients[name] else { continue }
      if name.hasSuffix("to_k.bias") {
        // Added to all keys, it changes no softmax: the gradient is 0 but for rounding.
        #expect(gradient.array.allSatisfy { abs($0) < 1e-6 * largest }, "\(name)")
        continue
      }
      let own = gradient.count <= 256 ? gradient.array : projections(gradient.array)
      #expect(relativeError(own, try golden.values(name).map(Double.init)) < 1e-3, "\(name)")
    }
  }

  @Test(arguments: ["v1", "v2"]) func tenSteps(_ name: String) throws {
    let golden = try Golden("autoencoder/training-\(name).safetensors")
    let (model, parameters) = try model(name)
    let pictures = try golden.nhwc("in:pictures")
    let objective = AutoencoderObjective(model.vae.config, .init(kl: Self.kl, edges: 0.5), seed: 0)
    var trainer = Trainer(
      parameters, TrainerSettings(steps: 10, batch: 2, rate: 5e-3, warmUp: 3, floor: 0.005, decay: 0.05, clip: 0.5),
      where: objective.isTrained)
    let (losses, norms) = (try golden.values("steps:losses").map(Double.init), try golden.values("steps:norms").map(Double.init))
    for step in 0..<10 {
      let report = try trainer.advance { try objective.loss($0, pictures: pictures, noise: noise(golden, $1)) }
      #expect(abs(report.loss / losses[step] - 1) < 1e-3, "loss of step \(step)")
      #expect(abs(report.norm / norms[step] - 1) < 1e-2, "norm of step \(step)")
    }
    #expect(losses[9] < 0.7 * losses[0])
  }

  /// The noise is a function of the seed and the step; frozen parts get no gradient.
  @Test func noiseAndDecoderOnly() throws {
    let (model, parameters) = try model("v1")
    let pictures = Tensor((0..<16 * 24 * 3).map { Float($0 % 17) / 8 - 1 }, [1, 16, 24, 3])
    func loss(_ seed: UInt64, _ step: Int, decoderOnly: Bool = false) throws -> Float {
      let objective = AutoencoderObjective(model.vae.config, .init(decoderOnly: decoderOnly), seed: seed)
      return try objective.loss(parameters.recorded { _ in false }, pictures: pictures, step: step).array[0]
    }
    let first = try loss(1, 0)
    #expect(try loss(1, 0) == first && loss(1, 1) != first && loss(2, 0) != first && loss(1, 0, decoderOnly: true) == first)
    let objective = AutoencoderObjective(model.vae.config, .init(decoderOnly: true), seed: 1)
    let recorded = parameters.recorded(where: objective.isTrained)
    let gradients = recorded.gradients(of: try objective.loss(recorded, pictures: pictures, step: 0))
    #expect(!gradients.isEmpty && gradients.keys.allSatisfy { $0.hasPrefix("vae.decoder.") || $0.hasPrefix("vae.post_quant_conv.") })
    #expect(gradients["vae.post_quant_conv.weight"] != nil && gradients["vae.decoder.conv_in.weight"] != nil)
  }

  /// The same pictures come back, and the latents have mean 0 and deviation 1 behind the scaling factor; a shift in the config is respected.
  @Test(arguments: [0, 0.3]) func folding(shift: Double) throws {
    let (model, parameters) = try model("v1")
    var config = model.vae.config
    config.shiftFactor = shift
    let folder = SceneSource(seed: 4, count: 24, size: 32)
    let data = try TrainingData(folder, framing: Framing(width: 32, height: 32), seed: 1)
    let pictures = [try data.framed(0..<12), try data.framed(12..<24)]
    func vae(_ parameters: Parameters) -> VAE { VAE(parameters.recorded { _ in false }.store["vae"], config) }
    let before = try LatentStatistics(vae(parameters), pictures)
    #expect(before.scaled(config).deviation.contains { abs($0 - 1) > 0.1 })
    let folded = try parameters.foldingLatents(before, config)
    let after = try LatentStatistics(vae(folded), pictures).scaled(config)
    #expect(after.mean.allSatisfy { abs($0) < 1e-4 } && after.deviation.allSatisfy { abs($0 - 1) < 1e-4 }, "\(after)")
    #expect(largestDifference(try vae(folded).reconstruction(pictures[0]), try vae(parameters).reconstruction(pictures[0])) < 1e-4)
    // From a sample too: the distribution's deviation is folded with its mean.
    var random = TorchRandom(seed: 3)
    let noise = random.normal(nhwc: [12, 8, 8, 4])
    let samples = try [parameters, folded].map { try vae($0).decode(vae($0).encode(pictures[0]).sample(noise)) }
    #expect(largestDifference(samples[0], samples[1]) < 1e-4)
    // As the pipeline sees latents.
    let seen = try vae(folded).latents(pictures[0])
    #expect(largestDifference(try vae(folded).pictures(seen), try vae(parameters).decode(vae(parameters).encode(pictures[0]).mean)) < 1e-4)
    // Nothing else has changed.
    let names = zip(parameters.names, zip(parameters.values, folded.values)).filter { $0.1.0.array != $0.1.1.array }.map(\.0)
    #expect(Set(names.map { $0.split(separator: ".")[1] }) == ["quant_conv", "post_quant_conv"])
    // A channel that is the same everywhere cannot be stretched.
    let dead = LatentStatistics(mean: [0, 0, 0, 0], deviation: [1, 0, 1, 1])
    #expect(throws: InputError.self) { try parameters.foldingLatents(dead, config) }
  }

  @Test func statisticsAndRatio() throws {
    var ratio = PeakSignalToNoise()
    ratio.add(Tensor([0.5, 0, 0, 0], [1, 1, 4, 1]), Tensor([0, 0, 0, 0], [1, 1, 4, 1]))
    ratio.add(Tensor([0, 0], [1, 1, 2, 1]), Tensor([0.5, -0.5], [1, 1, 2, 1]))
    #expect(abs(ratio.decibels - 10 * log10(4 / 0.125)) < 1e-6)
  }

  /// Batches of augmented latents are the encoded augmented pictures, whatever was asked for before, and flips have swapped the words.
  @Test func augmentedLatents() throws {
    let (model, _) = try model("v2")
    var augmentation = Augmentation()
    (augmentation.flip, augmentation.rotation, augmentation.colourJitter) = (0.5, 10, 0.2)
    (augmentation.scale, augmentation.composite) = (0.8...1.25, 0.3)
    let source = SceneSource(seed: 6, count: 10, size: 32, objects: 2)
    let data = try TrainingData(source, framing: Framing(width: 32, height: 32), augmentation: augmentation, seed: 9)
    let latents = AugmentedLatents(data, model)
    let batches = try (0..<4).map { try latents.batch($0, size: 4) }
    let again = try AugmentedLatents(data, model).batch(3, size: 4)
    #expect(again.latents.array == batches[3].latents.array && again.captions == batches[3].captions)
    let pictures = try data.batch(2, size: 4)
    #expect(batches[2].captions == pictures.captions)
    #expect(relativeError(batches[2].latents, try model.encode(pictures.pixels)) < 1e-5)
    #expect(Set(batches.flatMap(\.captions)).contains { $0.contains("on the left") && $0.contains("on the right") })
    let other = AugmentedLatents(
      try TrainingData(source, framing: data.framing, augmentation: augmentation, seed: 10), model)
    #expect(try other.batch(2, size: 4).latents.array != batches[2].latents.array)
  }
}
