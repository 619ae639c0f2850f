import ArgumentParser
import Engine
import Foundation
import Plots

struct TrainSweep: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Train with every combination of some options, and say which was best.",
    discussion: """
      One YAML file tells the kind of training, what all have in common and what is tried. Trainings run one after the other, each in a folder of its own; a sweep that was \
      stopped goes on with the training it was at. The leaderboard is by loss on examples that are not trained with, where there are such, else by the training's own.

      Example, sweep.yaml:
        train: ldm
        options: {steps: 200, examples: 2000, samples: ""}
        try:
          rate: [1e-4, 3e-4, 1e-3]
          optimiser: [adamw, muon]

        sdlab train sweep sweep.yaml --out sweep
      """)

  @Argument(help: ArgumentHelp("What is tried.", valueName: "sweep.yaml"))
  var file: String

  @Option(name: [.customLong("out"), .customShort("o")], help: ArgumentHelp("The sweep's folder.", valueName: "dir"))
  var output: String

  @Flag(help: "Compute and write nothing; list the trainings.") var dryRun = false

  @OptionGroup(title: "Reports") var report: ReportOptions

  /// A training of the sweep.
  private struct Trial {
    let name: String
    let options: [SweepFile.Option]
    let arguments: [String]
    let folder: URL
  }

  /// What came of it, as its own `--json` says.
  private struct Outcome: Codable {
    let loss: Double
    let validationLoss: Double?
    let seconds: Double
    /// By what it was made: another sweep's result is not this one's.
    var arguments: [String]?

    var score: Double { validationLoss ?? loss }
  }

  func run() throws {
    let sweep = try SweepFile(URL(fileURLWithPath: file))
    let root = URL(fileURLWithPath: output)
    let trials = try sweep.trials.enumerated().map { i, options in try trial(i, options, sweep, root) }
    if dryRun {
      return try StandardOutput.line(trials.map { "sdlab \($0.arguments.joined(separator: " "))" }.joined(separator: "\n"))
    }
    do { try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true) } catch {
      throw InputError(.cannotWrite, "\(output): cannot be made: \(error.localizedDescription)")
    }
    var results: [(trial: Trial, outcome: Outcome)] = []
    for (i, trial) in trials.enumerated() {
      let outcome = try kept(trial) ?? made(trial, i + 1, of: trials.count)
      results.append((trial, outcome))
    }
    // NaN goes to the end: such a training has failed.
    let ranked = results.sorted { a, b in
      a.outcome.score.isNaN != b.outcome.score.isNaN ? b.outcome.score.isNaN : a.outcome.score < b.outcome.score
    }
    try write(ranked, sweep, root)
  }

  /// A training's command, which is parsed before anything runs.
  private func trial(_ index: Int, _ options: [SweepFile.Option], _ sweep: SweepFile, _ root: URL) throws -> Trial {
    let name = options.map { "\($0.name)=\($0.value ?? "")" }.joined(separator: ",")
    let number = String(repeating: "0", count: max(0, 3 - "\(index + 1)".count)) + "\(index + 1)"
    // A name for people; the number tells it apart.
    let safe = String(name.map { $0.isLetter || $0.isNumber || "=,.-".contains($0) ? $0 : "_" }).prefix(80)
    let folder = root.appendingPathComponent("\(number)-\(safe)")
    let flags = (sweep.common + options).flatMap { option -> [String] in
      switch option.value {
      case nil, "true": ["--\(option.name)"]
      case "false": []
      case let value?: ["--\(option.name)", value]
      }
    }
    let arguments = ["train", sweep.kind] + flags + ["--out", folder.relativePath, "--json"] + (report.quiet ? ["--quiet"] : [])
    do { _ = try Sdlab.parseAsRoot(arguments) } catch {
      throw InputError(.usage, "\(file): \(name): \(Sdlab.message(for: error).split(separator: "\n").first.map(String.init) ?? "")")
    }
    return Trial(name: name, options: options, arguments: arguments, folder: folder)
  }

  private func result(_ trial: Trial) -> URL { trial.folder.appendingPathComponent("result.json") }

  private func kept(_ trial: Trial) throws -> Outcome? {
    guard let data = try? Data(contentsOf: result(trial)), let outcome = try? JSONDecoder().decode(Outcome.self, from: data) else {
      return nil
    }
    guard outcome.arguments == trial.arguments.filter({ $0 != "--quiet" }) else {
      throw InputError(
        .usage, "\(trial.folder.relativePath): holds the training of another sweep", hint: "name another --out")
    }
    return outcome
  }

  private func made(_ trial: Trial, _ number: Int, of count: Int) throws -> Outcome {
    if !report.quiet { Terminal.line("\(number) of \(count): \(trial.name)") }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = trial.arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    do { try process.run() } catch { throw InputError(.missing, "sdlab cannot be started again: \(error.localizedDescription)") }
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard process.terminationReason == .exit, process.terminationStatus == 0,
      var outcome = try? decoder.decode(Outcome.self, from: data)
    else {
      throw InputError(
        .badData, "\(trial.name): the training ended with \(process.terminationStatus)",
        hint: "what it said stands above; the same command goes on from here")
    }
    outcome.arguments = trial.arguments.filter { $0 != "--quiet" }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.write(encoder.encode(outcome), to: result(trial))
    return outcome
  }

  // MARK: What is told

  private func write(_ ranked: [(trial: Trial, outcome: Outcome)], _ sweep: SweepFile, _ root: URL) throws {
    let names = sweep.tried.map(\.name)
    let head = names + ["validation_loss", "loss", "seconds", "folder"]
    func row(_ r: (trial: Trial, outcome: Outcome)) -> [String] {
      r.trial.options.map { $0.value ?? "" } + [
        r.outcome.validationLoss.map { "\($0)" } ?? "", "\(r.outcome.loss)", "\(r.outcome.seconds)", r.trial.folder.lastPathComponent,
      ]
    }
    // Values of options hold no commas but where people put them: quoted as CSV wants it.
    func cell(_ text: String) -> String { text.contains { ",\"\n".contains($0) } ? "\"\(text.replacing("\"", with: "\"\""))\"" : text }
    let csv = ([head] + ranked.map(row)).map { $0.map(cell).joined(separator: ",") }.joined(separator: "\n") + "\n"
    try AtomicFile.write(Data(csv.utf8), to: root.appendingPathComponent("leaderboard.csv"))
    try draw(ranked, root)
    if report.json {
      return try StandardOutput.json(
        ranked.map { r in
          Entry(
            options: Dictionary(uniqueKeysWithValues: r.trial.options.map { ($0.name, $0.value ?? "") }),
            validationLoss: r.outcome.validationLoss,
            loss: r.outcome.loss, seconds: r.outcome.seconds, folder: r.trial.folder.relativePath)
        })
    }
    let shown = ranked.enumerated().map { i, r in
      ["\(i + 1)"] + r.trial.options.map { $0.value ?? "" } + [
        r.outcome.validationLoss.map { decimal($0, 4) } ?? "-", decimal(r.outcome.loss, 4), duration(r.outcome.seconds),
        r.trial.folder.lastPathComponent,
      ]
    }
    try StandardOutput.line(table([["rank"] + names + ["validation", "training", "time", "folder"]] + shown))
  }

  private struct Entry: Encodable {
    let options: [String: String]
    let validationLoss: Double?
    let loss: Double
    let seconds: Double
    let folder: String
  }

  /// The trainings' curves, the best ones named.
  private func draw(_ ranked: [(trial: Trial, outcome: Outcome)], _ root: URL) throws {
    let marks = try ranked.prefix(8).compactMap { r -> Mark? in
      let text = try String(contentsOf: r.trial.folder.appendingPathComponent("log.csv"), encoding: .utf8)
      let lines = text.split(separator: "\n").dropFirst().compactMap(TrainingFolder.Line.init)
      guard lines.count > 1 else { return nil }
      let window = max(1, lines.count / 20)
      let smooth = lines.indices.map { i -> Double in
        let part = lines[max(0, i - window)...i]
        return part.reduce(0) { $0 + $1.loss } / Double(part.count)
      }
      return .line(lines.map { Double($0.step) }, smooth, label: r.trial.name)
    }
    guard !marks.isEmpty else { return }
    let figure = Figure(
      title: "\(ranked.count) trainings", subtitle: ranked.count > 8 ? "loss in training, the best eight" : "loss in training",
      note:
        "A running mean over a twentieth of the steps. The leaderboard is by loss on examples that are not trained with, where there are such.",
      width: 760, panels: [Panel("loss", x: .linear("step"), y: .log("loss"), marks: marks)])
    try FigureOptions.write(figure, to: root.appendingPathComponent("leaderboard.png"), .png, dpi: 144, theme: .light)
  }
}
