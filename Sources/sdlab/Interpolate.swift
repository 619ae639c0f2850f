import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Interpolate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Go from one prompt, or one seed, to another, frame by frame.",
    discussion: """
      The embeddings of the two prompts are joined by a line, the noises of the two seeds by a great circle. With --adaptive the frames are placed so that \
      neighbours look equally different; the distance is the mean over scales of the RMS colour difference in CIELAB. Steps that draw noise draw the same \
      in every frame. The paths of the files go to standard output.

      Examples:
        sdlab interpolate --from "a red house" --to "a blue boat on the sea" --adaptive
        sdlab interpolate "a red house" --to-seed 7 --frames 12 --frames-out frames
      """)

  @Argument(help: "The first and the last prompt; the last may be left out with --to-seed.")
  var prompts: [String] = []

  @Option(name: .customLong("from"), help: ArgumentHelp("The first prompt, in place of the first argument.", valueName: "prompt"))
  var first: String?

  @Option(name: .customLong("to"), help: ArgumentHelp("The last prompt, in place of the last argument.", valueName: "prompt"))
  var last: String?

  private var from: String { first ?? prompts.first ?? "" }
  private var to: String? { last ?? (first == nil ? prompts.dropFirst().first : prompts.first) }

  @Option(help: ArgumentHelp("Seed of the last frame's noise. Default: that of the first.", valueName: "k"))
  var toSeed: UInt64?

  @Option(help: ArgumentHelp("Number of frames, 2 to 500.", valueName: "n"))
  var frames = 9

  @Option(help: ArgumentHelp("The way between the noises: slerp, or lerp brought back to unit variance.", valueName: "way"))
  var noise = Blending.slerp

  @Option(help: ArgumentHelp("The way between the prompts' embeddings: lerp or slerp.", valueName: "way"))
  var embedding = Blending.lerp

  @Flag(help: "Place the frames so that neighbours are equally far apart.")
  var adaptive = false

  @Option(help: ArgumentHelp("With --adaptive: how much distances may differ from their mean, above 0.", valueName: "share"))
  var tolerance = 0.15

  @Option(help: ArgumentHelp("With --adaptive: frames that may be made in all. Default: five times --frames.", valueName: "n"))
  var budget: Int?

  @Option(help: ArgumentHelp("Also write each frame to this existing folder, as 000.png and so on.", valueName: "dir"))
  var framesOut: String?

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    guard first != nil || !prompts.isEmpty else {
      throw InputError(.usage, "there is no prompt", hint: "give the first and the last prompt, or --from and --to")
    }
    guard prompts.count + (first == nil ? 0 : 1) + (last == nil ? 0 : 1) <= 2 else {
      throw InputError(.usage, "\(prompts.count) prompts beside --from and --to: expected two ends in all")
    }
    guard to != nil || toSeed != nil else {
      throw InputError(.usage, "there is nowhere to go", hint: "give a second prompt, --to-seed, or both")
    }
    guard (2...500).contains(frames) else { throw InputError(.usage, "--frames \(frames): expected 2 to 500") }
    guard tolerance > 0, tolerance.isFinite else { throw InputError(.usage, "--tolerance \(tolerance): expected a number above 0") }
    if let budget, budget < frames { throw InputError(.usage, "--budget \(budget): expected at least --frames, \(frames)") }
    if budget != nil, !adaptive { report.warn("--budget does nothing without --adaptive") }
    let url = try OutputFile.picture(output.output, default: "interpolation-\(OutputFile.slug(from))-\(sampling.seed).png")
    let folder = framesOut.map { URL(fileURLWithPath: $0, isDirectory: true) }
    let frameFiles = folder.map { folder in
      (0..<frames).map { folder.appendingPathComponent(String(repeating: "0", count: max(0, 3 - "\($0)".count)) + "\($0).png") }
    }
    let files = [url] + (frameFiles ?? [])
    if !output.dryRun { try OutputFile.check(files, force: output.force) }

    let loading = ContinuousClock.now
    let loaded = try model.load(report)
    let load = seconds(.now - loading)
    let run = try PictureRun(
      loaded, parameters(loaded), RunInputs(initImage: nil, mask: nil, initLatents: nil), report: ReportOptions.quietly(report))
    let most = adaptive ? budget ?? 5 * frames : frames
    if output.dryRun {
      return try Estimate(run, load: load, latents: false).times(most, load: load).print(files: files, json: report.json)
    }
    let path = try InterpolationPath(
      run, to: to ?? from, toSeed: toSeed, noise: noise, embedding: embedding)
    path.warnings.forEach { report.warn("\($0); --long-prompt chunk keeps it") }
    var bar = ProgressBar("interpolating", total: frames, quiet: report.quiet)
    let spacing = try AdaptiveSpacing(
      // Without --adaptive every spacing is even enough.
      count: frames, tolerance: adaptive ? tolerance : .greatestFiniteMagnitude, budget: most,
      frames: { places in
        try places.map { t in
          defer { bar.advance() }
          return try path.picture(t)
        }
      }, distance: PictureDistance.between)
    if adaptive, !spacing.isEven {
      report.warn(
        "the distances differ by more than \(tolerance): the largest is \(decimal(spacing.unevenness, 2)) times the mean after \(spacing.made) frames; "
          + "the path has a jump there, or --budget is too small")
    }
    if let frameFiles {
      var metadata = PictureMetadata()
      try metadata.addOrigin(sdlabVersion: Sdlab.version)
      for (file, frame) in zip(frameFiles, spacing.frames) { try frame.writePNG(to: file, metadata: metadata) }
    }
    try sheet(spacing, loaded).write(to: url)
    if report.json {
      try StandardOutput.json(Report(self, spacing, sheet: url.relativePath, frames: frameFiles?.map(\.relativePath)))
    } else {
      for file in files { try StandardOutput.line(file.relativePath) }
    }
  }

  private func parameters(_ loaded: StableDiffusion) -> GenerationParameters {
    let native = loaded.nativeSize
    var p = GenerationParameters(
      sdlabVersion: Sdlab.version, prompt: from, width: native.width, height: native.height,
      model: .init(name: model.recordedName(loaded.source)))
    sampling.apply(to: &p)
    model.apply(to: &p)
    return p
  }

  private func sheet(_ spacing: AdaptiveSpacing<Picture>, _ loaded: StableDiffusion) throws -> ContactSheet {
    let tiles = try zip(spacing.positions, spacing.frames).map { t, frame -> ContactSheet.Tile? in
      try ContactSheet.Tile(frame, caption: "t = \(decimal(t, 3))")
    }
    let columns = frames <= 6 ? frames : frames <= 15 ? (frames + 2) / 3 : 6
    let rows = stride(from: 0, to: tiles.count, by: columns).map { Array(tiles[$0..<min($0 + columns, tiles.count)]) }
    let seeds = toSeed.map { "seed \(sampling.seed) to \($0) (\(noise.rawValue))" } ?? "seed \(sampling.seed)"
    let range = "distances \(decimal(spacing.distances.min() ?? 0, 1)) to \(decimal(spacing.distances.max() ?? 0, 1))"
    return ContactSheet(
      rows: rows, title: to.map { "\(from) → \($0)" } ?? from,
      subtitle: [
        loaded.source.displayName, sampling.sampler.rawValue, "\(sampling.steps) steps", seeds, adaptive ? "adaptive" : "even t", range,
      ].joined(separator: ", "))
  }

  private struct Report: Encodable {
    struct Knot: Encodable {
      let t: Double
      let travelled: Double
    }
    let sheet: String
    let frames: [String]?
    let positions: [Double]
    let distances: [Double]
    let curve: [Knot]
    let made: Int
    let even: Bool?
    let noise: String
    let embedding: String

    init(_ verb: Interpolate, _ spacing: AdaptiveSpacing<Picture>, sheet: String, frames: [String]?) {
      self.sheet = sheet
      self.frames = frames
      positions = spacing.positions
      distances = spacing.distances
      curve = spacing.curve.map { Knot(t: $0.position, travelled: $0.travelled) }
      made = spacing.made
      even = verb.adaptive ? spacing.isEven : nil
      noise = verb.noise.rawValue
      embedding = verb.embedding.rawValue
    }
  }
}

/// What lies between two prompts and two draws of noise.
struct InterpolationPath {
  private let run: PictureRun
  private let ends: [Conditioning]
  private let noises: (Tensor, Tensor)?
  private let ways: (noise: Blending, embedding: Blending)

  var warnings: [String] { ends.flatMap(\.warnings) }

  init(_ run: PictureRun, to prompt: String, toSeed: UInt64?, noise: Blending, embedding: Blending) throws {
    self.run = run
    ways = (noise, embedding)
    let (model, request) = (run.model, run.request)
    ends = try model.conditionings([request.prompt, prompt], request)
    let factor = model.vae.config.factor
    let shape: Shape = [1, run.parameters.height / factor, run.parameters.width / factor, model.vae.config.latentChannels]
    func draw(_ seed: UInt64) -> Tensor {
      switch request.randomNumbers {
      case .cpu:
        var random = TorchRandom(seed: seed)
        return random.normal(nhwc: shape)
      case .cuda:
        var random = PhiloxRandom(seed: seed)
        return random.normal(nhwc: shape)
      }
    }
    noises = toSeed.map { (draw(request.seed), draw($0)) }
  }

  func picture(_ t: Double) throws -> Picture {
    var request = run.request
    if let (a, b) = noises {
      request.initialLatents = try ways.noise.noise(a, b, t)
      // The steps' noise must not be the initial noise drawn a second time.
      request.seed = request.seed &+ 1 << 32
    }
    let denoising = try run.model.denoising(request, conditioning: ways.embedding.conditioning(ends[0], ends[1], t))
    while try denoising.next() != nil {}
    return Picture(try run.model.decode(denoising.latents, tiling: run.tiling))
  }
}

extension Blending: ExpressibleByArgument {}
