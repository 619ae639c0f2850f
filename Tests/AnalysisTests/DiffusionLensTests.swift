import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

@Suite struct DiffusionLensTests {
  struct Case: Decodable {
    var prompt: String
    var negative: String
    var seed: UInt64
    var steps: Int
    var guidance: Double
    var layers: Int
  }

  private func request(_ c: Case) -> GenerationRequest {
    GenerationRequest(
      prompt: c.prompt, negativePrompt: c.negative, sampler: .ddim, steps: c.steps, guidance: c.guidance, seed: c.seed)
  }

  private func latents(_ model: StableDiffusion, _ request: GenerationRequest, _ conditioning: Conditioning?) throws -> Tensor {
    let run = try conditioning.map { try model.denoising(request, conditioning: $0) } ?? model.denoising(request)
    while try run.next() != nil {}
    return run.latents
  }

  /// Embeddings of every layer and latents of every layer's run against transformers and diffusers; neighbouring layers miss by far.
  @Test func asDiffusers() throws {
    let c = try Golden.json("lens/case.json", as: Case.self)
    let golden = try Golden("lens/lens.safetensors")
    let model = try HeatmapTests.model.get()
    let lens = try DiffusionLens(model, request(c))
    #expect(lens.layers == c.layers && c.layers == 3)
    for layer in 0...c.layers {
      let conditioning = try lens.conditioning(layer)
      #expect(relativeError(conditioning.prompt, try golden.tensor("embedding.\(layer)")) < 1e-4, "layer \(layer)")
      #expect(relativeError(try #require(conditioning.negative), try golden.tensor("negative")) < 1e-4)
      let found = try latents(model, request(c), conditioning)
      #expect(relativeError(found, try golden.nhwc("latents.\(layer)")) < 1e-3, "layer \(layer)")
      let other = (layer + 1) % (c.layers + 1)
      #expect(relativeError(conditioning.prompt, try golden.tensor("embedding.\(other)")) > 0.05, "layers \(layer) and \(other)")
      #expect(relativeError(found, try golden.nhwc("latents.\(other)")) > 0.05, "layers \(layer) and \(other)")
    }
  }

  /// The last layer is the ordinary picture bit for bit, emphasis, several rows and all; it is the only one.
  @Test(arguments: [
    ("a red house", PromptEmphasis.none, PromptOverflow.truncate), ("a (red:1.4) house", .a1111, .truncate),
    (Array(repeating: "a red circle and a blue square", count: 6).joined(separator: " and "), .none, .chunk),
  ])
  func theLastLayerIsThePictureItself(prompt: String, emphasis: PromptEmphasis, overflow: PromptOverflow) throws {
    let model = try HeatmapTests.model.get()
    var request = GenerationRequest(prompt: prompt, sampler: .ddim, steps: 3, guidance: 4, seed: 7)
    (request.emphasis, request.longPrompt) = (emphasis, overflow)
    let lens = try DiffusionLens(model, request)
    let plain = try model.conditioning(request)
    let last = try lens.conditioning(lens.layers)
    #expect(last.prompt.array == plain.prompt.array && last.negative?.array == plain.negative?.array)
    let picture = try latents(model, request, nil).array
    for layer in 0...lens.layers {
      #expect((try latents(model, request, lens.conditioning(layer)).array == picture) == (layer == lens.layers), "layer \(layer)")
    }
    // Clip skip leaves out as many layers, by the engine's own way.
    request.clipSkip = 1
    #expect(try model.conditioning(request).prompt.array == lens.conditioning(lens.layers - 1).prompt.array)
    #expect(throws: InputError.self) { try DiffusionLens(model, request) }
    #expect(throws: InputError.self) { try lens.conditioning(lens.layers + 1) }
    #expect(throws: InputError.self) { try lens.conditioning(-1) }
    #expect(try lens.intervention(lens.layers).name.isEmpty && lens.intervention(lens.layers).conditioning == nil)
    #expect(Set(try (0...lens.layers).map { try lens.intervention($0).name }).count == lens.layers + 1)
  }

  /// Grey pictures of a known lightness: distances are differences of L*.
  @Test func distancesOfKnownPictures() throws {
    func grey(_ v: UInt8) -> Picture { Picture(width: 8, height: 8, pixels: [UInt8](repeating: v, count: 192)) }
    // sRGB 0, 119, 255 have L* 0, 50.03, 100.
    let d = try LensDistances([[grey(0), grey(255)], [grey(119), grey(255)], [grey(255), grey(0)]])
    #expect(zip(d.toLast.flatMap { $0 }, [100, 100, 49.97, 100, 0, 0]).allSatisfy { abs($0 - $1) < 0.01 }, "\(d.toLast)")
    #expect(zip(d.toPrevious.flatMap { $0 }, [50.03, 0, 49.97, 100]).allSatisfy { abs($0 - $1) < 0.01 }, "\(d.toPrevious)")
    #expect(abs(try #require(d.betweenSeeds) - 100) < 0.01)
    #expect(try LensDistances([[grey(0)], [grey(9)]]).betweenSeeds == nil)
  }
}
