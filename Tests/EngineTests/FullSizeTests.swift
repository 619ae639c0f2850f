import Foundation
import TestSupport
import Testing

@testable import Engine

/// The SD v1.5 shape with random weights, written by `Tests/Goldens/make/sd15.py --out DIR`; runs when `SDLAB_SD15` names that DIR.
///
/// Needs about 8 GiB of memory and some minutes, hence not in `make test`.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["SDLAB_SD15"] != nil)) struct FullSizeTests {
  static let folder = URL(fileURLWithPath: ProcessInfo.processInfo.environment["SDLAB_SD15"] ?? "/")

  /// What the reference pipeline was run with.
  struct Arguments: Decodable {
    var prompt: String
    var sampler: String
    var steps: Int
    var guidance: Double
    var seed: UInt64
    var width: Int
    var height: Int
  }

  private func reference(_ name: String) throws -> Tensor {
    let t = try #require(
      try Safetensors.read(Self.folder.appendingPathComponent("reference.safetensors")).tensors.first { $0.name == name })
    let x = try t.float32()
    return x.shape.rank == 4 ? x.nhwc() : x
  }

  @Test func networks() throws {
    let model = try StableDiffusion(Self.folder.appendingPathComponent("diffusers").path)
    let context = try reference("clip:last")
    let ids = try integers("clip:ids")
    #expect(relativeError(try model.text(ids).lastHiddenState, context) < 1e-3)
    let x = try reference("unet:input.sample")
    let eps = try model.unet(x, timesteps: reference("unet:input.timestep").array.map(Double.init), text: context)
    let error = relativeError(eps, try reference("unet:eps"))
    #expect(error < 1e-3)
    print("UNet in the SD v1.5 shape: relative error \(error)")
    #expect(relativeError(try model.vae.decode(reference("vae:input.latents")), try reference("vae:decoded")) < 1e-3)
    let moments = try reference("vae:moments").array
    let c = model.vae.config.latentChannels
    let mean = try model.vae.encode(reference("vae:input.pixels")).mean
    let expected = (0..<mean.shape.rows).flatMap { r in (0..<c).map { Double(moments[r * 2 * c + $0]) } }
    #expect(relativeError(mean.array, expected) < 1e-3)
  }

  @Test func threeContainersGiveIdenticalLatents() throws {
    let arguments = try JSONDecoder().decode(Arguments.self, from: Data(contentsOf: Self.folder.appendingPathComponent("reference.json")))
    let tokenizer = Self.folder.appendingPathComponent("diffusers/tokenizer").path
    var all: [[Float]] = []
    for name in ["diffusers", "v1.safetensors", "v1.ckpt"] {
      let source = try ModelSource.resolve(
        Self.folder.appendingPathComponent(name).path, tokenizer: name == "diffusers" ? nil : tokenizer)
      let model = try StableDiffusion(source)
      let run = try model.denoising(
        GenerationRequest(
          prompt: arguments.prompt, sampler: try #require(SamplerName(rawValue: arguments.sampler)), steps: arguments.steps,
          guidance: arguments.guidance, seed: arguments.seed, width: arguments.width, height: arguments.height))
      while try run.next() != nil {}
      all.append(run.latents.array)
      #expect(relativeError(run.latents, try reference("pipeline:latents")) < 1e-3, "\(name)")
    }
    #expect(all[0] == all[1])
    #expect(all[0] == all[2])
  }

  private func integers(_ name: String) throws -> [[Int]] {
    let t = try #require(
      try Safetensors.read(Self.folder.appendingPathComponent("reference.safetensors")).tensors.first { $0.name == name })
    let raw = UnsafeRawBufferPointer(start: t.bytes.base + t.offset, count: t.byteCount)
    let values = (0..<t.count).map { Int(raw.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self)) }
    return (0..<t.shape[0]).map { Array(values[$0 * t.shape[1]..<($0 + 1) * t.shape[1]]) }
  }
}
