import ArgumentParser
import Engine
import Foundation
import Plots

struct Sheet: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Draw a contact sheet of several prompts and seeds, to get to know a model.",
    discussion: """
      Prompts are rows, seeds are columns; a column has the same noise everywhere, so that what differs in it is the prompt's doing. The path of \
      the sheet goes to standard output.

      Examples:
        sdlab sheet
        sdlab sheet "a red house" "a red house at night" --seeds 4 -o houses.png
      """)

  @Argument(help: "The prompts, one row each. Default: six that the model that comes with the program understands.")
  var prompts: [String] = []

  @Option(help: ArgumentHelp("Number of seeds, one column each, 1 to 16.", valueName: "n"))
  var seeds = 5

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SheetSampling
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Output") var sheet: SheetOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  /// Fewer steps than `generate`: a sheet is for looking around.
  struct SheetSampling: ParsableArguments {
    @Option(help: ArgumentHelp("The sampler.", valueName: "name"))
    var sampler = SamplerName.dpmpp2M

    @Option(help: ArgumentHelp("Number of steps, 1 to 1000.", valueName: "n"))
    var steps = 20

    @Option(help: ArgumentHelp("Scale of classifier-free guidance.", valueName: "w"))
    var guidance = 5.0

    @Option(help: ArgumentHelp("Seed of the first column; the others follow.", valueName: "k"))
    var seed: UInt64 = 42
  }

  private static let defaultPrompts = [
    "a red house on a meadow", "a red house at night", "a blue boat on the sea", "a yellow tree in the snow",
    "an orange cat next to a green mushroom", "a white moon and a purple cloud",
  ]

  func run() throws {
    guard (1...16).contains(seeds) else { throw InputError(.usage, "--seeds \(seeds): expected 1 to 16") }
    let prompts = prompts.isEmpty ? Self.defaultPrompts : prompts
    let url = try OutputFile.picture(output.output, default: "sheet-\(sampling.seed).png")
    if !output.dryRun { try OutputFile.check([url], force: output.force) }
    let loading = ContinuousClock.now
    let loaded = try model.load(report)
    let load = seconds(.now - loading)
    let inputs = try RunInputs(initImage: nil, mask: nil, initLatents: nil)
    let runs = try prompts.map { try PictureRun(loaded, parameters($0, loaded), inputs, report: ReportOptions.quietly(report)) }
    if output.dryRun, let first = runs.first {
      return try Estimate(first, load: load, latents: false).times(runs.count, load: load).print(files: [url], json: report.json)
    }
    var bar = ProgressBar("drawing", total: prompts.count * seeds, quiet: report.quiet)
    var rows: [[ContactSheet.Tile?]] = []
    for run in runs {
      try run.warnAboutPrompts()
      var row: [ContactSheet.Tile?] = []
      _ = try run.make(0..<seeds) { _, picture in
        row.append(try .init(picture))
        bar.advance()
      }
      rows.append(row)
    }
    let drawn = ContactSheet(
      rows: rows, title: "\(prompts.count) \(prompts.count == 1 ? "prompt" : "prompts"), \(seeds) \(seeds == 1 ? "seed" : "seeds")",
      subtitle:
        "\(loaded.source.displayName), \(sampling.sampler.rawValue), \(sampling.steps) steps, guidance \(decimal(sampling.guidance, 1))",
      columnLabels: (0..<seeds).map { "seed \(sampling.seed &+ UInt64($0))" }, rowLabels: prompts, theme: sheet.theme.theme)
    try drawn.write(to: url)
    if report.json {
      try StandardOutput.json(
        Report(
          sheet: url.relativePath, prompts: prompts, seeds: (0..<seeds).map { sampling.seed &+ UInt64($0) },
          sampler: sampling.sampler.rawValue,
          steps: sampling.steps, guidance: sampling.guidance))
    } else {
      try StandardOutput.line(url.relativePath)
    }
  }

  private func parameters(_ prompt: String, _ loaded: StableDiffusion) -> GenerationParameters {
    let native = loaded.nativeSize
    var p = GenerationParameters(
      sdlabVersion: Sdlab.version, prompt: prompt, width: native.width, height: native.height,
      model: .init(name: model.recordedName(loaded.source)))
    p.sampler = sampling.sampler.rawValue
    p.steps = sampling.steps
    p.guidance = sampling.guidance
    p.seed = sampling.seed
    p.count = seeds
    return p
  }

  private struct Report: Encodable {
    let sheet: String
    let prompts: [String]
    let seeds: [UInt64]
    let sampler: String
    let steps: Int
    let guidance: Double
  }
}

extension ReportOptions {
  /// For runs that are part of something that has a progress bar of its own.
  static func quietly(_ report: ReportOptions) -> ReportOptions {
    var quiet = report
    quiet.quiet = true
    return quiet
  }
}
