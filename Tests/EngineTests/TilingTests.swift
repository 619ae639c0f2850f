import TestSupport
import Testing

@testable import Engine

/// Tiled coding equals diffusers' `enable_tiling()`, seams included, and is not what one piece gives.
@Suite struct TilingTests {
  @Test func equalsDiffusers() throws {
    let vae = try StableDiffusion().vae
    let golden = try Golden("embedded/tiling.safetensors")
    let latents = try golden.nhwc("latents")
    let decoded = try vae.decode(latents, tiling: .on)
    let expected = try golden.nhwc("decoded")
    #expect(relativeError(decoded, expected) < 1e-5)
    #expect(relativeError(try vae.decode(latents, tiling: .off), expected) > 1e-3)
    #expect(try vae.decode(latents, tiling: .auto).array == vae.decode(latents, tiling: .off).array)

    let shape = try golden.shape("pixels")
    let pixels = Tensor(try golden.bytes("pixels").map { Float($0) / 127.5 - 1 }, Shape(shape)).nhwc()
    let moments = try golden.nhwc("moments").array
    let c = vae.config.latentChannels
    let mean = try vae.encode(pixels, tiling: .on).mean
    #expect(relativeError(mean.array, (0..<mean.shape.rows).flatMap { r in (0..<c).map { Double(moments[r * 2 * c + $0]) } }) < 1e-5)
  }
}
