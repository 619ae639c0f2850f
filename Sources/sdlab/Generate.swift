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
        sdlab generate "a blue house" --inversion runs/a-red-house-42-1a2b3c4d --skip 4
      """)

  @Argument(help: "What the picture shows.")
  var prompt: String

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Inversion") var inverted: InversionOptions
  @OptionGroup(title: "Runs") var runs: StoreOptions
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  @Option(
    help: ArgumentHelp(
      "Also write the final latents to this safetensors file: `latents` [n, channels, h, w] float32, as diffusers' output_type=\"latent\".",
      valueName: "file.safetensors"))
  var latentsOut: String?

  @Option(
    help: ArgumentHelp(
      "Hide this text in the pixels (invisible-watermark's dwtDct); `sdlab watermark read` finds it. From 256x256 pixels on.",
      valueName: "text"))
  var watermark: String?

  func run() throws {
    let inputs = try inverted.inputs(picture, runs.store)
    let count = picture.count ?? inputs.initLatents?.content.shape[0] ?? 1
    let name = "\(OutputFile.slug(prompt))-\(sampling.seed)"
    let files = try PictureFiles(
      output: output.output, defaultStem: OutputFile.slug(prompt),
      numbers: (0..<max(1, min(count, 4096))).map { "\(sampling.seed &+ UInt64($0))" },
      defaultName: name, latents: latentsOut)
    if !output.dryRun { try files.check(force: output.force) }

    var (run, load) = try PictureRun.prepare(prompt, model, sampling, picture, report, inputs: inputs)
    if let watermark { try run.mark(watermark) }
    if output.dryRun {
      let estimate = try Estimate(run, load: load, latents: latentsOut != nil)
      return try estimate.print(files: files.all, json: report.json)
    }
    try files.write(run, 0..<count)
  }
}
