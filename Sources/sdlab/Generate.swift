import ArgumentParser
import Engine
import Foundation

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a picture from a text, or change one.",
    discussion: """
      The paths of the files written go to standard output. Every picture carries its parameters; `sdlab rerun` makes it again from them.

      Examples:
        sdlab generate "a red house at night"
        sdlab generate "a blue boat" --sampler dpmpp-2m --steps 25 --count 4
        sdlab generate "a yellow tree" --init-image house.png --strength 0.6
      """)

  @Argument(help: "What the picture shows.")
  var prompt: String

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  @Option(
    help: ArgumentHelp(
      "Also write the final latents to this safetensors file: `latents` [n, channels, h, w] float32, as diffusers' output_type=\"latent\".",
      valueName: "file.safetensors"))
  var latentsOut: String?

  func run() throws {
    let inputs = try picture.inputs()
    let count = picture.count ?? inputs.initLatents?.content.shape[0] ?? 1
    let name = "\(OutputFile.slug(prompt))-\(sampling.seed)"
    let files = try PictureFiles(
      output: output.output, defaultStem: OutputFile.slug(prompt),
      numbers: (0..<max(1, min(count, 4096))).map { "\(sampling.seed &+ UInt64($0))" },
      defaultName: name, latents: latentsOut)
    if !output.dryRun { try files.check(force: output.force) }

    let loading = ContinuousClock.now
    let loaded = try model.load(report)
    let (width, height) = try inputs.size(
      width: picture.width, height: picture.height, loaded.vae.config, native: loaded.nativeSize)
    var parameters = GenerationParameters(
      sdlabVersion: Sdlab.version, prompt: prompt, width: width, height: height, model: .init(name: model.recordedName(loaded.source)))
    sampling.apply(to: &parameters)
    model.apply(to: &parameters)
    picture.apply(to: &parameters, inputs, count: count)
    warn(inputs)

    let run = try PictureRun(loaded, parameters, inputs, report: report)
    if output.dryRun {
      let estimate = try Estimate(run, load: seconds(.now - loading), latents: latentsOut != nil)
      return try estimate.print(files: files.all, json: report.json)
    }
    try files.write(run, 0..<count)
  }

  /// Options that do nothing are more likely a mistake than a wish.
  private func warn(_ inputs: RunInputs) {
    if picture.strength != nil, inputs.initImage == nil { report.warn("--strength does nothing without --init-image") }
    if sampling.eta != 0, sampling.sampler != .ddim {
      report.warn("--eta does nothing with \(sampling.sampler.rawValue): only ddim has it")
    }
    if !sampling.negative.isEmpty, sampling.guidance <= 1 { report.warn("--negative does nothing with a guidance of 1 or below") }
  }
}
