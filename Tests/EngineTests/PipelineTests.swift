import Foundation
import TestSupport
import Testing

@testable import Engine

/// Whole runs on the embedded model against diffusers' public pipelines: final latents, some latents on the way, prompt embeddings, pictures.
@Suite struct PipelineTests {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    var `case`: String
    var kind: String
    var prompt: String
    var negative: String?
    var sampler: String
    var steps: Int
    var guidance: Double
    var seed: String
    var width: Int
    var height: Int
    var count: Int
    var eta: Double
    var clipSkip: Int?
    var overrides: Overrides
    var latents: String?
    var image: String?
    var mask: String?
    var strength: Double?
    var calls: Int
    var timesteps: [Double]
    var tolerance: Double
    /// Largest difference of PyTorch's final latents in bfloat16 from those in float32, where it was measured.
    var bfloat16Error: Double?
    var testDescription: String { self.case }

    struct Overrides: Decodable, Sendable {
      var use_karras_sigmas: Bool?
      var timestep_spacing: String?
      var prediction_type: String?
    }

    /// The request a person would make for it.
    func request() throws -> GenerationRequest {
      var r = GenerationRequest(
        prompt: prompt, negativePrompt: negative ?? "", sampler: try #require(SamplerName(rawValue: sampler)), steps: steps,
        guidance: guidance,
        seed: try #require(UInt64(seed)), width: width, height: height, count: count, clipSkip: clipSkip ?? 0)
      r.samplerOptions.eta = eta
      r.samplerOptions.karras = overrides.use_karras_sigmas
      r.samplerOptions.spacing = try overrides.timestep_spacing.map { try #require(TimestepSpacing(rawValue: $0)) }
      r.samplerOptions.prediction = try overrides.prediction_type.map { try #require(PredictionType(rawValue: $0)) }
      func picture(_ name: String) throws -> Picture { try Picture(url: Golden.folder.appendingPathComponent("embedded/\(name)")) }
      r.initialImage = try image.map { try picture($0).resized(width: width, height: height).tensor }
      r.mask = try mask.map { try picture($0).resized(width: width, height: height, filter: .nearest).mask }
      if let strength { r.strength = strength }
      if let latents {
        let file = try Safetensors.read(Golden.folder.appendingPathComponent("embedded/\(latents)")).tensors
        r.initialLatents = try #require(file.first).float32().nhwc()
      }
      return r
    }
  }

  struct CaseFile: Decodable { var cases: [Case] }

  static let cases = (try? Golden.json("embedded/cases.json", as: CaseFile.self).cases) ?? []
  static let goldens: Result<[String: Golden], any Error> = Result {
    try Dictionary(uniqueKeysWithValues: ["text", "image", "inpaint"].map { ($0, try Golden("embedded/\($0).safetensors")) })
  }
  static let model = Result { try StableDiffusion() }

  @Test func allCasesAreThere() {
    #expect(Self.cases.count >= 100)
    for name in SamplerName.allCases { #expect(Self.cases.count { $0.sampler == name.rawValue } >= 2, "\(name)") }
  }

  @Test(arguments: cases) func run(_ c: Case) throws {
    let model = try Self.model.get()
    let golden = try #require(Self.goldens.get()[c.kind])
    let request = try c.request()
    if golden.has("\(c.case):embeds") {
      let conditioning = try model.conditioning(request)
      #expect(largestDifference(conditioning.prompt, try golden.tensor("\(c.case):embeds")) < 1e-4)
      if golden.has("\(c.case):negativeEmbeds"), let negative = conditioning.negative {
        #expect(largestDifference(negative, try golden.tensor("\(c.case):negativeEmbeds")) < 1e-4)
      }
    }
    let run = try model.denoising(request)
    #expect(run.plan.timesteps.count == c.timesteps.count)
    for (mine, theirs) in zip(run.plan.timesteps, c.timesteps) { #expect(abs(mine - theirs) <= 1e-6 * theirs) }
    var calls = 0
    while let step = try run.next() {
      if golden.has("\(c.case):trace") {
        let difference = largestDifference(run.latents, try golden.step(step.number, of: "\(c.case):trace"))
        #expect(difference <= c.tolerance, "after step \(step.number)")
      }
      calls += 1
    }
    #expect(calls == c.calls)
    #expect(largestDifference(run.latents, try golden.nhwc("\(c.case):latents")) <= c.tolerance)
    if golden.has("\(c.case):image") {
      let pictures = try model.decode(run.latents)
      let expected = try golden.bytes("\(c.case):image")
      let pixels = c.width * c.height
      var off = 0
      for n in 0..<c.count {
        let mine = Picture(pictures, index: n).pixels
        for i in 0..<pixels {
          off += (0..<3).contains { abs(Int(mine[i * 3 + $0]) - Int(expected[(n * 3 + $0) * pixels + i])) > 1 } ? 1 : 0
        }
      }
      #expect(Double(off) <= 0.001 * Double(pixels * c.count), "\(off) pixels differ by more than 1")
    }
  }
}
