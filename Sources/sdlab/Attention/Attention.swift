import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Attention: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what the attention is spent on, which heads attend to a word, and what patterns the self-attention has.",
    discussion: """
      Takes a run (its folder or name) or a prompt, for which a run is made with all options of `generate`. Three pictures are written: \
      the budget (shares of BOS, words, EOS and padding, and the entropy, by layer, head and step); for each word a sheet with one map for every layer \
      and head; and the leading components of the self-attention at the level nearest to 16x16 places. Numbers go to standard output.

      Examples:
        sdlab attention "a red house next to a green tree" -o attention.png
        sdlab attention runs/a-red-house-42-1a2b3c4d --words "house,red house,<bos>" --rank peakedness
        sdlab attention "a red house" --layers up --at-steps 0-9 --arrays attention.safetensors --json
      """)

  @Argument(help: ArgumentHelp("A run, or a prompt.", valueName: "run|prompt"))
  var subject: String

  @Option(
    help: ArgumentHelp(
      "Words or phrases, separated by commas, also <bos>, <eos> and <padding>: a sheet of heads for each. Default: all words of the prompt together.",
      valueName: "a,b"))
  var words: String?

  @Option(
    help: ArgumentHelp(
      "Only these cross-attention layers: down, mid, up, a size such as 16x16, or a pattern; several separated by commas. Default: all.",
      valueName: "which"))
  var layers: String?

  @Option(help: ArgumentHelp("Only these steps, from 0: 0-9, 0,10,20 or 40-. Default: all.", valueName: "steps"))
  var atSteps: String?

  @Option(help: ArgumentHelp("What heads are ranked by: share (of their attention that goes to the word) or peakedness.", valueName: "by"))
  var rank = HeadAtlas.Ranking.share

  @Option(help: ArgumentHelp("Number of components of the self-attention, 1 to 24.", valueName: "n"))
  var components = 6

  @Option(help: ArgumentHelp("Which image of a run with several, from 0.", valueName: "i"))
  var index = 0

  @Option(
    help: ArgumentHelp(
      "Also write all numbers to this file: budget and entropy by call and head, the maps, the components.", valueName: "file.safetensors"))
  var arrays: String?

  @Flag(help: "Give each head a scale of its own. Without it all heads of a sheet share one.")
  var ownScale = false

  @Flag(help: "Compute and write nothing; print what it would take.")
  var dryRun = false

  @OptionGroup(title: "Figure") var figure: FigureOptions
  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    guard (1...24).contains(components) else { throw InputError(.usage, "--components \(components): expected 1 to 24") }
    let selection = try layers.map { try LayerSelection($0) }
    let names = try words.map { try commaList($0, "--words") }
    let files = try AttentionFiles(self, names)
    if dryRun { return try printPlan(files) }
    let subject = try RunSubject(
      subject, runs, model, sampling, picture, report,
      check: { prompt in for name in names ?? [] { _ = try prompt.places(named: name) } }, captures: { try Self.captures($0) })
    let survey = try AttentionSurvey(subject, self, names, selection)
    try survey.draw(files, figure, ownScale: ownScale)
    if let arrays = files.arrays { try survey.write(arrays) }
    let written = files.written(hasSelf: survey.selfAttention != nil)
    if survey.selfAttention == nil {
      report.warn(
        "\(subject.folder.url.relativePath): the run kept no self-attention at the level nearest to 16x16: no components; "
          + "`sdlab trace --sites 'unet.*.attn2.probs@none' 'unet.*.attn1.probs@heads'` keeps it")
    }
    if report.json {
      try StandardOutput.json(survey.report(written, rank: rank))
    } else {
      try StandardOutput.line(survey.tables(rank: rank))
      for url in written { try StandardOutput.line(url.relativePath) }
    }
  }

  /// Beyond this, self-attention is kept at some steps only.
  private static let largest = 400_000_000

  /// The cross-attention of all layers, and the self-attention at one level, averaged over the heads.
  static func captures(_ run: PictureRun) throws -> [CaptureSpec] {
    let level = CrossAttentionRecorder(model: run.model, latents: run.latentSize).level
    let all = try run.plan([CaptureSpec("unet.*.attn1.probs", reduce: .heads)])
    let there = all.entries.filter { $0.shape[3] == level.count && $0.shape[4] == level.count }
    let total = try run.indices().count
    let isLarge = there.reduce(0) { $0 + $1.bytes } > Self.largest
    let steps = isLarge ? Array(Set((0..<10).map { $0 * (total - 1) / 9 })).sorted() : nil
    return [CaptureSpec("unet.*.attn2.probs")] + there.map { CaptureSpec($0.site, reduce: .heads, steps: steps) }
  }

  private func printPlan(_ files: AttentionFiles) throws {
    if runs.store.names(subject) {
      let found = try runs.store.open(subject)
      if report.json { return try StandardOutput.json(["run": found.url.relativePath]) }
      return try StandardOutput.line("\(found.url.relativePath) is there: nothing has to be made")
    }
    let (run, load) = try PictureRun.prepare(subject, model, sampling, picture, report)
    let plan = try run.plan(Self.captures(run))
    if !report.json { try StandardOutput.line("\(plan.entries.count) captures, \(bytes(Double(plan.bytes))) on the disk") }
    try Estimate(run, load: load, latents: true).print(files: [runs.store.root] + files.written(hasSelf: true), json: report.json)
  }
}

extension HeadAtlas.Ranking: ExpressibleByArgument {}

/// What `attention` writes, checked before anything is computed.
struct AttentionFiles {
  let budget: URL
  let format: FileFormat
  /// One a word, in their order.
  let heads: [URL]
  let selfAttention: URL
  let arrays: URL?

  init(_ verb: Attention, _ words: [String]?) throws {
    let stem = verb.figure.output ?? "\(OutputFile.slug(verb.subject))-attention.png"
    let base = URL(fileURLWithPath: stem)
    heads =
      words?.map { OutputFile.numbered(base, "heads-\(RunStore.slug($0, bytes: 40, absent: "word"))") } ?? [
        OutputFile.numbered(base, "heads")
      ]
    selfAttention = OutputFile.numbered(base, "self")
    arrays = try verb.arrays.map { path in
      let url = URL(fileURLWithPath: path)
      guard url.pathExtension.lowercased() == "safetensors" else {
        throw InputError(.usage, "--arrays \(path): expected a name that ends in .safetensors")
      }
      return url
    }
    var options = verb.figure
    options.output = stem
    // A rehearsal writes nothing, so nothing can be in its way.
    if verb.dryRun { options.force = true }
    (budget, format) = try options.target(default: stem, alsoWriting: heads + [selfAttention] + (arrays.map { [$0] } ?? []))
  }

  func written(hasSelf: Bool) -> [URL] { [budget] + heads + (hasSelf ? [selfAttention] : []) + (arrays.map { [$0] } ?? []) }
}
