import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Directions: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Find directions in h-space, the bottom of the UNet, and make pictures along them.",
    discussion: """
      h is what the UNet's middle block answers (Kwon et al. 2023). Directions are the principal components of h over many seeds of a prompt, or the \
      difference of means between two prompts (--from, --to) or two labels (--labels), a vector for each step. They are added to h while a picture is \
      made (--rule): asyrp changes the predicted x0 alone, symmetric the whole prediction (Haas et al. 2024). With two sets a linear probe says how \
      well h tells them apart at each step. Runs are kept and read from the store; what is missing is made.

      Examples:
        sdlab directions "a red house" --samples 48 --components 3
        sdlab directions --from "a red house" --to "a blue house" -o blue.png --arrays blue.safetensors
        sdlab directions "a red boat" --direction blue.safetensors --strengths=-1,0,1,2
        sdlab directions "a house" --labels factors.tsv --curves probe.png
      """)

  @Argument(help: ArgumentHelp("A prompt, or runs that kept unet.mid_block.out whole.", valueName: "prompt|run"))
  var subjects: [String] = []

  @Option(help: ArgumentHelp("With --to: the direction from this prompt's pictures to the other's, seed by seed.", valueName: "prompt"))
  var from: String?

  @Option(help: ArgumentHelp("See --from.", valueName: "prompt"))
  var to: String?

  @Option(
    help: ArgumentHelp(
      "A text file with a picture a line, LABEL, tab, PROMPT: the direction from the first label's pictures to the second's. The k-th line of a label "
        + "has the k-th seed.", valueName: "file"))
  var labels: String?

  @Option(help: ArgumentHelp("Use these directions, as --arrays wrote them (.npy or .safetensors).", valueName: "file"))
  var direction: String?

  @Option(help: ArgumentHelp("Number of seeds of each prompt, from --seed on.", valueName: "n"))
  var samples = 24

  @Option(help: ArgumentHelp("Number of principal components.", valueName: "n"))
  var components = 3

  @Option(help: ArgumentHelp("asyrp or symmetric.", valueName: "name"))
  var rule = HEdit.Rule.asyrp

  @Option(
    help: ArgumentHelp(
      "Rows of the batch that are changed: cond, so that guidance strengthens the change, or all, where guidance takes most of it away.",
      valueName: "which"))
  var rows = HEdit.Rows.cond

  @Option(
    help: ArgumentHelp(
      "How much of a direction is added: 1 is one standard deviation of a component, or the whole difference of means.", valueName: "x,x"))
  var strengths = "-2,-1,0,1,2"

  @Option(help: ArgumentHelp("Change h in these steps only, from 0: 0-9, 0,10,20 or 40-. Default: all.", valueName: "steps"))
  var atSteps: String?

  @Option(help: ArgumentHelp("Folds of the probe's cross-validation.", valueName: "k"))
  var folds = 5

  @Option(help: ArgumentHelp("Also draw the explained variance, or the probe's scores, over the steps.", valueName: "file"))
  var curves: String?

  @Option(
    help: ArgumentHelp(
      "Also write the directions: .safetensors (`directions` [k, steps, channels, h, w] with `timesteps`) or .npy (the former alone).",
      valueName: "file"))
  var arrays: String?

  @Flag(help: "Compute and write nothing; print what it would take if no run were there.")
  var dryRun = false

  @OptionGroup(title: "Figure") var figure: FigureOptions
  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let plan = try DirectionsPlan(self)
    let files = try DirectionsFiles(self, stem: OutputFile.slug(plan.prompt))
    let (base, load) = try plan.prepare(self)
    if dryRun {
      let pictures = plan.pictures + (plan.expectedDirections(self) * plan.strengths.count)
      return try Estimate(base, load: load, latents: true).times(max(1, pictures), load: load).print(files: files.all, json: report.json)
    }
    let found = try plan.directions(self, base)
    let strip = try DirectionsStrip(self, base, found.directions, strengths: plan.strengths)
    if let arrays = files.arrays { try DirectionsArray.write(found.directions, kind: plan.kind, to: arrays) }
    try figure.write(strip.figure(self, plan, found), to: files.strip.url, files.strip.format)
    if let curves = files.curves { try figure.write(found.figure(plan), to: curves.url, curves.format) }
    try DirectionsReport(self, plan, found, strip, files).print(self)
  }
}

/// The files that `directions` writes.
struct DirectionsFiles {
  let strip: (url: URL, format: FileFormat)
  let curves: (url: URL, format: FileFormat)?
  let arrays: URL?
  var all: [URL] { [strip.url] + (curves.map { [$0.url] } ?? []) + (arrays.map { [$0] } ?? []) }

  init(_ verb: Directions, stem: String) throws {
    arrays = verb.arrays.map { URL(fileURLWithPath: $0) }
    if let arrays { try DirectionsArray.checkEnding(arrays) }
    if let path = verb.curves {
      guard verb.direction == nil else {
        throw InputError(.usage, "--curves: directions of a file have neither variance nor probe", hint: "leave --curves out")
      }
      var options = verb.figure
      options.output = path
      curves = try options.target(default: "")
    } else {
      curves = nil
    }
    strip = try verb.figure.target(
      default: "\(stem)-directions", alsoWriting: (curves.map { [$0.url] } ?? []) + (arrays.map { [$0] } ?? []))
  }
}

extension HEdit.Rule: ExpressibleByArgument {}
extension HEdit.Rows: ExpressibleByArgument {}
