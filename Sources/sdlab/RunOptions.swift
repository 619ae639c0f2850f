import Analysis
import ArgumentParser
import Engine
import Foundation

/// Where runs are kept.
struct StoreOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The folder that holds the runs. Default: SDLAB_RUNS, or runs in the working folder.", valueName: "dir"))
  var runs: String?

  var store: RunStore {
    let path = runs ?? ProcessInfo.processInfo.environment["SDLAB_RUNS"].flatMap { $0.isEmpty ? nil : $0 } ?? "runs"
    return RunStore(URL(fileURLWithPath: path))
  }
}

/// Where runs are kept, for verbs that make them.
struct RunOptions: ParsableArguments {
  @OptionGroup var kept: StoreOptions

  @Flag(help: "Make the run again even when it is there.")
  var again = false

  var store: RunStore { kept.store }
}

extension PictureRun {
  /// A prompt with all of `generate`'s options, the model loaded and everything checked.
  /// - Returns: the run, and the seconds that loading took.
  static func prepare(
    _ prompt: String, _ model: ModelOptions, _ sampling: SamplingOptions, _ picture: PictureOptions, _ report: ReportOptions,
    inputs: RunInputs? = nil, loaded: StableDiffusion? = nil
  ) throws -> (run: PictureRun, load: Double) {
    let inputs = try inputs ?? picture.inputs()
    let loading = ContinuousClock.now
    let loaded = try loaded ?? model.load(report)
    let (width, height) = try inputs.size(
      width: picture.width, height: picture.height, loaded.vae.config, native: loaded.nativeSize)
    var parameters = GenerationParameters(
      sdlabVersion: Sdlab.version, prompt: prompt, width: width, height: height, model: .init(name: model.recordedName(loaded.source)))
    sampling.apply(to: &parameters)
    model.apply(to: &parameters, loaded.source)
    picture.apply(to: &parameters, inputs, count: picture.count ?? inputs.initLatents?.content.shape[0] ?? 1)
    try inputs.inversion?.apply(to: &parameters, sampling, loaded.source, quiet: report.quiet)
    warn(picture, sampling, inputs, report)
    return (try PictureRun(loaded, parameters, inputs, report: report), seconds(.now - loading))
  }

  /// An existing picture with a prompt, read as the first picture of a run that is not made.
  /// - Returns: the run, and the picture `[1, h, w, 3]` in -1...1 at the size that the model takes.
  static func prepare(
    lookingAt image: String, _ prompt: String, _ model: ModelOptions, _ sampling: SamplingOptions, _ picture: PictureOptions,
    _ report: ReportOptions
  ) throws -> (run: PictureRun, pixels: Tensor) {
    var options = picture
    options.initImage = image
    options.strength = nil
    let (run, _) = try prepare(prompt, model, sampling, options, report)
    guard let pixels = run.request.initialImage else { throw InputError(.missing, "\(image): cannot be read") }
    return (run, pixels)
  }

  /// Options that do nothing are more likely a mistake than a wish.
  private static func warn(_ picture: PictureOptions, _ sampling: SamplingOptions, _ inputs: RunInputs, _ report: ReportOptions) {
    if picture.strength != nil, inputs.initImage == nil { report.warn("--strength does nothing without --init-image") }
    if sampling.eta != 0, sampling.sampler != .ddim {
      report.warn("--eta does nothing with \(sampling.sampler.rawValue): only ddim has it")
    }
    if !sampling.negative.isEmpty, sampling.guidance <= 1 { report.warn("--negative does nothing with a guidance of 1 or below") }
  }

  /// Makes the run with captures and keeps it, or takes it from the store when it is there.
  func trace(
    _ store: RunStore, _ captures: [CaptureSpec], intervention: Tracer.Intervention = .init(), again: Bool = false,
    progress: ((Int, Int) -> Void)? = nil
  ) throws -> RunFolder {
    try warnAboutPrompts()
    let recorded = try recorded()
    var bar = progress == nil ? ProgressBar("sampling", total: try indices().count, quiet: report.quiet) : nil
    var tracer = Tracer(model, store: store, command: CommandLine.commandLine)
    tracer.tiling = tiling
    var done = 0
    tracer.progress = { step, total in
      progress?(step, total)
      bar?.advance(by: step - done)
      done = step
    }
    do { try FileManager.default.createDirectory(at: store.root, withIntermediateDirectories: true) } catch {
      throw InputError(.cannotWrite, "\(store.root.relativePath): cannot be made: \(error.localizedDescription)", hint: "give --runs")
    }
    let isThere = try !again && store.find(RunSpec(recorded, captures: captures, intervention: intervention.name)) != nil
    let folder = try tracer.run(request, recorded, captures: captures, intervention: intervention, again: again)
    for (i, verdict) in (folder.manifest.safety ?? []).enumerated() where !isThere {
      report.warn(verdict, of: "seed \(recorded.seed &+ UInt64(i))")
    }
    if !isThere { GenerationLog.record(folder.url, digest: folder.manifestSha256, recorded, report) }
    return folder
  }
}

extension PictureRun {
  /// The run when it is in the store: nothing is computed.
  func kept(_ store: RunStore, _ captures: [CaptureSpec] = [], intervention: [String: String] = [:]) throws -> RunFolder? {
    try store.find(RunSpec(recorded(), captures: captures, intervention: intervention))
  }

  /// The parameters with the model's digest, as a run of the store has them: all images at the same time.
  func recorded() throws -> GenerationParameters {
    var recorded = parameters
    recorded.batch = request.count
    recorded.model.sha256 = try ModelDigest.of(model.source, quiet: report.quiet)
    return recorded
  }
}

extension CommandLine {
  /// The command as a person could type it again.
  static var commandLine: String {
    (["sdlab"] + arguments.dropFirst()).map { argument in
      let plain = argument.allSatisfy { $0.isLetter || $0.isNumber || "-_./=:,+@%".contains($0) }
      return plain && !argument.isEmpty ? argument : "'" + argument.replacing("'", with: "'\\''") + "'"
    }.joined(separator: " ")
  }
}
