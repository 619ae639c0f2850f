import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Explore: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a picture, look inside from all sides, and tell it in one HTML report.",
    discussion: """
      Generates, captures, analyses and writes one self-contained file: the denoising film, a map for each word, what places look at, where the \
      picture lies among others, what is between two prompts, what each word does, and which of the maps to believe. Every pass is kept as a run, so an \
      interrupted exploration goes on where it stopped. The path of the report goes to standard output.

      Examples:
        sdlab explore "a red house next to a green tree at night"
        sdlab explore "an astronaut riding a horse" --model ~/models/sd15 --budget 60 -o astronaut.html
      """)

  @Argument(help: "What the picture shows.")
  var prompt: String

  @Option(
    help: ArgumentHelp(
      "The other end of the way between two prompts. Default: a fixed other scene, or the empty prompt.", valueName: "prompt"))
  var to: String?

  @Option(help: ArgumentHelp("Minutes that it may take: steps, frames and sets are chosen to fit.", valueName: "minutes"))
  var budget: Double?

  @Option(
    name: [.customLong("output"), .short],
    help: ArgumentHelp("The HTML file to write. Default: made of the prompt and the seed.", valueName: "file.html"))
  var output: String?

  @Flag(name: [.long, .short], help: "Overwrite a report that is there.") var force = false
  @Flag(help: "Compute and write nothing; print what it would take.") var dryRun = false

  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    if let budget, !(budget > 0 && budget.isFinite) { throw InputError(.usage, "--budget \(budget): expected minutes above 0") }
    guard picture.count ?? 1 == 1 else {
      throw InputError(.usage, "--count \(picture.count ?? 1): explore looks at one picture", hint: "it draws further seeds by itself")
    }
    let url = URL(fileURLWithPath: output ?? "\(OutputFile.slug(prompt))-\(sampling.seed).html")
    if !dryRun { try OutputFile.check([url], force: force) }
    let assets = try ReportDocument.assets()
    // A few steps of a good solver show all there is to see, at a fraction of the fifty.
    var sampling = sampling
    sampling.chosenSampler = sampling.chosenSampler ?? .dpmpp2M
    sampling.chosenSteps = sampling.chosenSteps ?? 20
    let started = ContinuousClock.now
    var (first, load) = try PictureRun.prepare(prompt, model, sampling, picture, report)
    guard !first.model.isInpaintingModel, first.request.mask == nil, first.request.initialImage == nil else {
      throw InputError(.usage, "explore begins with noise: it takes no initial picture, no mask and no inpainting model")
    }
    var plan = ExplorePlan(first, steps: sampling.steps)
    let rate = try plan.calibrate(first)
    if let budget {
      try plan.fit(seconds: budget * 60 - load, rate)
      if plan.steps != sampling.steps {
        sampling.chosenSteps = plan.steps
        first = try PictureRun.prepare(prompt, model, sampling, picture, report, loaded: first.model).run
      }
    }
    let memory = try Estimate.memory(first)
    if dryRun {
      if report.json { return try StandardOutput.json(plan.outline(rate, memory: memory)) }
      return try StandardOutput.line(plan.describe(rate, memory: memory))
    }
    if !report.quiet { Terminal.line(plan.describe(rate, memory: memory)) }
    var study = try ExploreStudy(first, plan, other: to, store: runs.store, again: runs.again)
    study.timings.append(("loading", load))
    let sections = try study.sections()
    let document = Report(
      title: prompt,
      lead:
        "How \(first.parameters.model.name == "embedded" ? "the model that comes with sdlab" : first.parameters.model.name) made this picture of “\(prompt)”, seen from seven sides.",
      sections: sections, runs: try ReportDocument.sources(study.passes), veil: ReportDocument.veil(study.passes))
    let rendered = try ReportDocument.write(document, assets, to: url, report)
    let total = seconds(.now - started)
    if report.json {
      try StandardOutput.json(
        Outcome(
          report: url.relativePath, run: study.base.url.relativePath, bytes: rendered.bytes, seconds: total,
          parts: Dictionary(uniqueKeysWithValues: study.timings.map { ($0.0, $0.1) })))
    } else {
      if !report.quiet { Terminal.line("\(bytes(Double(rendered.bytes))), made in \(duration(total))") }
      try StandardOutput.line(url.relativePath)
    }
  }

  private struct Outcome: Encodable {
    let report: String
    let run: String
    let bytes: Int
    let seconds: Double
    let parts: [String: Double]
  }
}
