import Engine
import Foundation

/// Pictures out of the record that travels with them: the one way from parameters to pixels, for `generate`, `rerun` and `explore`.
struct PictureRun {
  let model: StableDiffusion
  /// The whole run; the digest of the model is filled in when the first picture is written.
  private(set) var parameters: GenerationParameters
  private(set) var request: GenerationRequest
  /// Images computed at the same time.
  let batch: Int
  let tiling: Tiling
  let report: ReportOptions

  /// Latent positions that go through the UNet at the same time by default, over all rows of the batch.
  private static let positionsAtOnce = 8192

  /// - Parameters:
  ///   - parameters: a record whose names and ranges are not to be trusted; its size is the picture's.
  ///   - inputs: the files that it names.
  /// - Throws: `InputError` for names that this version does not know and values that the model does not take.
  init(_ model: StableDiffusion, _ parameters: GenerationParameters, _ inputs: RunInputs, report: ReportOptions) throws {
    self.model = model
    self.report = report
    let p = parameters
    var request = GenerationRequest(
      prompt: p.prompt, negativePrompt: p.negativePrompt, sampler: try Self.named("sampler", p.sampler), steps: p.steps,
      guidance: p.guidance,
      seed: p.seed, width: p.width, height: p.height, count: p.count, clipSkip: p.clipSkip)
    request.samplerOptions = SamplerOptions(
      spacing: try p.spacing.map { try Self.named("spacing", $0) }, karras: p.karras,
      prediction: try p.prediction.map { try Self.named("prediction", $0) },
      eta: p.eta)
    request.randomNumbers = try Self.named("rng", p.rng)
    let longPrompt: LongPrompt = try Self.named("long prompt", p.longPrompt)
    request.longPrompt = longPrompt.overflow
    request.emphasis = try Self.named("emphasis", p.emphasis)
    request.initialImage = inputs.imageTensor(width: p.width, height: p.height)
    request.mask = inputs.maskTensor(width: p.width, height: p.height)
    request.strength = p.strength ?? request.strength
    request.initialLatents = inputs.initLatents?.content
    if let inverted = inputs.inversion {
      request.inverted = Inversion.Start(inverted.file.inversion, skipping: p.skip ?? 0)
      let factor = model.vae.config.factor
      let (expected, found) = (
        Shape([1, p.height / factor, p.width / factor, model.vae.config.latentChannels]), inverted.file.inversion.noise.shape
      )
      guard found == expected else {
        throw InputError(
          .usage, "\(inverted.source.name): expected latents of \(Self.nchw(expected)) for this size, found \(Self.nchw(found))",
          hint: "leave --width and --height out")
      }
    }
    self.request = request
    tiling = try p.vaeTiling.map { try Self.named("VAE tiling", $0) } ?? .auto

    guard (1...4096).contains(p.count) else { throw InputError(.usage, "--count \(p.count): expected 1 to 4096") }
    guard p.guidance.isFinite, abs(p.guidance) <= 1000 else {
      throw InputError(.usage, "--guidance \(p.guidance): expected a number up to 1000")
    }
    guard (0...1).contains(p.eta) else { throw InputError(.usage, "--eta \(p.eta): expected 0 to 1") }
    guard (0...1).contains(request.strength) else { throw InputError(.usage, "--strength \(request.strength): expected 0 to 1") }
    guard (0..<model.text.config.layers).contains(p.clipSkip) else {
      throw InputError(
        .usage, "--clip-skip \(p.clipSkip): this text encoder has \(model.text.config.layers) layers",
        hint: "give 0 to \(model.text.config.layers - 1)")
    }
    if let latents = request.initialLatents {
      let factor = model.vae.config.factor
      let expected: Shape = [p.count, p.height / factor, p.width / factor, model.vae.config.latentChannels]
      guard latents.shape == expected else {
        throw InputError(
          .usage, "--init-latents: expected \(Self.nchw(expected)) for this size and count, found \(Self.nchw(latents.shape))",
          hint: "leave --width, --height and --count out, or give those that the latents have")
      }
    }
    let positions = p.width * p.height / (model.vae.config.factor * model.vae.config.factor)
    let rows = model.rowsPerImage(request)
    batch = min(p.count, p.batch ?? max(1, Self.positionsAtOnce / max(1, positions * rows)))
    guard batch >= 1 else { throw InputError(.usage, "--batch \(p.batch ?? 0): expected at least 1") }
    self.parameters = parameters
    self.parameters.batch = batch
    // What was said of the picture that the record comes from.
    self.parameters.safety = nil
  }

  private static func nchw(_ s: Shape) -> [Int] { [s[0], s[3], s[1], s[2]] }

  private static func named<T: RawRepresentable & CaseIterable>(_ what: String, _ name: String) throws -> T where T.RawValue == String {
    if let value = T(rawValue: name) { return value }
    throw InputError(.usage, "there is no \(what) '\(name)' here", hint: "known: \(T.allCases.map(\.rawValue).joined(separator: ", "))")
  }

  /// Steps of one batch, each one pass through the network.
  func indices() throws -> Range<Int> {
    let plan = try request.sampler.sampler(model.source.schedulerConfig, steps: request.steps, options: request.samplerOptions).plan
    if let inverted = request.inverted { return min(inverted.skipped, plan.indices.upperBound)..<plan.indices.upperBound }
    return request.initialImage == nil ? plan.indices : try plan.indices(strength: request.strength)
  }

  /// The run goes on from an inversion instead of its own start.
  mutating func begin(from start: Inversion.Start) { request.inverted = start }

  mutating func replacePrompt(_ prompt: String) {
    request.prompt = prompt
    parameters.prompt = prompt
  }

  /// Has its pictures carry a hidden text.
  /// - Throws: `InputError` (usage) when they are too small for it.
  mutating func mark(_ text: String) throws {
    let blank = Picture(
      width: parameters.width, height: parameters.height, pixels: [UInt8](repeating: 128, count: 3 * parameters.width * parameters.height))
    _ = try blank.watermarked(with: Array(text.utf8))
    parameters.watermark = text
  }

  /// Says what of the prompts does not fit.
  func warnAboutPrompts() throws {
    let prompts = [request.prompt] + (model.rowsPerImage(request) == 2 ? [request.negativePrompt] : [])
    for prompt in prompts {
      if let warning = try model.tokenize(prompt, longPrompt: request.longPrompt, emphasis: request.emphasis).warning {
        report.warn("\(warning); --long-prompt chunk keeps it")
      }
    }
  }

  /// What came of a run, and how long it took.
  struct Made {
    /// Of the pictures that were wanted, `[n, h, w, c]`.
    let latents: Tensor
    /// Seconds from the start of the process to the first step of the sampling; nil where the system does not tell.
    let beforeFirstStep: Double?
    /// Seconds in the sampling's steps, over all batches.
    let sampling: Double
  }

  /// Makes the pictures `wanted` of the run, in whole batches, and calls `each` with every picture as soon as it is there.
  func make(_ wanted: Range<Int>, each: (_ index: Int, _ picture: Picture) throws -> Void) throws -> Made {
    try warnAboutPrompts()
    let steps = try indices().count
    let first = wanted.lowerBound / batch * batch
    let starts = Array(stride(from: first, to: wanted.upperBound, by: batch))
    var bar = ProgressBar("sampling", total: steps * starts.count, quiet: report.quiet)
    var latents: [Tensor] = []
    var beforeFirstStep: Double?
    var sampling = Duration.zero
    for start in starts {
      let images = start..<min(start + batch, request.count)
      var part = request
      part.seed = request.seed &+ UInt64(start)
      part.count = images.count
      part.initialLatents = request.initialLatents?.slice(images)
      let run = try model.denoising(part)
      if start == first {
        beforeFirstStep = ProcessAge.seconds
        // A large model takes a while: the person sees for how long.
        if let beforeFirstStep, beforeFirstStep >= 1, Terminal.isInteractive, !report.quiet {
          // In the place of the bar, which comes again below.
          Terminal.line("\r\u{1b}[Kthe first step begins \(duration(beforeFirstStep)) after the start")
        }
      }
      let began = ContinuousClock.now
      while try run.next() != nil { bar.advance() }
      sampling += .now - began
      // The VAE's buffers have other sizes than the UNet's.
      BufferPool.current.trim()
      for i in images.clamped(to: wanted) {
        let one = run.latents.slice(i - start..<i - start + 1)
        latents.append(one)
        try each(i, Picture(try model.decode(one, tiling: tiling)))
      }
      BufferPool.current.trim()
    }
    return Made(latents: .concatenated(latents), beforeFirstStep: beforeFirstStep, sampling: seconds(sampling))
  }
}

extension StableDiffusion {
  /// Rows of a UNet batch that one image takes.
  func rowsPerImage(_ request: GenerationRequest) -> Int { request.usesGuidance && unet.config.timeCondProjDim == nil ? 2 : 1 }
}
