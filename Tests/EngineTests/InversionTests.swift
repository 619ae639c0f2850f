import Foundation
import TestSupport
import Testing

@testable import Engine

/// Inversion on the embedded model against diffusers' and the published code's, and against what must be so.
@Suite struct InversionTests {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    var `case`: String
    var method: String
    var image: String
    var prompt: String
    var negative: String
    var steps: Int
    var guidance: Double
    var seed: UInt64
    var edit: String?
    var editGuidance: Double
    var skip: Int
    var overrides: Overrides
    var drift64: Double
    var testDescription: String { self.case }
    struct Overrides: Decodable, Sendable {
      var timestep_spacing: String?
      var prediction_type: String?
      var set_alpha_to_one: Bool?
    }

    func request() throws -> GenerationRequest {
      var request = GenerationRequest(prompt: prompt, negativePrompt: negative, steps: steps, guidance: guidance, seed: seed)
      request.samplerOptions.spacing = try overrides.timestep_spacing.map { try #require(TimestepSpacing(rawValue: $0)) }
      request.samplerOptions.prediction = try overrides.prediction_type.map { try #require(PredictionType(rawValue: $0)) }
      return request
    }
  }

  struct File: Decodable { var cases: [Case] }
  static let cases = (try? Golden.json("inversion/cases.json", as: File.self).cases) ?? []
  static let model = Result { try StableDiffusion() }
  static let bar = 1e-3

  @Test func casesAreThere() { #expect(Self.cases.count == 10) }

  /// The embedded model, with another `set_alpha_to_one` where a case has one.
  private func model(_ c: Case) throws -> StableDiffusion {
    guard let one = c.overrides.set_alpha_to_one else { return try Self.model.get() }
    let s = try ModelSource.resolve(nil)
    let file = try Resources.embeddedModel().appendingPathComponent("scheduler/scheduler_config.json")
    var object = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    object["set_alpha_to_one"] = one
    let config = ConfigReader(object, file: file.path)
    return try StableDiffusion(
      ModelSource(
        displayName: s.displayName, unetConfig: s.unetConfig, vaeConfig: s.vaeConfig, textEncoderConfig: s.textEncoderConfig,
        schedulerConfig: config, tokenizerDirectory: s.tokenizerDirectory, padToken: s.padToken, weights: s.weights, files: s.files,
        warnings: s.warnings))
  }

  private func latents(_ run: Denoising) throws -> Tensor {
    while try run.next() != nil {}
    return run.latents
  }

  private func picture(_ name: String) throws -> Tensor {
    try Picture(url: Golden.folder.appendingPathComponent("embedded/\(name)")).tensor
  }

  @Test(arguments: cases) func equalsTheReference(_ c: Case) throws {
    let golden = try Golden("inversion/inversion.safetensors")
    let model = try model(c)
    let pixels = try picture(c.image)
    var request = try c.request()
    (request.width, request.height) = (pixels.shape[2], pixels.shape[1])
    let x0 = try model.encode(pixels)
    func expectClose(_ mine: Tensor, _ name: String) throws {
      #expect(relativeError(mine, try golden.nhwc("\(c.case):\(name)")) < Self.bar, "\(name)")
    }
    try expectClose(x0, "x0")
    let method = try #require(Inversion.Method(rawValue: c.method))
    let inversion = try model.invert(x0, method, request)
    #expect(inversion.steps == c.steps && inversion.trajectory.last?.array == x0.array)
    try expectClose(inversion.noise, "noise")
    if method == .editFriendly { try expectClose(.concatenated(inversion.noises), "z") }
    if method == .nullText {
      let expected = try golden.tensor("\(c.case):negatives")
      #expect(relativeError(.concatenated(inversion.negatives), expected) < Self.bar)
      // They have moved from the negative prompt's, each from the one before.
      #expect(largestDifference(inversion.negatives[0], try #require(model.conditioning(request).negative)) > 1e-3)
      #expect(largestDifference(inversion.negatives[0], inversion.negatives[c.steps - 1]) > 1e-3)
    }
    try expectClose(latents(model.denoising(request, from: inversion, keepsRemainder: false)), "reconstruction")
    if let prompt = c.edit {
      var edit = request
      (edit.prompt, edit.guidance) = (prompt, c.editGuidance)
      try expectClose(latents(model.denoising(edit, from: inversion, skipping: c.skip, keepsRemainder: false)), "edit")
    }
  }

  /// The way back leads to the picture's latents, whatever prompt and guidance it was gone with, and from any step on.
  @Test(arguments: [("", 1.0), ("a red house", 3.5), ("nothing of this is in the picture", 9)]) func editFriendlyIsExact(
    _ prompt: String, _ guidance: Double
  ) throws {
    let model = try Self.model.get()
    let x0 = try model.encode(picture("init.png"))
    let request = GenerationRequest(prompt: prompt, steps: 8, guidance: guidance, seed: 5)
    let inversion = try model.invert(x0, .editFriendly, request)
    for skipped in [0, 3, 7] {
      let back = try latents(model.denoising(request, from: inversion, skipping: skipped))
      #expect(largestDifference(back, x0) < 1e-5, "\(skipped)")
    }
    // Another prompt must lead elsewhere, or nothing of the network took part.
    var other = request
    (other.prompt, other.guidance) = ("a blue boat on the sea", 6)
    #expect(largestDifference(try latents(model.denoising(other, from: inversion)), x0) > 0.1)
    // The published code loses what the last step leaves; it is small, but not rounding.
    let published = largestDifference(try latents(model.denoising(request, from: inversion, keepsRemainder: false)), x0)
    #expect(published > 1e-3 && published < 0.3)
  }

  /// Guided sampling leaves the path of DDIM inversion; with null-text embeddings it keeps to it.
  @Test func nullTextKeepsToThePath() throws {
    let model = try Self.model.get()
    let x0 = try model.encode(picture("init.png"))
    let request = GenerationRequest(prompt: "a red house", steps: 10, guidance: 7.5)
    let inversion = try model.invert(x0, .nullText, request)
    let plain = Inversion(method: .ddim, trajectory: inversion.trajectory)
    func error(_ inversion: Inversion) throws -> Double {
      let back = try latents(model.denoising(request, from: inversion))
      return zip(back.array, x0.array).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) } / Double(x0.count)
    }
    #expect(try error(inversion) < 0.5 * error(plain))
    var unguided = request
    unguided.guidance = 1
    #expect(throws: InputError.self) { try model.invert(x0, .nullText, unguided) }
  }

  /// A network whose answer does not depend on what it is shown is inverted exactly; a real one is not, and more steps bring it closer.
  @Test func ddimIsExactForAConstantPrediction() throws {
    let model = try Self.model.get()
    let x0 = try model.encode(picture("init.png"))
    let request = GenerationRequest(prompt: "a red house", steps: 10, guidance: 1)
    for value in [Float(0), 0.7] {
      let constant = try Probes(["unet.out"], sites: model.sites) { _, _, out in Tensor(repeating: value, out.shape) }
      let inversion = try model.invert(x0, .ddim, request, probes: constant)
      #expect(largestDifference(try latents(model.denoising(request, from: inversion, probes: constant)), x0) < 2e-5, "\(value)")
      #expect(largestDifference(inversion.noise, x0) > 0.5)
    }
    func error(_ steps: Int) throws -> Double {
      var request = request
      request.steps = steps
      let back = try latents(model.denoising(request, from: model.invert(x0, .ddim, request)))
      return zip(back.array, x0.array).reduce(0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) } / Double(x0.count)
    }
    let errors = try [5, 20, 50].map(error)
    #expect(errors[0] > errors[1] && errors[1] > errors[2] && errors[2] > 1e-8, "\(errors)")
  }

  /// `generate` from the inverted noise goes the same way.
  @Test func theNoiseIsAnInitialNoise() throws {
    let model = try Self.model.get()
    let x0 = try model.encode(picture("init.png"))
    var request = GenerationRequest(prompt: "a red house", sampler: .ddim, steps: 6, guidance: 1)
    let inversion = try model.invert(x0, .ddim, request)
    request.initialLatents = inversion.noise
    let generated = try latents(model.denoising(request)).array
    #expect(try generated == latents(model.denoising(request, from: inversion)).array)
  }

  @Test func refusesWhatItCannotDo() throws {
    let model = try Self.model.get()
    let request = GenerationRequest(prompt: "", steps: 4, guidance: 1)
    let x0 = Tensor.zeros([1, 16, 16, 4])
    #expect(throws: InputError.self) { try model.invert(Tensor.zeros([1, 16, 8, 4]), .ddim, request) }
    let inversion = try model.invert(x0, .ddim, request)
    var other = request
    other.steps = 5
    #expect(throws: InputError.self) { try model.denoising(other, from: inversion) }
    #expect(throws: InputError.self) { try model.denoising(request, from: inversion, skipping: 4) }
    #expect(throws: InputError.self) { try model.invert(Tensor(repeating: .nan, [1, 16, 16, 4]), .ddim, request) }
  }
}

/// Asyrp: x0 and the direction from two answers of the network.
@Suite struct AsymmetricStepTests {
  private func run(_ request: GenerationRequest, _ probes: Probes?, _ original: Probes?) throws -> [Float] {
    let model = try InversionTests.model.get()
    let run = try model.denoising(request, conditioning: model.conditioning(request), probes: probes, original: original)
    while try run.next() != nil {}
    return run.latents.array
  }

  @Test func aProbeThatOnlyLooksChangesNothing() throws {
    let model = try InversionTests.model.get()
    for eta in [0, 0.5] {
      var request = GenerationRequest(prompt: "a red house", sampler: .ddim, steps: 4, guidance: 4)
      request.samplerOptions.eta = eta
      var calls = 0
      let look = try Probes(["unet.mid_block.out"], sites: model.sites) { _, _, _ in
        calls += 1
        return nil
      }
      let plain = try run(request, nil, nil)
      #expect(try run(request, nil, look) == plain && calls == 4)
      let double = try Probes(["unet.mid_block.out"], sites: model.sites) { _, _, h in Float(2) * h }
      let asymmetric = try run(request, nil, double)
      let symmetric = try run(request, double, nil)
      #expect(asymmetric != plain && asymmetric != symmetric)
      #expect(try run(request, double, double) == symmetric)
    }
  }

  /// x0 alone moves: with a prediction of 0 for it, x0 is x / sqrt(abar) while the direction stays the network's.
  @Test func onlyTheOriginalIsChanged() throws {
    let config = try InversionTests.model.get().source.schedulerConfig
    let ddim = try DDIM(config, steps: 10, options: SamplerOptions())
    let x = Tensor([0.3, -1, 2, 0.5], [1, 1, 1, 4])
    let (eps, zero) = (Tensor([1, 0.5, -0.25, 2], x.shape), Tensor.zeros(x.shape))
    let step = ddim.step(4, x, denoise: { _, _ in eps }, original: { _, _ in zero }, noise: { zero })
    let (from, to) = ddim.levels(4)
    for i in 0..<4 {
      let x0 = x.array[i] / from.squareRoot()
      #expect(abs(step.predictedOriginal.array[i] - x0) < 1e-6)
      #expect(abs(step.sample.array[i] - (to.squareRoot() * x0 + (1 - to).squareRoot() * eps.array[i])) < 1e-6)
    }
  }

  @Test func otherSamplersAreRefused() throws {
    let model = try InversionTests.model.get()
    let look = try Probes(["unet.mid_block.out"], sites: model.sites) { _, _, _ in nil }
    let request = GenerationRequest(prompt: "a red house", sampler: .euler, steps: 4)
    #expect(throws: InputError.self) { try model.denoising(request, conditioning: model.conditioning(request), original: look) }
  }
}
