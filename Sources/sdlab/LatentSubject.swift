import Analysis
import Engine
import Foundation

/// A picture's latents with the prompt that tells it: of a stored run, of a run made now, or of an existing picture. For verbs that noise the latents
/// themselves.
struct LatentSubject {
  let prompt: TokenizedPrompt
  private let index: Int
  private let runs: RunOptions
  private let report: ReportOptions
  private let origin: Origin

  private enum Origin {
    case stored(RunFolder, ModelSource)
    case prompt(PictureRun)
    case existing(PictureRun, pixels: Tensor)
  }

  /// Everything there is to know, the model loaded and the run made.
  struct Resolved {
    let model: StableDiffusion
    /// `[1, h, w, c]`
    let latents: Tensor
    let picture: Picture
    let run: URL?
    /// For the subtitle.
    let about: String
    let clipSkip: Int
    let longPrompt: PromptOverflow
    let emphasis: PromptEmphasis
    /// nil for the model's own setting.
    let prediction: PredictionType?
  }

  /// - Parameters:
  ///   - subject: a run's folder or name, or a prompt.
  ///   - image: an existing picture, which the subject describes.
  ///   - index: which image of a run with several.
  /// - Throws: `InputError` before anything long is computed.
  init(
    _ subject: String, image: String?, index: Int, _ runs: RunOptions, _ model: ModelOptions, _ sampling: SamplingOptions,
    _ picture: PictureOptions, _ report: ReportOptions
  ) throws {
    (self.index, self.runs, self.report) = (index, runs, report)
    func check(_ count: Int) throws {
      guard (0..<count).contains(index) else { throw InputError(.usage, "--index \(index): the run has \(count) images") }
    }
    if image == nil, runs.store.names(subject) {
      let folder = try runs.store.open(subject)
      try check(folder.manifest.spec.parameters.count)
      let source = try folder.source(model, quiet: report.quiet)
      prompt = try folder.prompt(source)
      origin = .stored(folder, source)
    } else if let image {
      guard picture.initImage == nil else { throw InputError(.usage, "--image and --init-image: expected one of them") }
      let (run, pixels) = try PictureRun.prepare(lookingAt: image, subject, model, sampling, picture, report)
      prompt = try run.model.tokenize(run.request.prompt, longPrompt: run.request.longPrompt, emphasis: run.request.emphasis)
      origin = .existing(run, pixels: pixels)
    } else {
      let (run, _) = try PictureRun.prepare(subject, model, sampling, picture, report)
      prompt = try run.model.tokenize(run.request.prompt, longPrompt: run.request.longPrompt, emphasis: run.request.emphasis)
      try check(run.request.count)
      origin = .prompt(run)
    }
  }

  func resolved() throws -> Resolved {
    switch origin {
    case .stored(let folder, let source): return try resolved(folder, ModelOptions.load(source, report))
    case .prompt(let run): return try resolved(run.trace(runs.store, [], again: runs.again), run.model)
    case .existing(let run, let pixels):
      return Resolved(
        model: run.model, latents: try run.model.encode(pixels, tiling: run.tiling), picture: Picture(pixels), run: nil,
        about: "an existing picture", clipSkip: run.request.clipSkip, longPrompt: run.request.longPrompt, emphasis: prompt.emphasis,
        prediction: run.request.samplerOptions.prediction)
    }
  }

  private func resolved(_ folder: RunFolder, _ model: StableDiffusion) throws -> Resolved {
    let p = folder.manifest.spec.parameters
    return Resolved(
      model: model, latents: try folder.finalLatents().slice(index..<index + 1), picture: try folder.picture(index), run: folder.url,
      about: "\(p.sampler), \(folder.manifest.timesteps.count) steps, seed \(p.seed &+ UInt64(index))", clipSkip: p.clipSkip,
      longPrompt: (LongPrompt(rawValue: p.longPrompt) ?? .cut).overflow, emphasis: prompt.emphasis,
      prediction: p.prediction.flatMap { PredictionType(rawValue: $0) })
  }
}
