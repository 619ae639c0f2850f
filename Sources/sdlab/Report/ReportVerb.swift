import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct ReportVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Tell stored runs in one HTML report, several side by side; check a report's digests.",
    discussion: """
      Nothing is generated: what a run did not keep is named with the sites that would have kept it. `sdlab report check FILE` compares a report with the \
      digests that it carries.

      Examples:
        sdlab report a-red-house-42-342e1cd8
        sdlab report runs/a-red-house-42-342e1cd8 runs/a-blue-house-42-77b0c1aa -o houses.html
        sdlab report check houses.html
      """,
    subcommands: [Make.self, Check.self], defaultSubcommand: Make.self)

  struct Make: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a report from runs (the default): sdlab report RUN...", shouldDisplay: true)

    @Argument(help: ArgumentHelp("The runs: folders, names, or beginnings of names.", valueName: "run"))
    var names: [String]

    @Option(help: ArgumentHelp("Which image of a run that has several, from 0.", valueName: "i"))
    var index = 0

    @Option(
      name: [.customLong("output"), .short],
      help: ArgumentHelp("The HTML file to write. Default: made of the first run's name.", valueName: "file.html"))
    var output: String?

    @Flag(name: [.long, .short], help: "Overwrite a report that is there.") var force = false

    @OptionGroup(title: "Runs") var runs: StoreOptions
    @OptionGroup(title: "Model, where it is now") var model: ModelOptions
    @OptionGroup(title: "Reports") var report: ReportOptions

    /// More runs make a page that nobody reads.
    private static let most = 12

    func run() throws {
      let started = ContinuousClock.now
      guard names.count <= Self.most else {
        throw InputError(.usage, "\(names.count) runs: expected at most \(Self.most) side by side", hint: "make several reports")
      }
      let folders = try names.map { try runs.store.open($0) }
      var seen: Set<String> = []
      for folder in folders where !seen.insert(folder.url.standardizedFileURL.path).inserted {
        throw InputError(.usage, "\(folder.manifest.id): named twice")
      }
      let stem = folders[0].manifest.id + (folders.count > 1 ? "-and-\(folders.count - 1)-more" : "")
      let url = URL(fileURLWithPath: output ?? "\(stem).html")
      try OutputFile.check([url], force: force)
      let assets = try ReportDocument.assets()
      let study = try ReportStudy(folders, image: index, runs.store, model, report)
      let sections = try study.sections()
      let document = Report(
        title: study.title, lead: study.lead, sections: sections, runs: try ReportDocument.sources(folders),
        veil: ReportDocument.veil(folders))
      let rendered = try ReportDocument.write(document, assets, to: url, report)
      if report.json {
        try StandardOutput.json(
          Outcome(
            report: url.relativePath, runs: folders.map(\.url.relativePath), bytes: rendered.bytes, sections: sections.map(\.title),
            seconds: seconds(.now - started)))
      } else {
        try StandardOutput.line(url.relativePath)
      }
    }

    private struct Outcome: Encodable {
      let report: String
      let runs: [String]
      let bytes: Int
      let sections: [String]
      let seconds: Double
    }
  }

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Compare a report with the digests that it carries, and with its runs where they are.",
      discussion: """
        Every picture, every block of data and every line of text is compared; what is not as it was is named, and the exit code is 65. This finds damage \
        and edits, and is no signature: who edits a report can compute its digests anew. Runs that are not in the store are counted, not missed.

        Example:
          sdlab report check a-red-house-42.html
        """)

    @Argument(help: ArgumentHelp("The report.", valueName: "file.html"))
    var file: String

    @OptionGroup(title: "Runs") var runs: StoreOptions
    @OptionGroup(title: "Reports") var report: ReportOptions

    /// Larger files are no reports of ours.
    private static let largest = 1 << 30

    func run() throws {
      let url = URL(fileURLWithPath: file)
      guard let size = (try? FileManager.default.attributesOfItem(atPath: url.path)[.size]) as? Int else {
        throw InputError(.missing, "\(file): no such file")
      }
      guard size <= Self.largest else { throw InputError(.badData, "\(file): \(bytes(Double(size))) are no report") }
      guard let data = try? Data(contentsOf: url) else { throw InputError(.missing, "\(file): cannot be read") }
      let (seal, changes): (ReportSeal, [String])
      do { (seal, changes) = try ReportSeal.check(Array(data)) } catch let error as PlotError {
        throw InputError(.badData, "\(file): \(error.description)", hint: "make the report again with `sdlab report` or `sdlab explore`")
      }
      var (same, absent, other) = (0, 0, [String]())
      for run in seal.runs {
        // Names in a file from outside are no paths.
        guard !run.name.contains("/"), let folder = try? RunFolder(runs.store.root.appendingPathComponent(run.name)) else {
          absent += 1
          continue
        }
        if try folder.manifestSha256() == run.sha256 { same += 1 } else { other.append(run.name) }
      }
      guard changes.isEmpty else {
        let shown = changes.prefix(4).joined(separator: "; ") + (changes.count > 4 ? "; and \(changes.count - 4) more" : "")
        throw InputError(
          .badData, "\(file): \(changes.count) \(changes.count == 1 ? "place is" : "places are") not as sealed: \(shown)",
          hint: "the report was changed after it was made: make it again")
      }
      if let first = other.first {
        throw InputError(
          .badData, "\(file): is as it was made, but \(other.count) of its runs were made again since: \(first)", hint: "make it again")
      }
      if report.json {
        return try StandardOutput.json(Outcome(report: file, whole: true, runs: seal.runs.count, runsCompared: same, runsAbsent: absent))
      }
      try StandardOutput.line(
        "\(file): as it was made; of its \(seal.runs.count) \(seal.runs.count == 1 ? "run" : "runs") \(same) \(same == 1 ? "is" : "are") here and the same, \(absent) not here"
      )
    }

    private struct Outcome: Encodable {
      let report: String
      let whole: Bool
      let runs: Int
      let runsCompared: Int
      let runsAbsent: Int
    }
  }
}
