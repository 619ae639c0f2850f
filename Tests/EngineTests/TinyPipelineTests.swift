import Foundation
import TestSupport
import Testing

@testable import Engine

/// Whole runs of the tiny random models through diffusers' pipelines: what the embedded model does not have (v-prediction, guidance
/// embedding, nine channels, odd shapes), and the same weights as folder, CompVis file and old checkpoint.
@Suite struct TinyPipelineTests {
  struct Case: Decodable, Sendable {
    var key: String
    var prompt: String
    var negative: String?
    var sampler: String
    var steps: Int
    var guidance: Double
    var seed: UInt64
    var strength: Double?
    var clipSkip: Int?
    var width: Int
    var height: Int
    var tolerance: Double

    func request(inpainting: Bool) throws -> GenerationRequest {
      var r = GenerationRequest(
        prompt: prompt, negativePrompt: negative ?? "", sampler: try #require(SamplerName(rawValue: sampler)), steps: steps,
        guidance: guidance,
        seed: seed, width: width, height: height, clipSkip: clipSkip ?? 0)
      if inpainting {
        func picture(_ name: String) throws -> Picture {
          try Picture(url: Golden.folder.appendingPathComponent("tiny/\(name)")).resized(width: width, height: height)
        }
        r.initialImage = try picture("init.png").tensor
        r.mask = try picture("mask.png").mask
        r.strength = try #require(strength)
      }
      return r
    }
  }

  struct File: Decodable { var pipelines: [Case] }

  @Test(arguments: ["v1", "v2", "lcm", "inpaint", "odd"]) func equalsDiffusers(_ name: String) throws {
    let model = try StableDiffusion(Golden.folder.appendingPathComponent("tiny/\(name)").path)
    let golden = try Golden("tiny/\(name)/golden.safetensors")
    let cases = try Golden.json("tiny/\(name)/golden.json", as: File.self).pipelines
    #expect(!cases.isEmpty)
    for c in cases {
      let run = try model.denoising(c.request(inpainting: name == "inpaint"))
      while let step = try run.next() {
        #expect(
          largestDifference(run.latents, try golden.step(step.number, of: "\(c.key):trace")) <= c.tolerance,
          "\(name) \(c.key) step \(step.number)")
      }
      #expect(largestDifference(run.latents, try golden.nhwc("\(c.key):latents")) <= c.tolerance, "\(name) \(c.key)")
      let mine = Picture(try model.decode(run.latents)).pixels
      let expected = try golden.bytes("\(c.key):image")
      let pixels = c.width * c.height
      let off = (0..<pixels).count { i in (0..<3).contains { abs(Int(mine[i * 3 + $0]) - Int(expected[$0 * pixels + i])) > 1 } }
      #expect(Double(off) <= 0.001 * Double(pixels), "\(name) \(c.key): \(off) pixels")
    }
  }

  /// Number of heads and of norm groups cannot be read from a single file; these tiny ones are not the usual, so the folder's configs serve.
  @Test(arguments: ["v1", "v2"], ["safetensors", "ckpt"]) func singleFilesGiveTheSameLatents(_ name: String, _ ending: String) throws {
    let folder = try ModelSource.resolve(Golden.folder.appendingPathComponent("tiny/\(name)").path)
    let file = try ModelSource.resolve(
      Golden.folder.appendingPathComponent("tiny/\(name).\(ending)").path, tokenizer: folder.tokenizerDirectory.path)
    let single = try StableDiffusion(
      ModelSource(
        displayName: file.displayName, unetConfig: folder.unetConfig, vaeConfig: folder.vaeConfig,
        textEncoderConfig: folder.textEncoderConfig,
        schedulerConfig: folder.schedulerConfig, tokenizerDirectory: file.tokenizerDirectory, padToken: file.padToken,
        weights: file.weights,
        files: file.files, warnings: file.warnings))
    let whole = try StableDiffusion(folder)
    let c = try #require(try Golden.json("tiny/\(name)/golden.json", as: File.self).pipelines.first)
    func latents(_ model: StableDiffusion) throws -> [Float] {
      let run = try model.denoising(c.request(inpainting: false))
      while try run.next() != nil {}
      return try run.latents.array + model.decode(run.latents).array
    }
    #expect(try latents(single) == latents(whole))
  }
}
