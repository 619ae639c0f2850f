import Engine
import Foundation
import Testing

@testable import sdlab

@Suite struct ProgressBarTests {
  @Test func looksLikeTqdm() {
    let line = ProgressBar.text(name: "sampling", done: 9, total: 20, elapsed: 3, columns: 60, unicode: true)
    #expect(line == "sampling:  45%|██████▎       | 9/20 [00:03<00:03, 3.00it/s]")
    #expect(line.count == 59)
    #expect(ProgressBar.text(name: "a", done: 0, total: 3, elapsed: 0, columns: 40, unicode: false).contains("0/3 [00:00<?, ?it/s]"))
    #expect(ProgressBar.text(name: "a", done: 1, total: 3, elapsed: 90, columns: 60, unicode: false).contains("[01:30<03:00, 90.00s/it]"))
    #expect(ProgressBar.text(name: "a", done: 3, total: 3, elapsed: 3700, columns: 50, unicode: false).hasPrefix("a: 100%|###"))
    #expect(clock(3700) == "1:01:40" && clock(.infinity) == "00:00")
  }
}

@Suite struct NameTests {
  @Test func slugs() {
    #expect(OutputFile.slug("A red house, at night!") == "a-red-house-at-night")
    #expect(OutputFile.slug("  ../../etc/passwd ") == "etc-passwd")
    #expect(OutputFile.slug("ein Häuschen 家 №5") == "ein-häuschen-家-5" || OutputFile.slug("ein Häuschen 家 №5").hasPrefix("ein-häuschen-家"))
    #expect(OutputFile.slug("!!!") == "picture")
    #expect(OutputFile.slug(String(repeating: "家", count: 500)).utf8.count <= 60)
  }

  @Test func numbers() {
    #expect(OutputFile.numbered(URL(fileURLWithPath: "a/b.c.png"), "7").relativePath == "a/b.c-7.png")
    #expect(OutputFile.numbered(URL(fileURLWithPath: "/a/b"), "7").relativePath == "/a/b-7")
    #expect(OutputFile.numbered(URL(fileURLWithPath: "b.png"), "7").relativePath == "b-7.png")
  }

  @Test func quantities() {
    #expect(prefixed(401e9) == "401 G" && prefixed(1.24e12) == "1.24 T" && prefixed(12) == "12")
    #expect(bytes(22_083_000) == "22.1 MB" && bytes(5) == "5 B")
    #expect(duration(0.0123) == "12.3 ms" && duration(200) == "3 min 20 s" && duration(7500) == "2 h 5 min")
    #expect(grouped(12_345_678) == "12,345,678" && grouped(-1) == "-1" && grouped(100) == "100")
  }
}

/// Known figures of Stable Diffusion 1.5.
@Suite struct CostTests {
  private func unet(_ keys: [String: Any] = [:]) throws -> UNetConfig {
    try UNetConfig(ConfigReader(["cross_attention_dim": 768].merging(keys) { $1 }, file: "unet/config.json"))
  }

  @Test func unetOfVersion1() throws {
    let cost = try unet().cost(height: 64, width: 64, tokens: 77)
    #expect(abs(cost.multiplyAdds / 401e9 - 1) < 0.02, "\(cost.multiplyAdds / 1e9) G")
    #expect(cost.flops == 2 * cost.multiplyAdds && cost.times(2).multiplyAdds == 2 * cost.multiplyAdds)
  }

  @Test func autoencoder() throws {
    let config = try VAEConfig(
      ConfigReader(
        [
          "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
          "down_block_types": Array(repeating: "DownEncoderBlock2D", count: 4),
          "up_block_types": Array(repeating: "UpDecoderBlock2D", count: 4),
        ], file: "vae/config.json"))
    let decoder = config.decoderCost(height: 64, width: 64).multiplyAdds
    #expect(abs(decoder / 1240e9 - 1) < 0.03, "\(decoder / 1e9) G")
    let encoder = config.encoderCost(height: 64, width: 64).multiplyAdds
    #expect(abs(encoder / 540e9 - 1) < 0.05, "\(encoder / 1e9) G")
  }

  @Test func textEncoder() throws {
    let config = try CLIPTextConfig(
      ConfigReader(["hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12], file: "text_encoder/config.json"))
    // 85 million parameters in the layers, each used once a token, and the attention.
    #expect(abs(config.cost(tokens: 77).multiplyAdds / (77 * 85e6) - 1) < 0.03)
  }

  @Test func oddSizesAndGrowth() throws {
    let config = try unet()
    let small = config.cost(height: 32, width: 32, tokens: 77).multiplyAdds
    let large = config.cost(height: 64, width: 64, tokens: 77).multiplyAdds
    // Attention grows faster than the area.
    #expect(large > 4 * small && large < 6 * small)
    #expect(config.cost(height: 33, width: 31, tokens: 77).multiplyAdds > 0.9 * small)
    #expect(config.cost(height: 1, width: 1, tokens: 77).activations > 0)
  }

  @Test func activationsAreThoseOfThePool() throws {
    let model = try StableDiffusion()
    let (h, w) = (96, 64)
    func peak(_ body: () throws -> Void) throws -> Double {
      // Weights are packed by the first pass.
      try body()
      // A pool of its own, so that other tests are not counted.
      let pool = BufferPool()
      try BufferPool.$current.withValue(pool) { try body() }
      return Double(pool.statistics.peakBytesInUse)
    }
    let x = Tensor.zeros([1, h, w, 4])
    let text = Tensor.zeros([1, model.promptLength, model.unet.config.crossAttentionDim])
    let unet = try peak { _ = try model.unet(x, timesteps: [1], text: text) }
    let estimate = model.unet.config.cost(height: h, width: w, tokens: model.promptLength).activations * 4
    #expect((0.6...1.5).contains(estimate / unet), "UNet: estimated \(estimate), found \(unet)")
    let vae = try peak { _ = try model.decode(x, tiling: .off) }
    let decoding = model.vae.config.decoderCost(height: h, width: w).activations * 4
    #expect((0.6...1.5).contains(decoding / vae), "VAE: estimated \(decoding), found \(vae)")
  }
}
