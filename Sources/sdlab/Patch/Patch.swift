import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Patch: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Find out what parts of the network do: put something else in their place and see what changes.",
    discussion: """
      activations "A" "B": what the run of A had at some sites is put into the run of B, for each group of sites and each range of steps.
      prompt "A" "B": some cross-attention layers read A while all others read B (Basu et al. 2024).
      heads "B": the output of one attention head at a time is set to zero.
      tokens "B": one word at a time is replaced by padding.

      All runs begin with the same noise. Only the rows that carry the prompt are patched, unless --rows both. Every patched run is kept, so an interrupted \
      command goes on where it stopped. Two prompts mean activations, one means heads, unless --mode says otherwise.

      Metrics: change (mean absolute difference from the untouched picture of B, 0 to 1), toward (of the final latents: 0 as far from A as B, 1 is A), \
      latent (relative distance of the final latents from B's), region (correlation with A's picture, or B's without A, where --region's word is).

      Examples:
        sdlab patch "a red house at night" "a blue boat on the sea"
        sdlab patch "a red house" "a blue house" --mode prompt --by layer --metric region --region house
        sdlab patch "a red house" --mode heads --sites 'unet.up_blocks.*.attn2.mixed'
        sdlab patch "a red house" "a blue boat" --sites unet.mid_block.out --parts 10 --dry-run
      """)

  @Argument(help: "A, whose activations or words are put in, and B, the run that is changed; or B alone.")
  var prompts: [String]

  @Option(help: ArgumentHelp("activations, prompt, heads or tokens.", valueName: "name"))
  var mode: PatchMode?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Sites to patch, * standing for any run of characters. Default: 'unet.*.attn2.out' for activations, 'unet.*.attn2.k' and 'unet.*.attn2.v' for prompt and "
        + "tokens, 'unet.*.attn2.mixed' for heads.", valueName: "pattern"))
  var sites: [String] = []

  @Option(
    help: ArgumentHelp(
      "Metric that is drawn; all are in --json and --arrays. Default: toward with two prompts, else change.", valueName: "name"))
  var metric: PatchEffect.Metric?

  @Option(
    help: ArgumentHelp(
      "Sites that are patched together: layer, block or level. Default: block for activations, layer for prompt.", valueName: "what"))
  var by: SiteGroup.Grouping?

  @Option(
    help: ArgumentHelp("Number of ranges that the steps are cut into, a column each. Default: 4 for activations, else 1.", valueName: "n"))
  var parts: Int?

  @Option(help: ArgumentHelp("Patch at these steps only, from 0: 0-9, 0,10 or 40-. Default: all.", valueName: "steps"))
  var atSteps: String?

  @Option(
    help: ArgumentHelp(
      "Rows of the batch that are patched: cond (those that carry the prompt) or both halves under guidance.", valueName: "which"))
  var rows = ActivationPatch.Rows.cond

  @Option(help: ArgumentHelp("tokens: words or phrases, separated by commas. Default: every word.", valueName: "a,b"))
  var words: String?

  @Option(
    help: ArgumentHelp(
      "A word of A, or of B, for the metric region: where its DAAM map, stretched to 0...1, is above 0.4.", valueName: "word"))
  var region: String?

  @Option(
    help: ArgumentHelp(
      "Also write the grid: .npy with the metric drawn, [rows, columns], or .safetensors with all metrics.", valueName: "file"))
  var arrays: String?

  @Flag(help: "Compute and write nothing; print the number of runs and what they would take.")
  var dryRun = false

  @OptionGroup(title: "Figure") var figure: FigureOptions
  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling (default: dpmpp-2m, 20 steps)") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  /// The mode that is meant, checked against the number of prompts.
  private func chosenMode() throws -> PatchMode {
    guard (1...2).contains(prompts.count) else { throw InputError(.usage, "\(prompts.count) prompts: expected A and B, or B alone") }
    let mode = mode ?? (prompts.count == 2 ? .activations : .heads)
    guard mode.takesSource == (prompts.count == 2) else {
      throw InputError(
        .usage,
        mode.takesSource
          ? "--mode \(mode.rawValue): expected two prompts, found one" : "--mode \(mode.rawValue): expected one prompt, found two")
    }
    if prompts.count == 2, prompts[0] == prompts[1] {
      throw InputError(.usage, "A and B are the same: there is no way from one to the other")
    }
    return mode
  }

  func run() throws {
    let mode = try chosenMode()
    let metric = metric ?? (mode.takesSource ? .toward : .change)
    if metric == .toward, !mode.takesSource {
      throw InputError(.usage, "--metric toward: there is no A to go to", hint: "change or latent")
    }
    if metric == .region, region == nil { throw InputError(.usage, "--metric region: of which word?", hint: "give --region WORD") }
    if words != nil, mode != .tokens { throw InputError(.usage, "--words: only with --mode tokens") }
    if by != nil, !mode.takesSource { throw InputError(.usage, "--by: only with --mode activations or prompt") }
    let files = try PatchFiles(self, mode)

    var sampling = sampling
    if sampling.chosenSampler == nil { sampling.chosenSampler = .dpmpp2M }
    if sampling.chosenSteps == nil { sampling.chosenSteps = 20 }
    let target = prompts[prompts.count - 1]
    let (run, load) = try PictureRun.prepare(target, model, sampling, picture, report)
    guard run.request.count == 1 else { throw InputError(.usage, "--count \(run.request.count): one picture is patched") }
    let source =
      mode.takesSource
      ? try PictureRun.prepare(prompts[0], model, sampling, picture, ReportOptions.quietly(report), loaded: run.model).run : nil
    _ = try region.map { try PatchStudy.owner($0, a: source, b: run) }
    let plan = try PatchPlan(self, mode, run)
    let kept = try source?.plan(plan.captures).bytes ?? 0
    let summary = plan.summary + (kept > 0 ? "; the activations of A take \(bytes(Double(kept))) on the disk" : "")
    if dryRun {
      if !report.json { try StandardOutput.line(summary) }
      let runs = plan.cells.count + (mode.takesSource ? 2 : 1)
      return try Estimate(run, load: load, latents: true).times(runs, load: load).print(files: files.all, json: report.json)
    }
    if !report.quiet { Terminal.line(summary) }
    let study = try PatchStudy(self, plan, target: run, source: source, metric: metric)
    try study.draw(files, figure)
    if let arrays = files.arrays { try study.write(arrays) }
    if report.json {
      try StandardOutput.json(study.report(files.all))
    } else {
      try StandardOutput.line(study.numbers())
      for url in files.all { try StandardOutput.line(url.relativePath) }
    }
  }
}

enum PatchMode: String, CaseIterable, ExpressibleByArgument {
  case activations, prompt, heads, tokens

  /// Whether there is a run A.
  var takesSource: Bool { self == .activations || self == .prompt }

  var defaultSites: [String] {
    switch self {
    case .activations: ["unet.*.attn2.out"]
    case .prompt, .tokens: ["unet.*.attn2.k", "unet.*.attn2.v"]
    case .heads: ["unet.*.attn2.mixed"]
    }
  }
}

extension PatchEffect.Metric: ExpressibleByArgument {}
extension SiteGroup.Grouping: ExpressibleByArgument {}
extension ActivationPatch.Rows: ExpressibleByArgument {}

/// What `patch` writes, checked before anything is computed.
struct PatchFiles {
  let grid: URL
  let sheet: URL
  let format: FileFormat
  let arrays: URL?

  init(_ verb: Patch, _ mode: PatchMode) throws {
    let stem = verb.figure.output ?? "\(OutputFile.slug(verb.prompts.joined(separator: " ")))-patch-\(mode.rawValue).png"
    sheet = OutputFile.numbered(URL(fileURLWithPath: stem), "pictures")
    arrays = try verb.arrays.map { path in
      let url = URL(fileURLWithPath: path)
      guard ["npy", "safetensors"].contains(url.pathExtension.lowercased()) else {
        throw InputError(.usage, "--arrays \(path): expected a name that ends in .npy or .safetensors")
      }
      return url
    }
    var options = verb.figure
    options.output = stem
    // A rehearsal writes nothing, so nothing can be in its way.
    if verb.dryRun { options.force = true }
    (grid, format) = try options.target(default: stem, alsoWriting: [sheet] + (arrays.map { [$0] } ?? []))
  }

  var all: [URL] { [grid, sheet] + (arrays.map { [$0] } ?? []) }
}
