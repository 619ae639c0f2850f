import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Invert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Take a picture back to the noise it would come from, and forward again with other words.",
    discussion: """
      ddim (Song et al. 2021): the steps of ddim undone one by one. One noise, approximate; the fewer steps and the stronger the guidance, the worse. \
      edit-friendly (Huberman-Spiegelglas et al. 2024): a noise for each step that leads through independently noised pictures; exact, and better to edit. \
      null-text (Mokady et al. 2023): the way of ddim without guidance, and for each step an embedding in place of the empty prompt's, found by gradients, with which guided \
      sampling keeps to it. \
      The errors go to standard output: of the latents, of the picture, and of the VAE alone, which no inversion can undo. The inversion is kept as a run, \
      which `generate` and `trace` go on from with --inversion.

      Examples:
        sdlab invert house.png --prompt "a red house"
        sdlab invert house.png --prompt "a red house" --method edit-friendly --edit "a blue house" -o edit.png
        sdlab invert house.png --prompt "a red house" --arrays noise.safetensors --curve 5,10,20,50
        sdlab generate "a blue house" --inversion noise.safetensors
      """)

  @Argument(help: ArgumentHelp("The picture, PNG or JPEG.", valueName: "image"))
  var image: String

  @Option(help: ArgumentHelp("What the picture shows; the network is told so on the way back. Default: nothing.", valueName: "text"))
  var prompt = ""

  @Option(help: ArgumentHelp("ddim, edit-friendly or null-text.", valueName: "name"))
  var method = Inversion.Method.ddim

  @Option(help: ArgumentHelp("Also go forward again with this prompt.", valueName: "text"))
  var edit: String?

  @Option(
    help: ArgumentHelp(
      "Guidance of --edit. Default: 8, or that of the inversion (null-text). --guidance is that of the inversion: by default 1 (ddim), 3.5 (edit-friendly) or 7.5 (null-text).",
      valueName: "w"))
  var editGuidance: Double?

  @Option(
    help: ArgumentHelp(
      "Steps that --edit leaves out at the beginning: more keep more of the picture. Default: 0, or 36 % of the steps (edit-friendly).",
      valueName: "n"))
  var skip: Int?

  @Option(help: ArgumentHelp("Also invert with these numbers of steps and draw the errors.", valueName: "n,n"))
  var curve: String?

  @Option(
    help: ArgumentHelp(
      "Also write the inversion: `latents` [1, c, h, w], `trajectory`, for edit-friendly `z` and `remainder`, for null-text `negatives`, which `generate --inversion` takes.",
      valueName: "file.safetensors"))
  var arrays: String?

  @Option(help: ArgumentHelp("Also write vae.png, reconstruction.png and edit.png to this folder.", valueName: "dir"))
  var pictures: String?

  @Option(
    name: [.long, .customShort("W")],
    help: ArgumentHelp(
      "Resize to this width in pixels first. Default: its own, rounded down to a multiple of the VAE's factor.", valueName: "pixels"))
  var width: Int?

  @Option(
    name: [.long, .customShort("H")], help: ArgumentHelp("Resize to this height in pixels first, like --width.", valueName: "pixels"))
  var height: Int?

  @Option(help: ArgumentHelp("Encode and decode in overlapping tiles: on, off, or auto (above one megapixel).", valueName: "when"))
  var vaeTiling = Tiling.auto

  @Flag(help: "Compute and write nothing; print what it would take.")
  var dryRun = false

  @OptionGroup(title: "Figure") var figure: FigureOptions
  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    try checkOptions()
    let counts = try curveSteps()
    let inputs = try RunInputs(initImage: image, mask: nil, initLatents: nil)
    let stem = OutputFile.slug(URL(fileURLWithPath: image).deletingPathExtension().lastPathComponent)
    let files = try InvertFiles(self)
    let target = try figure.target(default: "\(stem)-\(method.rawValue)", alsoWriting: dryRun ? [] : files.all)
    let loading = ContinuousClock.now
    let loaded = try model.load(report)
    let load = seconds(.now - loading)
    let (w, h) = try inputs.size(width: width, height: height, loaded.vae.config, native: loaded.nativeSize)
    guard let pixels = inputs.imageTensor(width: w, height: h) else { throw InputError(.missing, "\(image): cannot be read") }
    let run = try pictureRun(loaded, inputs, width: w, height: h, sampling.steps)
    let others = try counts.map { try pictureRun(loaded, inputs, width: w, height: h, $0) }
    if dryRun {
      // A gradient of one row costs about three passes of it, a step of sampling has two rows; ten gradients a step.
      let each = method == .nullText ? 2 + 15 : 2
      let passes = each + (edit == nil ? 0 : 1) + each * counts.reduce(0, +) / sampling.steps
      return try Estimate(run, load: load, kept: run.plan([])).times(passes, load: load).print(
        files: [target.url] + files.all, json: report.json)
    }
    let study = try InversionStudy(self, run, pixels: pixels, curve: others)
    try files.write(study)
    try figure.write(study.figure(self), to: target.url, target.format)
    try study.print(self, figure: target.url, files)
  }

  var guidance: Double { sampling.chosenGuidance ?? method.usualGuidance }

  /// The embeddings of null-text inversion belong to their guidance.
  var chosenEditGuidance: Double { editGuidance ?? (method == .nullText ? guidance : 8) }

  /// Steps that the edit leaves out: the published code's 36 of 100.
  var skipped: Int { skip ?? (method == .editFriendly ? Int((0.36 * Double(sampling.steps)).rounded()) : 0) }

  private func checkOptions() throws {
    if let other = sampling.chosenSampler, other != .ddim {
      throw InputError(.usage, "--sampler \(other.rawValue): an inversion undoes the steps of ddim", hint: "leave --sampler out")
    }
    guard sampling.eta == 0 else {
      throw InputError(.usage, "--eta: ddim is inverted without fresh noise, edit-friendly with eta 1", hint: "leave --eta out")
    }
    if edit == nil, skip != nil { throw InputError(.usage, "--skip: only with --edit") }
    guard (0..<sampling.steps).contains(skipped) else {
      throw InputError(.usage, "--skip \(skipped): expected 0 to \(sampling.steps - 1), fewer than --steps")
    }
    guard chosenEditGuidance.isFinite, abs(chosenEditGuidance) <= 1000 else {
      throw InputError(.usage, "--edit-guidance \(chosenEditGuidance): expected a number up to 1000")
    }
    if method == .nullText, guidance <= 1 {
      throw InputError(
        .usage, "--guidance \(guidance): null-text inversion is for guided sampling", hint: "give one above 1; the default is 7.5")
    }
    if !sampling.negative.isEmpty, guidance <= 1, edit == nil { report.warn("--negative does nothing with a guidance of 1 or below") }
  }

  private func curveSteps() throws -> [Int] {
    guard let curve else { return [] }
    let counts = try curve.split(separator: ",", omittingEmptySubsequences: false).map { part in
      guard let n = Int(part.filter { $0 != " " }), (1...1000).contains(n) else {
        throw InputError(.usage, "--curve: expected numbers of steps from 1 to 1000, found '\(part)'")
      }
      return n
    }
    return Array(Set(counts)).sorted()
  }

  /// The inversion's settings, checked as those of a picture are.
  private func pictureRun(_ loaded: StableDiffusion, _ inputs: RunInputs, width: Int, height: Int, _ steps: Int) throws -> PictureRun {
    var p = GenerationParameters(
      sdlabVersion: Sdlab.version, prompt: prompt, width: width, height: height, model: .init(name: model.recordedName(loaded.source)))
    sampling.apply(to: &p)
    p.sampler = SamplerName.ddim.rawValue
    p.eta = method == .editFriendly ? 1 : 0
    p.initImage = inputs.initImage?.source
    p.guidance = guidance
    p.steps = steps
    p.vaeTiling = vaeTiling == .auto ? nil : vaeTiling.rawValue
    model.apply(to: &p, loaded.source)
    let run = try PictureRun(loaded, p, RunInputs(initImage: nil, mask: nil, initLatents: nil), report: report)
    _ = try run.indices()
    return run
  }
}

extension Inversion.Method: ExpressibleByArgument {}
