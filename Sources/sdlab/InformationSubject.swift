import Analysis
import Engine
import Foundation

/// What `information` measures: a stored run, a run made now, or an existing picture with its prompt.
struct InformationSubject {
  let prompt: TokenizedPrompt
  private let verb: Information
  private let origin: Origin

  private enum Origin {
    case stored(RunFolder, ModelSource)
    case prompt(PictureRun)
    case existing(PictureRun, pixels: Tensor)
  }

  struct Measured {
    let maps: InformationMaps
    let picture: Picture
    let run: URL?
    /// For the subtitle.
    let about: String
  }

  /// - Throws: `InputError` before anything long is computed.
  init(_ verb: Information) throws {
    self.verb = verb
    let store = verb.runs.store
    if verb.image == nil, store.names(verb.subject) {
      let folder = try store.open(verb.subject)
      let parameters = folder.manifest.spec.parameters
      guard (0..<parameters.count).contains(verb.index) else {
        throw InputError(.usage, "--index \(verb.index): the run has \(parameters.count) images")
      }
      let source = try folder.source(verb.model, quiet: verb.report.quiet)
      prompt = try folder.prompt(source)
      origin = .stored(folder, source)
      return
    }
    if let image = verb.image {
      guard verb.picture.initImage == nil else { throw InputError(.usage, "--image and --init-image: expected one of them") }
      let (run, pixels) = try PictureRun.prepare(lookingAt: image, verb.subject, verb.model, verb.sampling, verb.picture, verb.report)
      prompt = try run.model.tokenize(run.request.prompt, longPrompt: run.request.longPrompt, emphasis: run.request.emphasis)
      origin = .existing(run, pixels: pixels)
    } else {
      let (run, _) = try PictureRun.prepare(verb.subject, verb.model, verb.sampling, verb.picture, verb.report)
      prompt = try run.model.tokenize(run.request.prompt, longPrompt: run.request.longPrompt, emphasis: run.request.emphasis)
      guard (0..<run.request.count).contains(verb.index) else {
        throw InputError(.usage, "--index \(verb.index): the run has \(run.request.count) images")
      }
      origin = .prompt(run)
    }
  }

  /// - Parameter others: the prompts to contrast with, one for each word.
  func measured(_ others: [String]) throws -> Measured {
    switch origin {
    case .stored(let folder, let source):
      return try measured(folder, ModelOptions.load(source, verb.report), others)
    case .prompt(let run):
      return try measured(run.trace(verb.runs.store, [], again: verb.runs.again), run.model, others)
    case .existing(let run, let pixels):
      let maps = try measured(
        run.model, run.model.encode(pixels, tiling: run.tiling), others, clipSkip: run.request.clipSkip,
        longPrompt: run.request.longPrompt, prediction: run.request.samplerOptions.prediction)
      return Measured(maps: maps, picture: Picture(pixels), run: nil, about: "an existing picture")
    }
  }

  private func measured(_ folder: RunFolder, _ model: StableDiffusion, _ others: [String]) throws -> Measured {
    let p = folder.manifest.spec.parameters
    let latents = try folder.finalLatents().slice(verb.index..<verb.index + 1)
    let maps = try measured(
      model, latents, others, clipSkip: p.clipSkip, longPrompt: (LongPrompt(rawValue: p.longPrompt) ?? .cut).overflow,
      prediction: p.prediction.flatMap { PredictionType(rawValue: $0) })
    return Measured(
      maps: maps, picture: try folder.picture(verb.index), run: folder.url,
      about: "\(p.sampler), \(folder.manifest.timesteps.count) steps, seed \(p.seed &+ UInt64(verb.index))")
  }

  private func measured(
    _ model: StableDiffusion, _ latents: Tensor, _ others: [String], clipSkip: Int, longPrompt: PromptOverflow, prediction: PredictionType?
  ) throws -> InformationMaps {
    var prompts = try ([prompt.text, ""] + others).map { try model.tokenize($0, longPrompt: longPrompt, emphasis: prompt.emphasis) }
    TokenizedPrompt.equalizeChunks(&prompts)
    // As in the pipeline, clip skip does not reach the empty prompt.
    let conditions = try prompts.enumerated().map { i, prompt in try model.embedding(prompt, clipSkip: i == 1 ? 0 : clipSkip) }
    var bar = ProgressBar("information", total: verb.samples, quiet: verb.report.quiet)
    return try InformationMaps(
      model, latents: latents, conditions: conditions,
      contrasts: (1..<prompts.count).map { (given: 0, without: $0) }, samples: verb.samples, seed: verb.noiseSeed,
      prediction: prediction
    ) { _ in bar.advance() }
  }
}
