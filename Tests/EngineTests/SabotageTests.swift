import TestSupport
import Testing

@testable import Engine

/// The goldens must notice what a port gets wrong most easily. Swapped samplers, offsets and spacings are in SamplerTests.
@Suite struct SabotageTests {
  private func source() throws -> ModelSource { try ModelSource.resolve(Golden.folder.appendingPathComponent("tiny/v1").path) }

  /// Error of the tiny v1 UNet's prediction against diffusers after `change` to its config or to its input.
  private func unetError(_ change: (inout UNetConfig) -> Void = { _ in }, input: (Tensor) -> Tensor = { $0 }) throws -> Double {
    let (source, golden) = (try source(), try Golden("tiny/v1/golden.safetensors"))
    var config = try UNetConfig(source.unetConfig)
    change(&config)
    let unet = UNet(source.weights["unet"], config)
    let eps = try unet(
      input(golden.nhwc("unet:input.sample")), timesteps: golden.tensor("unet:input.timestep").array.map(Double.init),
      text: golden.tensor("unet:input.context"))
    return relativeError(eps, try golden.nhwc("unet:eps"))
  }

  private func vaeErrors(_ eps: Double) throws -> (encoder: Double, decoder: Double) {
    let (source, golden) = (try source(), try Golden("tiny/v1/golden.safetensors"))
    var config = try VAEConfig(source.vaeConfig)
    config.normEps = eps
    let vae = VAE(source.weights["vae"], config)
    let moments = try vae.moments(golden.nhwc("vae:input.pixels"), ForwardContext())
    return (
      relativeError(moments, try golden.nhwc("vae:moments")),
      relativeError(try vae.decode(golden.nhwc("vae:input.latents")), try golden.nhwc("vae:decoded"))
    )
  }

  @Test func theHonestModelPasses() throws {
    #expect(try unetError() < StageTests.bar)
    let vae = try vaeErrors(1e-6)
    #expect(vae.encoder < StageTests.bar && vae.decoder < StageTests.bar)
  }

  @Test func wrongEpsilonsFail() throws {
    #expect(try unetError { $0.normEps = 1e-6 } > StageTests.bar)
    #expect(try unetError { $0.transformerNormEps = 1e-5 } > StageTests.bar)
    let vae = try vaeErrors(1e-5)
    #expect(vae.encoder > StageTests.bar && vae.decoder > StageTests.bar)
    let (source, golden) = (try source(), try Golden("tiny/v1/golden.safetensors"))
    var config = try CLIPTextConfig(source.textEncoderConfig)
    config.layerNormEps = 1e-6
    let text = CLIPText(source.weights["text_encoder"]["text_model"], config)
    #expect(relativeError(try text(golden.integers("clip:ids")).lastHiddenState, try golden.tensor("clip:last")) > StageTests.bar)
  }

  @Test func permutedChannelsFail() throws {
    #expect(
      try unetError(input: { x in
        var y = x
        y.withUnsafeMutableBuffer { b in
          for i in stride(from: 0, to: b.count, by: x.shape[-1]) { b.swapAt(i, i + 1) }
        }
        return y
      }) > StageTests.bar)
  }

  @Test func wrongSwitchesFail() throws {
    #expect(try unetError { $0.flipSinToCos.toggle() } > StageTests.bar)
    #expect(try unetError { $0.freqShift = 1 } > StageTests.bar)
    #expect(try unetError { $0.heads = $0.heads.map { $0 / 2 } } > StageTests.bar)
    let (source, golden) = (try source(), try Golden("tiny/v1/golden.safetensors"))
    var config = try CLIPTextConfig(source.textEncoderConfig)
    config.activation = .gelu
    let text = CLIPText(source.weights["text_encoder"]["text_model"], config)
    #expect(relativeError(try text(golden.integers("clip:ids")).lastHiddenState, try golden.tensor("clip:last")) > StageTests.bar)
  }
}
