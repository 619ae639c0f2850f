import ArgumentParser
import Engine
import Foundation

struct Log: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "What was generated on this machine: show it, verify that nobody changed it.",
    discussion: """
      Every picture of `generate` and `rerun` and every run adds a line, each with the digest of the line before. The log is in \
      $XDG_STATE_HOME/sdlab/log.jsonl (~/.local/state); SDLAB_LOG names another file, SDLAB_LOG=off keeps none. It never leaves the machine.

      Examples:
        sdlab log show --last 5
        sdlab log verify
      """,
    subcommands: [Show.self, Verify.self])

  struct Place: ParsableArguments {
    @Argument(help: ArgumentHelp("The log. Default: the usual one.", valueName: "file"))
    var file: String?

    func log() throws -> GenerationLog {
      if let file { return GenerationLog(URL(fileURLWithPath: file)) }
      guard let log = GenerationLog.usual() else { throw InputError(.usage, "SDLAB_LOG is off: no log is kept", hint: "name a file") }
      return log
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The last lines, newest last.")

    @OptionGroup var place: Place
    @Option(help: ArgumentHelp("How many.", valueName: "n")) var last = 20
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      guard last > 0 else { throw InputError(.usage, "--last \(last): expected 1 or more") }
      let entries = try place.log().entries(last: last)
      if report.json {
        struct List: Encodable { let entries: [GenerationLog.Entry] }
        return try StandardOutput.json(List(entries: entries))
      }
      try StandardOutput.line(
        table(
          [["", "time", "output", "prompt", "seed", "model"]]
            + entries.map { ["\($0.number)", $0.time, $0.output, $0.prompt, "\($0.seed)", $0.model] }))
    }
  }

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Compare every line with the digest that the next one has of it. Exit code 65 names the first that differs.")

    @OptionGroup var place: Place
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      let log = try place.log()
      let verdict = try log.verify()
      if let fault = verdict.fault {
        throw InputError(.badData, "\(log.url.relativePath): line \(fault.line) \(fault.reason)")
      }
      if report.json {
        struct Outcome: Encodable {
          let log: String
          let lines: Int
          let torn: Bool
        }
        return try StandardOutput.json(Outcome(log: log.url.relativePath, lines: verdict.lines, torn: verdict.isTorn))
      }
      let torn = verdict.isTorn ? "; behind them one that a killed process began" : ""
      try StandardOutput.line(
        "\(log.url.relativePath): \(grouped(verdict.lines)) \(verdict.lines == 1 ? "line" : "lines") as written\(torn)")
    }
  }
}
