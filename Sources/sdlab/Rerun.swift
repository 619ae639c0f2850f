import ArgumentParser
import Engine
import Foundation

struct Rerun: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a picture again from the parameters that it carries.",
    discussion: """
      A picture of sdlab's comes out the same, bit for bit on the same machine with the same number of threads. The model and the pictures that \
      it began with must be the ones it was made with: their SHA-256 is compared. Pictures of A1111, stable-diffusion.cpp and ComfyUI are made \
      again as far as their parameters go.

      Example:
        sdlab rerun a-red-house-at-night-42.png -o again.png
      """)

  @Argument(help: ArgumentHelp("The picture, with its metadata.", valueName: "image"))
  var image: String

  @OptionGroup(title: "Model, where it is now") var model: ModelOptions

  @Option(help: ArgumentHelp("Where the picture that it began with is now. Default: where it was.", valueName: "file"))
  var initImage: String?

  @Option(help: ArgumentHelp("Where the mask is now.", valueName: "file"))
  var mask: String?

  @Option(help: ArgumentHelp("Where the latents that it began with are now.", valueName: "file.safetensors"))
  var initLatents: String?

  @Option(help: ArgumentHelp("Where the inversion that it went on from is now, a run or a file.", valueName: "run|file"))
  var inversion: String?

  @OptionGroup(title: "Runs") var runs: StoreOptions
  @OptionGroup(title: "Output") var output: OutputOptions

  @Option(help: ArgumentHelp("Also write the final latents to this safetensors file.", valueName: "file.safetensors"))
  var latentsOut: String?

  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let origin = try ImageMetadata.read(url: URL(fileURLWithPath: image)).origin(name: image)
    var parameters: GenerationParameters
    switch origin {
    case nil:
      throw InputError(.badData, "\(image): does not say how it was made", hint: "`sdlab inspect` shows what it says")
    case .sdlab(let own):
      if let change = own.intervention?.sorted(by: { $0.key < $1.key }).first {
        throw InputError(
          .badData,
          "\(image): its run was changed while it was made (\(change.key): \(change.value)): parameters alone do not make it again",
          hint: "the manifest.json beside it has the command that does")
      }
      parameters = own
    case .foreign(let foreign): parameters = try adopt(foreign)
    }
    let stem = URL(fileURLWithPath: image).deletingPathExtension().lastPathComponent
    let files = try PictureFiles(
      output: output.output, defaultStem: "\(stem)-rerun", numbers: [""], defaultName: "\(stem)-rerun", latents: latentsOut)
    if !output.dryRun { try files.check(force: output.force) }

    let inputs = try inputs(parameters)
    let loading = ContinuousClock.now
    let options = model.completed(by: parameters)
    let source = try options.source()
    try check(source, parameters, options)
    let loaded = try ModelOptions.load(source, report)
    if parameters.width == 0 {
      let native = loaded.nativeSize
      (parameters.width, parameters.height) = try inputs.size(width: nil, height: nil, loaded.vae.config, native: native)
    }
    let run = try PictureRun(loaded, parameters, inputs, report: report)
    if output.dryRun {
      return try Estimate(run, load: seconds(.now - loading), latents: latentsOut != nil).print(files: files.all, json: report.json)
    }
    try files.write(run, parameters.index..<parameters.index + 1)
    if !report.quiet { compare(with: files.pictures[0]) }
  }

  // MARK: - Where things are now

  private func check(_ source: ModelSource, _ p: GenerationParameters, _ options: ModelOptions) throws {
    guard let expected = p.model.sha256 else { return }
    let found = try ModelDigest.of(source, quiet: report.quiet)
    // A1111 gives the first 10 digits.
    guard !expected.isEmpty, found.hasPrefix(expected.lowercased()) else {
      throw InputError(
        .badData,
        "\(image): made with another model: \(p.model.name) had SHA-256 \(expected.prefix(16)), \(options.recordedName(source)) has \(found.prefix(16))",
        hint: "give the model it was made with: --model")
    }
  }

  private func inputs(_ p: GenerationParameters) throws -> RunInputs {
    var inputs = try RunInputs(
      initImage: p.initImage.map { initImage ?? $0.name }, mask: p.mask.map { mask ?? $0.name },
      initLatents: p.initLatents.map { initLatents ?? $0.name })
    func check(_ option: String, _ was: GenerationParameters.Source?, _ now: GenerationParameters.Source?) throws {
      guard let was, let now, let expected = was.sha256, let found = now.sha256, expected != found else { return }
      throw InputError(
        .badData,
        "\(now.name): is another file than the one that \(image) began with: SHA-256 \(expected.prefix(16)) expected, \(found.prefix(16)) found",
        hint: "give the original with --\(option)")
    }
    try check("init-image", p.initImage, inputs.initImage?.source)
    try check("mask", p.mask, inputs.mask?.source)
    try check("init-latents", p.initLatents, inputs.initLatents?.source)
    inputs.inversion = try p.inversion.map { try RunInputs.Inverted(inversion ?? $0.name, skip: p.skip, store: runs.store) }
    try check("inversion", p.inversion, inputs.inversion?.source)
    return inputs
  }

  // MARK: - Other programs' pictures

  /// Another program's parameters as ours. What it does not say takes our defaults; what we cannot follow is said.
  private func adopt(_ f: ForeignParameters) throws -> GenerationParameters {
    guard let prompt = f.prompt else { throw InputError(.badData, "\(image): \(f.program.rawValue)'s metadata holds no prompt") }
    guard let model = model.model else {
      let name = f.modelName.map { " '\($0)'" } ?? ""
      throw InputError(
        .usage, "\(image): made by \(f.program.rawValue) with a model\(name) that is not known here", hint: "give it with --model")
    }
    guard let sampler = f.sampler else {
      throw InputError(
        .badData, "\(image): \(f.notes.first ?? "\(f.program.rawValue)'s metadata holds no sampler")",
        hint: "use `sdlab generate` with a sampler of ours")
    }
    f.notes.forEach(report.warn)
    var p = GenerationParameters(
      sdlabVersion: Sdlab.version, prompt: prompt, width: f.width ?? 0, height: f.width == nil ? 0 : f.height ?? 0,
      model: .init(name: model, sha256: f.modelHash))
    p.negativePrompt = f.negativePrompt ?? ""
    p.sampler = sampler
    p.karras = f.karras
    p.steps = f.steps ?? p.steps
    p.guidance = f.guidance ?? p.guidance
    p.seed = f.seed ?? p.seed
    p.eta = f.eta ?? p.eta
    p.clipSkip = f.clipSkip ?? p.clipSkip
    p.rng = f.rng ?? p.rng
    p.emphasis = f.emphasis ?? p.emphasis
    // These programs never cut.
    p.longPrompt = "chunk"
    if let strength = f.strength {
      guard let initImage else {
        throw InputError(.usage, "\(image): began with another picture (strength \(strength))", hint: "give it with --init-image")
      }
      p.strength = strength
      p.initImage = .init(name: initImage)
      p.mask = mask.map { .init(name: $0) }
    }
    return p
  }

  /// Says whether it is the same picture: the person wants to know, and a difference is no failure on another machine.
  private func compare(with made: URL) {
    guard let before = try? Picture(url: URL(fileURLWithPath: image)), let after = try? Picture(url: made) else { return }
    guard before.width == after.width, before.height == after.height else { return Terminal.line("sdlab: another size than \(image)") }
    let differences = zip(before.pixels, after.pixels).map { abs(Int($0) - Int($1)) }.filter { $0 > 0 }
    guard let largest = differences.max() else { return Terminal.line("sdlab: the same picture, pixel for pixel") }
    let share = 100 * Double(differences.count) / Double(before.pixels.count)
    Terminal.line("sdlab: differs from \(image.oneLine) in \(decimal(share, 2)) % of the values, by at most \(largest) of 255")
  }
}
