import Foundation
import TestSupport
import Testing

@testable import Engine

/// The loss and every gradient tensor of the tiny networks against PyTorch's (Tests/Goldens/make/gradients.py).
@Suite struct ModelGradientTests {
  static let bar = 1e-3

  private func compare(_ found: [String: Tensor], _ golden: Golden, _ networks: [String]) throws {
    let names = golden.names.filter { name in networks.contains { name.hasPrefix($0 + ".") } }
    #expect(names.count > 20)
    // What diffusers trains and what we do, name by name; positions beyond the prompt have a gradient of zero in both.
    #expect(Set(found.keys) == Set(names))
    let largest = try names.flatMap { try golden.values($0) }.lazy.map(abs).max() ?? 0
    for name in names {
      guard let gradient = found[name] else { continue }
      if name.hasSuffix("k_proj.bias") || name.hasSuffix("to_k.bias") {
        // Added to all keys, it changes no softmax: the gradient is 0 but for rounding.
        #expect(gradient.array.allSatisfy { abs($0) < 1e-6 * largest }, "\(name)")
        continue
      }
      let expected = try golden.values(name).map(Double.init)
      let own = gradient.count <= 256 ? gradient.array : projections(gradient.array)
      // Relative to the gradient's norm (or its largest element): a projection may be small by cancellation.
      #expect(relativeError(own, expected) < Self.bar, "\(name)")
    }
  }

  private func parameters(_ model: String) throws -> (StableDiffusion, Parameters) {
    let source = try ModelSource.resolve(Golden.folder.appendingPathComponent("tiny/\(model)").path)
    let pipeline = try StableDiffusion(source)
    return (pipeline, try Parameters(source.weights))
  }

  /// Epsilon (v1) and velocity (v2), with everything kept and with recomputation.
  @Test(arguments: ["v1", "v2"], [false, true]) func denoising(model: String, recomputes: Bool) throws {
    let (pipeline, all) = try parameters(model)
    let golden = try Golden("gradients/\(model).safetensors")
    let recorded = all.recorded { !$0.hasPrefix("vae.") }
    let text = CLIPText(recorded.store["text_encoder"]["text_model"], pipeline.text.config)
    let unet = UNet(recorded.store["unet"], pipeline.unet.config)
    try recorded.store.finish(ignoring: ["vae.*"])
    let ids = try golden.tensor("in:ids")
    let rows = (0..<ids.shape[0]).map { row in ids.slice(row..<row + 1).array.map { Int($0) } }
    let context = ForwardContext(recomputes: recomputes)
    let out = try unet(
      golden.nhwc("in:noisy"), timesteps: golden.values("in:times").map(Double.init), text: text(rows, context).lastHiddenState, context)
    let loss = out.meanSquaredError(try golden.nhwc("in:target"), weights: try golden.values("in:weights"))
    #expect(relativeError(loss.array, try golden.values("out:loss").map(Double.init)) < 1e-5)
    try compare(recorded.gradients(of: loss), golden, ["unet", "text_encoder"])
  }

  /// Recomputation changes gradients by no more than the order in which parts are added.
  @Test func recomputationGivesTheSameGradients() throws {
    let (pipeline, all) = try parameters("v1")
    func run(_ recomputes: Bool) throws -> [String: [Float]] {
      let recorded = all.recorded { $0.hasPrefix("unet.") }
      let unet = UNet(recorded.store["unet"], pipeline.unet.config)
      let out = try unet(
        Tensor(pattern(2 * 8 * 8 * 4), [2, 8, 8, 4]), timesteps: [10, 700], text: Tensor(pattern(2 * 5 * 16, 1), [2, 5, 16]),
        ForwardContext(recomputes: recomputes))
      return recorded.gradients(of: out.meanSquaredError(.zeros(out.shape))).mapValues(\.array)
    }
    let (kept, again) = (try run(false), try run(true))
    #expect(kept.count == again.count && kept.count > 100)
    for (name, gradient) in kept {
      #expect(relativeError(again[name] ?? [], gradient.map(Double.init)) < 1e-5, "\(name)")
    }
  }

  @Test(arguments: ["v1", "v2"]) func autoencoder(model: String) throws {
    let (pipeline, all) = try parameters(model)
    let golden = try Golden("gradients/\(model).safetensors")
    let recorded = all.recorded { $0.hasPrefix("vae.") }
    let vae = VAE(recorded.store["vae"], pipeline.vae.config)
    let picture = try golden.nhwc("in:picture")
    let decoded = try vae.decode(vae.encode(picture).sample(golden.nhwc("in:vaeNoise")))
    let loss = decoded.meanSquaredError(picture)
    #expect(relativeError(loss.array, try golden.values("out:vaeLoss").map(Double.init)) < 1e-5)
    try compare(recorded.gradients(of: loss), golden, ["vae"])
  }

  /// A network of recorded parameters gives what the same network from its file gives, and one that is frozen records nothing.
  @Test func recordingChangesNoOutput() throws {
    let (pipeline, all) = try parameters("v1")
    let (x, text) = (Tensor(pattern(2 * 8 * 8 * 4), [2, 8, 8, 4]), Tensor(pattern(2 * 5 * 16, 1), [2, 5, 16]))
    let expected = try pipeline.unet(x, timesteps: [500], text: text)
    let recorded = try UNet(all.recorded().store["unet"], pipeline.unet.config)(x, timesteps: [500], text: text)
    #expect(recorded.isRecorded)
    #expect(relativeError(recorded, expected) < 1e-5)
    let frozen = try UNet(all.recorded { _ in false }.store["unet"], pipeline.unet.config)(x, timesteps: [500], text: text)
    #expect(!frozen.isRecorded && frozen.array == expected.array)
    // With frozen weights the gradient still reaches the inputs: what attribution asks for.
    let asked = text.recorded()
    let out = try UNet(all.recorded { _ in false }.store["unet"], pipeline.unet.config)(x, timesteps: [500], text: asked)
    let gradient = try #require(gradients(of: out, for: [asked])[0])
    #expect(gradient.shape == text.shape && gradient.array.contains { abs($0) > 1e-6 })
  }
}
