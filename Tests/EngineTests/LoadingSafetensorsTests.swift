import Foundation
import Testing

@testable import Engine

@Suite struct LoadingSafetensorsTests {
  static let model = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../Resources/scenes-model")
    .standardized

  @Test func readsTheEmbeddedModel() throws {
    let file = try Safetensors.read(Self.model.appendingPathComponent("unet/diffusion_pytorch_model.safetensors"))
    #expect(file.tensors.count == 326)
    #expect(file.metadata == ["format": "pt"])
    let bias = try #require(file.tensors.first { $0.name == "conv_in.bias" })
    #expect(try bias.float32().shape == [64])
  }
}

@Suite struct LoadingWeightStoreTests {
  static func store() throws -> WeightStore {
    let url = LoadingSafetensorsTests.model.appendingPathComponent("unet/diffusion_pytorch_model.safetensors")
    let tensors = try Safetensors.read(url).tensors.map { t in
      var t = t
      t.name = "unet.\(t.name)"
      return t
    }
    return try WeightStore(tensors, label: "model")
  }

  @Test func scopesTakeAndReport() throws {
    let store = try Self.store()
    let scope = store["unet"]
    #expect(scope["conv_in"].take("weight", [64, 4, 3, 3]).shape == [64, 4, 3, 3])
    #expect(scope["conv_in"].takeOptional("scale", [64])?.shape == nil)
    let left = try store.finish(ignoring: ["*.bias"])
    #expect(!left.contains("unet.conv_in.weight"))
    #expect(left.contains("unet.conv_out.weight"))
    #expect(!left.contains("unet.conv_out.bias"))
    #expect(scope["conv_in"].take("bias", [65]).shape == [0])
    #expect(scope["down_blocks"][0]["nowhere"].take("weight", [3]).shape == [0])
    let error = #expect(throws: InputError.self) { try store.finish() }
    #expect(error?.kind == .badData)
    #expect(
      error?.message.contains("unet.conv_in.bias: expected [65], found [64]; unet.down_blocks.0.nowhere.weight [3] is missing") == true)
  }
}

@Suite struct LoadingModelSourceTests {
  @Test func findsTheEmbeddedModel() throws {
    let source = try ModelSource.resolve()
    #expect(try UNetConfig(source.unetConfig).blockOutChannels == [64, 128, 192])
    #expect(source.weights["text_encoder"].has("text_model.embeddings.token_embedding.weight"))
  }
}
