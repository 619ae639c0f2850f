import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Truth: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Score explanations against the truth: scenes whose masks and factors are known.",
    discussion: """
      Draws scenes, noises them, lets the model look, and compares every method's map of every noun with the noun's mask: overlap (IoU), area under the ROC \
      curve, pointing game, mass in the mask, with 95 % intervals, beside maps that have not looked. Thresholds, and the layers of the project's own method, \
      are chosen on other scenes than those that are scored. Then: which factors can be read off latents and h-space. One HTML report; its path goes to \
      standard output. For models that know the scenes' words and pictures: the one that comes with sdlab, or one trained on scenes.

      Examples:
        sdlab truth
        sdlab truth --scenes 400 --at 200,400,600 -o truth.html
        sdlab truth --model my-model --evidence my-model-truth.json
      """)

  @Option(help: ArgumentHelp("Scenes that methods are scored on, half with one object, half with two; 10 to 5000.", valueName: "n"))
  var scenes = 200

  @Option(help: ArgumentHelp("Scenes that thresholds and layers are chosen on, 10 to 5000.", valueName: "n"))
  var validation = 150

  @Option(help: ArgumentHelp("Seed of the scenes, noises and resamplings.", valueName: "k"))
  var seed: UInt64 = 42

  @Option(help: ArgumentHelp("Timesteps to which scenes are noised, rising, separated by commas.", valueName: "t,t"))
  var at = "100,200,300,400"

  @Option(help: ArgumentHelp("Noise levels of the information maps; 0 leaves them out, which halves the time.", valueName: "n"))
  var information = 8

  @Option(
    name: [.customLong("output"), .short], help: ArgumentHelp("The HTML file to write. Default: truth-<seed>.html.", valueName: "file.html")
  )
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Also write what reports and `heatmap --method sdlab` go by: each noun's scores and the chosen layers.", valueName: "file.json"))
  var evidence: String?

  @Flag(name: [.long, .short], help: "Overwrite files that are there.") var force = false
  @Flag(help: "Compute and write nothing; print the number of passes.") var dryRun = false

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let settings = try settings()
    let url = URL(fileURLWithPath: output ?? "truth-\(seed).html")
    let evidenceURL = evidence.map { URL(fileURLWithPath: $0) }
    if dryRun { return try planned(settings) }
    try OutputFile.check([url] + [evidenceURL].compactMap { $0 }, force: force)
    let assets = try ReportDocument.assets()
    let started = ContinuousClock.now
    let loaded = try model.load(report)
    let study = try TruthStudy(self, loaded, settings)
    let rendered = try ReportDocument.write(study.document(seconds: seconds(.now - started)), assets, to: url, report)
    if let evidenceURL {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      try AtomicFile.write(encoder.encode(study.evidence()) + Data("\n".utf8), to: evidenceURL)
    }
    if report.json {
      try StandardOutput.json(Outcome(study, url, evidenceURL, seconds: seconds(.now - started)))
    } else {
      if !report.quiet {
        Terminal.line(study.summary)
        Terminal.line("\(bytes(Double(rendered.bytes))), made in \(duration(seconds(.now - started)))")
      }
      try StandardOutput.line(url.relativePath)
      if let evidenceURL { try StandardOutput.line(evidenceURL.relativePath) }
    }
  }

  private func settings() throws -> TruthMaps.Settings {
    for (name, value) in [("--scenes", scenes), ("--validation", validation)] where !(10...5000).contains(value) {
      throw InputError(.usage, "\(name) \(value): expected 10 to 5000")
    }
    guard (0...1000).contains(information) else { throw InputError(.usage, "--information \(information): expected 0 to 1000") }
    let timesteps = try timestepList(at)
    guard timesteps == timesteps.sorted() else { throw InputError(.usage, "--at \(at): expected rising timesteps") }
    return TruthMaps.Settings(timesteps: timesteps, seed: seed, informationSamples: information, absent: TruthStudy.nouns)
  }

  private func planned(_ settings: TruthMaps.Settings) throws {
    struct Plan: Encodable {
      let scenes: Int
      let rows: Int
    }
    // One and a half objects a scene; each is asked about with three rows a timestep, and one a noise level beside the prompt's own.
    let rows =
      Double(scenes + validation) * (Double(settings.timesteps.count) * 5.5 + Double(information) * 2.5) + Double(scenes + validation)
    let plan = Plan(scenes: scenes + validation, rows: Int(rows))
    if report.json { return try StandardOutput.json(plan) }
    try StandardOutput.line("\(grouped(plan.scenes)) scenes, about \(grouped(plan.rows)) rows through the UNet")
  }

  private struct Outcome: Encodable {
    struct Line: Encodable {
      let kind: String
      let name: String
      let threshold: Double
      let iou: Double
      let iouLow: Double?
      let iouHigh: Double?
      let bestIou: Double
      let auc: Double
      let pointing: Double
      let mass: Double
      let inverted: Double

      init(_ s: League.Standing) {
        (kind, name, threshold) = (s.explanation.kind.rawValue, s.explanation.name, s.threshold)
        (iou, iouLow, iouHigh) = (s.iou.value, s.iou.interval?.lowerBound, s.iou.interval?.upperBound)
        (bestIou, auc, pointing, mass, inverted) = (s.bestIoU, s.auc.value, s.pointing.value, s.mass, s.inverted)
      }
    }
    struct Difference: Encodable {
      let of: String
      let to: String
      let iou: Double
      let low: Double?
      let high: Double?
    }
    struct Audit: Encodable {
      let space: String
      let factor: String
      let score: Double
      let measure: String
      let chance: Double
      let shuffled: Double
      let count: Int
    }
    let report: String
    let evidence: String?
    let scenes: Int
    let validationScenes: Int
    let objects: Int
    let timesteps: [Int]
    let outputLayers: [String]
    let league: [Line]
    let difference: Difference?
    let words: [TruthEvidence.Word]
    let audits: [Audit]
    let seconds: Double

    init(_ study: TruthStudy, _ url: URL, _ evidence: URL?, seconds: Double) throws {
      report = url.relativePath
      self.evidence = evidence?.relativePath
      scenes = study.verb.scenes
      validationScenes = study.verb.validation
      objects = study.league.cases.count
      timesteps = study.settings.timesteps
      outputLayers = study.layers.paths
      league = Explanation.Kind.allCases.flatMap { study.league.standings($0) }.map(Line.init)
      difference = study.lead.map {
        Difference(of: "sdlab", to: "DAAM", iou: $0.value, low: $0.interval?.lowerBound, high: $0.interval?.upperBound)
      }
      words = try study.evidence().method("DAAM")?.words ?? []
      audits = study.audits.flatMap { space in
        space.audits.map {
          Audit(
            space: space.name, factor: $0.factor, score: $0.score, measure: $0.isAccuracy ? "accuracy" : "R2", chance: $0.chance,
            shuffled: $0.shuffled, count: $0.count)
        }
      }
      self.seconds = seconds
    }
  }
}
