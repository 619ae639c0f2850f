import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Interpolate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Go from one prompt, seed or picture to another, frame by frame.",
    discussion: """
      The embeddings of neighbouring prompts are joined by a line, the noises of two seeds and the latents of two pictures by a great circle. With \
      --adaptive the frames are placed so that neighbours look equally different; the distance is the mean over scales of the RMS colour difference in \
      CIELAB. Steps that draw noise draw the same in every frame. Every frame is kept as a run, so that what was interrupted goes on. The paths of the \
      files go to standard output.

      Examples:
        sdlab interpolate --from "a red house" --to "a blue boat on the sea" --adaptive
        sdlab interpolate --path "a red house" "a red house at night" "a blue boat on the sea" --film way.png
        sdlab interpolate "a red house" --to-seed 7 --frames 12 --frames-out frames
        sdlab interpolate "a red house" --from-image a.png --to-image b.png --strength 0.4
        sdlab interpolate "a red house" "a blue boat" --from-image a.png --to-image b.png --invert --steps 50
      """)

  @Argument(help: "The first and the last prompt; the last may be left out with --to-seed or --to-image.")
  var prompts: [String] = []

  @Option(name: .customLong("from"), help: ArgumentHelp("The first prompt, in place of the first argument.", valueName: "prompt"))
  var first: String?

  @Option(name: .customLong("to"), help: ArgumentHelp("The last prompt, in place of the last argument.", valueName: "prompt"))
  var last: String?

  @Option(help: ArgumentHelp("A prompt between the first and the last; may be given several times.", valueName: "prompt"))
  var through: [String] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("All prompts of the way in order, in place of the arguments, --from, --through and --to.", valueName: "prompt"))
  var path: [String] = []

  @Option(help: ArgumentHelp("Seed of the last frame's noise. Default: that of the first.", valueName: "k"))
  var toSeed: UInt64?

  @Option(help: ArgumentHelp("The picture to begin with, PNG or JPEG, redone as far as --strength says.", valueName: "file"))
  var fromImage: String?

  @Option(help: ArgumentHelp("The picture to end with, of the size of the first.", valueName: "file"))
  var toImage: String?

  @Flag(
    help:
      "Take both pictures back to noise by DDIM inversion, each told the prompt of its end, and go between these. Sampler ddim, guidance 1 unless given."
  )
  var invert = false

  @Option(help: ArgumentHelp("How much of the pictures is redone, 0 to 1. Default: 0.5, with --invert 1.", valueName: "s"))
  var strength: Double?

  @Option(help: ArgumentHelp("Number of frames, 2 to 500. Default: 9, or as many more as show every prompt itself.", valueName: "n"))
  var frames: Int?

  @Option(help: ArgumentHelp("The way between the noises: slerp, or lerp brought back to unit variance.", valueName: "way"))
  var noise = Blending.slerp

  @Option(help: ArgumentHelp("The way between the prompts' embeddings: lerp or slerp.", valueName: "way"))
  var embedding = Blending.lerp

  @Option(help: ArgumentHelp("The way between the pictures' latents: slerp or lerp.", valueName: "way"))
  var latents = Blending.slerp

  @Flag(help: "Place the frames so that neighbours are equally far apart.")
  var adaptive = false

  @Option(help: ArgumentHelp("With --adaptive: how much distances may differ from their mean, above 0.", valueName: "share"))
  var tolerance = 0.15

  @Option(help: ArgumentHelp("With --adaptive: frames that may be made in all. Default: five times --frames.", valueName: "n"))
  var budget: Int?

  @Option(help: ArgumentHelp("Also write each frame to this existing folder, as 000.png and so on.", valueName: "dir"))
  var framesOut: String?

  @Option(help: ArgumentHelp("Also write the frames as an animated PNG, which browsers play.", valueName: "file.png"))
  var film: String?

  @Option(help: ArgumentHelp("Milliseconds that --film shows a frame, 10 to 10000.", valueName: "ms"))
  var frameTime = 120

  @Option(
    name: [.long, .customShort("W")],
    help: ArgumentHelp("Width in pixels. Default: that of --from-image, else what the model was trained at.", valueName: "pixels"))
  var width: Int?

  @Option(name: [.long, .customShort("H")], help: ArgumentHelp("Height in pixels, like --width.", valueName: "pixels"))
  var height: Int?

  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Output") var sheet: SheetOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let stations = try stations()
    let course = Course(stations: stations.count)
    let count = try frameCount(course)
    let most = adaptive ? budget ?? 5 * count : count
    let endings = try endings()
    try checkInversion()
    let files = try InterpolationFiles(self, stations[0], count)
    if !output.dryRun { try OutputFile.check(files.all, force: output.force) }

    let loading = ContinuousClock.now
    let loaded = try model.load(report)
    let load = seconds(.now - loading)
    var inputs = try RunInputs(initImage: nil, mask: nil, initLatents: nil)
    inputs.initImage = endings?.0
    let run = try PictureRun(
      loaded, parameters(loaded, stations[0], inputs), inputs, report: ReportOptions.quietly(report))
    _ = try run.indices()
    if output.dryRun {
      // An inversion goes to noise and back: as much as two frames.
      return try Estimate(run, load: load, kept: run.plan([])).times(most + (invert ? 4 : 0), load: load).print(
        files: files.all, json: report.json)
    }
    let store = runs.store
    let inversions =
      invert
      ? try endings.map { try InvertedEndings($0, run, (stations[0], stations.last ?? stations[0]), store, again: runs.again, report) }
      : nil
    let way = try InterpolationPath(
      run, prompts: stations, toSeed: toSeed, pictures: endings, inversions: inversions,
      ways: .init(noise: noise, embedding: embedding, latents: latents))
    way.warnings.forEach { report.warn("\($0); --long-prompt chunk keeps it") }
    var bar = ProgressBar("interpolating", total: count, quiet: report.quiet)
    var computed = 0
    let spacing = try AdaptiveSpacing<InterpolationFrame>(
      // Without --adaptive every spacing is even enough.
      count: count, tolerance: adaptive ? tolerance : .greatestFiniteMagnitude, budget: most,
      frames: { places in
        try places.map { t in
          defer { bar.advance() }
          let (folder, found) = try way.frame(t, store, again: runs.again)
          if !found { computed += 1 }
          return InterpolationFrame(run: folder, picture: try folder.picture(0))
        }
      }, distance: { try PictureDistance.between($0.picture, $1.picture) })
    if adaptive, !spacing.isEven {
      report.warn(
        "the distances differ by more than \(tolerance): the largest is \(decimal(spacing.unevenness, 2)) times the mean after \(spacing.made) frames; "
          + "the path has a jump there, or --budget is too small")
    }
    try files.write(self, spacing, stations, loaded)
    if report.json {
      try StandardOutput.json(InterpolationReport(self, spacing, course, files, inversions, computed: computed))
    } else {
      for file in files.all { try StandardOutput.line(file.relativePath) }
    }
  }

  /// The prompts of the way, at least one.
  private func stations() throws -> [String] {
    if !path.isEmpty {
      guard prompts.isEmpty, first == nil, last == nil, through.isEmpty else {
        throw InputError(.usage, "--path gives all prompts: other prompts beside it have no place", hint: "leave one of the two out")
      }
      return path
    }
    let ends = (first.map { [$0] } ?? []) + prompts + (last.map { [$0] } ?? [])
    guard let begin = ends.first, first != nil || !prompts.isEmpty else {
      throw InputError(.usage, "there is no prompt", hint: "give the first and the last prompt, --from and --to, or --path")
    }
    guard ends.count <= 2 else {
      throw InputError(
        .usage, "\(ends.count) prompts beside --through: expected two ends in all", hint: "--path takes as many prompts as you like")
    }
    if ends.count == 2 { return [begin] + through + [ends[1]] }
    guard through.isEmpty else {
      throw InputError(.usage, "--through: there is no last prompt", hint: "give it with --to")
    }
    return [begin]
  }

  private func frameCount(_ course: Course) throws -> Int {
    if course.legs == 0, toSeed == nil || toSeed == sampling.seed, fromImage == nil {
      throw InputError(.usage, "there is nowhere to go", hint: "give a second prompt, another seed with --to-seed, or two pictures")
    }
    if let frames {
      guard (2...500).contains(frames) else { throw InputError(.usage, "--frames \(frames): expected 2 to 500") }
      if !adaptive, !course.isHit(byFrames: frames) {
        report.warn(
          "with \(frames) frames not every prompt of the way is shown itself: \(course.frames(atLeast: frames)) frames show all")
      }
    }
    let count = frames ?? course.frames(atLeast: 9)
    guard count <= 500 else { throw InputError(.usage, "a way through \(course.stations) prompts: expected at most 500") }
    guard tolerance > 0, tolerance.isFinite else { throw InputError(.usage, "--tolerance \(tolerance): expected a number above 0") }
    if let budget, budget < count { throw InputError(.usage, "--budget \(budget): expected at least --frames, \(count)") }
    if budget != nil, !adaptive { report.warn("--budget does nothing without --adaptive") }
    guard (10...10_000).contains(frameTime) else { throw InputError(.usage, "--frame-time \(frameTime): expected 10 to 10000") }
    return count
  }

  /// The pictures at the ends, read and of one size.
  private func endings() throws -> (RunInputs.Input<Picture>, RunInputs.Input<Picture>)? {
    guard let fromImage, let toImage else {
      if fromImage != nil || toImage != nil {
        throw InputError(.usage, "one picture is no way", hint: "give --from-image and --to-image")
      }
      if strength != nil { report.warn("--strength does nothing without --from-image and --to-image") }
      return nil
    }
    func read(_ path: String) throws -> RunInputs.Input<Picture> {
      guard let input = try RunInputs(initImage: path, mask: nil, initLatents: nil).initImage else {
        throw InputError(.missing, "\(path): cannot be read")
      }
      return input
    }
    let (a, b) = (try read(fromImage), try read(toImage))
    if width == nil || height == nil, a.content.width != b.content.width || a.content.height != b.content.height {
      throw InputError(
        .usage,
        "\(toImage): \(b.content.width)x\(b.content.height) pixels, \(fromImage) has \(a.content.width)x\(a.content.height)",
        hint: "--width and --height resize both")
    }
    return (a, b)
  }

  private func checkInversion() throws {
    guard invert else { return }
    guard fromImage != nil else {
      throw InputError(.usage, "--invert: there are no pictures to invert", hint: "give --from-image and --to-image")
    }
    if let other = sampling.chosenSampler, other != .ddim {
      throw InputError(.usage, "--sampler \(other.rawValue): an inversion undoes the steps of ddim", hint: "leave --sampler out")
    }
    guard sampling.eta == 0 else { throw InputError(.usage, "--eta: ddim is inverted without fresh noise", hint: "leave --eta out") }
    guard toSeed == nil else { throw InputError(.usage, "--to-seed: with --invert no noise is drawn", hint: "leave --to-seed out") }
    guard strength.map({ $0 > 0 }) ?? true else {
      throw InputError(.usage, "--strength \(strength ?? 0): expected more than 0: there would be nothing to invert")
    }
  }

  private func parameters(_ loaded: StableDiffusion, _ prompt: String, _ inputs: RunInputs) throws -> GenerationParameters {
    let size = try inputs.size(width: width, height: height, loaded.vae.config, native: loaded.nativeSize)
    var p = GenerationParameters(
      sdlabVersion: Sdlab.version, prompt: prompt, width: size.width, height: size.height,
      model: .init(name: model.recordedName(loaded.source)))
    sampling.apply(to: &p)
    model.apply(to: &p, loaded.source)
    p.initImage = inputs.initImage?.source
    p.strength = inputs.initImage == nil ? nil : strength ?? (invert ? 1 : 0.5)
    if invert { (p.sampler, p.guidance) = (SamplerName.ddim.rawValue, sampling.chosenGuidance ?? 1) }
    return p
  }
}

/// One frame: its run and what it shows.
struct InterpolationFrame {
  let run: RunFolder
  let picture: Picture
}
