import Analysis
import Engine
import Foundation
import Plots

/// What `explore` found out: its passes, each a run in the store, and the sections of the report. A file a section.
struct ExploreStudy {
  let run: PictureRun
  let plan: ExplorePlan
  let store: RunStore
  let again: Bool
  /// The other end of the way between two prompts.
  let other: String
  /// The picture's own run, with captures.
  let view: RunView
  var prompt: TokenizedPrompt { view.prompt }
  var base: RunFolder { view.folder }
  var picture: Picture { view.picture }
  /// Seconds of each part.
  var timings: [(String, Double)] = []
  /// Passes made or found, for the section on how to make it again.
  var passes: [RunFolder] = []
  private var bar: ProgressBar

  init(_ run: PictureRun, _ plan: ExplorePlan, other: String?, store: RunStore, again: Bool) throws {
    (self.run, self.plan, self.store, self.again) = (run, plan, store, again)
    let prompt = try run.model.tokenize(run.request.prompt, longPrompt: run.request.longPrompt, emphasis: run.request.emphasis)
    self.other = other ?? (plan.hasReference ? "a blue boat on the sea" : "")
    let level = CrossAttentionRecorder(model: run.model, latents: run.latentSize).level
    let total = try run.indices().count
    let looks = Array(Set([0, total / 4, total / 2, total * 3 / 4, total - 1].filter { (0..<total).contains($0) })).sorted()
    let probe = try run.plan([CaptureSpec("unet.*.attn1.probs", reduce: .heads), CaptureSpec("unet.up_blocks.*.resnets.*.out")])
    let selfSites = probe.entries.filter { $0.site.hasSuffix(".probs") && $0.shape[3] == level.count && level.count <= 1024 }.map(\.site)
    let featureSite = probe.entries.first { $0.site.contains("resnets") && $0.shape[2] == level.height && $0.shape[3] == level.width }?.site
    var captures = [CaptureSpec("unet.*.attn2.probs"), CaptureSpec("unet.*.attn2.q")]
    captures += selfSites.map { CaptureSpec($0, reduce: .heads, steps: looks) }
    if let featureSite { captures.append(CaptureSpec(featureSite, steps: looks)) }
    captures.append(CaptureSpec("unet.mid_block.out", reduce: .pixels))
    // Where words are written: for models of which it is known in which layers to look; elsewhere it would only take room.
    if plan.hasReference { captures += [CaptureSpec("unet.*.attn2.contribution"), CaptureSpec("unet.*.attn2.out")] }
    bar = ProgressBar("exploring", total: plan.passes, quiet: run.report.quiet)
    var bar = bar
    var done = 0
    let begin = ContinuousClock.now
    let base = try run.trace(store, captures, again: again) { step, _ in
      bar.advance(by: step - done)
      done = step
    }
    self.bar = bar
    let model = run.model
    view = try RunView(base, image: 0, prompt: prompt, levels: model.unet.config.blockOutChannels.count) {
      Picture(try model.decode($0))
    }
    passes = [base]
    timings = [("the picture, with captures", seconds(.now - begin))]
  }

  /// A further pass: taken from the store when it is there.
  /// - Parameter latents: noise `[1, h, w, c]` in place of the seed's own; the steps' noise stays the seed's.
  mutating func pass(
    seed: UInt64? = nil, latents: Tensor? = nil, captures: [CaptureSpec] = [], intervention: Tracer.Intervention = .init()
  ) throws -> RunFolder {
    var parameters = run.parameters
    parameters.seed = seed ?? parameters.seed
    let inputs = try RunInputs(initImage: nil, mask: nil, initLatents: nil)
    let part = try PictureRun(run.model, parameters, inputs, report: .quietly(run.report))
    var intervention = intervention
    if let latents { intervention.begin = { $0.plan.initialLatents(latents) } }
    var done = 0
    var bar = bar
    let folder = try part.trace(store, captures, intervention: intervention, again: again) { step, _ in
      bar.advance(by: step - done)
      done = step
    }
    self.bar = bar
    passes.append(folder)
    return folder
  }

  /// Times a part of the work.
  mutating func timed<T>(_ name: String, _ body: (inout ExploreStudy) throws -> T) rethrows -> T {
    let begin = ContinuousClock.now
    let out = try body(&self)
    timings.append((name, seconds(.now - begin)))
    return out
  }

  mutating func sections() throws -> [Report.Section] {
    do {
      let film = try timed("film") { try $0.view.filmSection() }
      // What each word does decides which maps to believe.
      let causes = try timed("knock-outs") { try $0.causes() }
      let words = try timed("word maps") { try $0.view.wordSection(causes) }
      let look = try timed("self-attention") { try $0.view.selfAttentionSection() }
      let place = try timed("projections") { try $0.placeSection() }
      let between = try timed("interpolation") { try $0.betweenSection() }
      let effects = try timed("drawing") { try $0.view.causeSection(causes) }
      return try [film, words, look, place, between, effects, againSection()]
    } catch let error as PlotError {
      throw InputError(.cannotWrite, "the report cannot be drawn: \(error.description)")
    }
  }

  func figure(_ figure: Figure, caption: String, alt: String) throws -> Report.Figure {
    try Report.figure(figure, caption: caption, alt: alt)
  }
}

/// A map as a picture, for grids: values from `low` to `high` in the colours of a palette, each cell magnified.
func colouredMap(_ values: [Float], _ size: MapSize, _ palette: Palette, _ range: ClosedRange<Float>, magnified factor: Int) throws
  -> RGBImage
{
  let (width, height) = (size.width * factor, size.height * factor)
  var pixels = [UInt8](repeating: 0, count: 3 * width * height)
  let span = max(range.upperBound - range.lowerBound, 1e-12)
  for y in 0..<height {
    for x in 0..<width {
      let v = (values[y / factor * size.width + x / factor] - range.lowerBound) / span
      let entry = Int(max(0, min(255, v * 256)))
      for c in 0..<3 { pixels[3 * (y * width + x) + c] = palette.bytes[3 * entry + c] }
    }
  }
  return try RGBImage(width: width, height: height, pixels: pixels)
}
