import Analysis
import ArgumentParser
import Engine
import Foundation

struct Runs: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List, show and clean the runs on the disk.", subcommands: [List.self, Show.self, Clean.self], defaultSubcommand: List.self)

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the runs: name, images, captures, size.")
    @OptionGroup(title: "Runs") var runs: StoreOptions
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      let (found, damaged) = try runs.store.list()
      for (_, reason) in damaged { report.warn(reason.message) }
      if report.json {
        return try StandardOutput.json(
          found.map { Row(id: $0.manifest.id, path: $0.url.relativePath, created: $0.manifest.created, bytes: $0.bytes) })
      }
      if found.isEmpty { return report.quiet ? () : Terminal.line("no runs in \(runs.store.root.relativePath)") }
      try StandardOutput.line(
        table(
          [["run", "made", "images", "captures", "size"]]
            + found.map { run in
              let m = run.manifest
              return [m.id, m.created, "\(m.spec.parameters.count)", "\(m.captures.count)", bytes(Double(run.bytes))]
            }))
    }

    private struct Row: Encodable {
      let id: String
      let path: String
      let created: String
      let bytes: Int
    }
  }

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show what a run is and has; check its digests with --verify.")
    @Argument(help: ArgumentHelp("The run: its folder, its name, or the beginning of its name.", valueName: "run")) var name: String
    @OptionGroup(title: "Runs") var runs: StoreOptions
    @OptionGroup(title: "Reports") var report: ReportOptions
    @Flag(help: "Compare every file's SHA-256 with the manifest.") var verify = false

    func run() throws {
      let folder = try runs.store.open(name)
      if verify { try folder.verify() }
      if report.json {
        let text = try String(contentsOf: folder.url.appendingPathComponent("manifest.json"), encoding: .utf8)
        let object = try JSONSerialization.jsonObject(with: Data(text.utf8))
        let line = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        return try StandardOutput.line(String(decoding: line, as: UTF8.self))
      }
      let m = folder.manifest
      let p = m.spec.parameters
      var rows = [
        ["run", m.id], ["made", m.created], ["command", m.command.oneLine], ["prompt", p.prompt.oneLine],
        ["model", "\(p.model.name), SHA-256 \(m.modelSha256.prefix(16))"],
        ["plan", "\(p.sampler), \(m.timesteps.count) steps, guidance \(decimal(p.guidance, 1)), seed \(p.seed), \(p.width)x\(p.height)"],
        ["images", "\(p.count)"], ["size", bytes(Double(folder.bytes)) + (verify ? ", all digests agree" : "")],
        ["time", m.seconds.sorted { $0.key < $1.key }.map { "\($0.key) \(duration($0.value))" }.joined(separator: ", ")],
      ]
      for (key, value) in m.spec.intervention.sorted(by: { $0.key < $1.key }) { rows.append([key, value.oneLine]) }
      rows += m.captures.map { ["capture", "\($0.site)  \($0.reduction.rawValue)  \($0.shape.map(String.init).joined(separator: "x"))"] }
      try StandardOutput.line(table(rows))
    }
  }

  struct Clean: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete runs: the named ones, or those that are damaged.",
      discussion: "Without -f it only says what would be deleted.")
    @Argument(help: "Runs to delete.") var names: [String] = []
    @Flag(help: "Delete runs that are damaged and leftovers of killed processes.") var damaged = false
    @Flag(help: "Delete all runs.") var all = false
    @Flag(name: [.long, .short], help: "Really delete.") var force = false
    @OptionGroup(title: "Runs") var runs: StoreOptions
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      let store = runs.store
      var urls = try names.map { try store.open($0).url }
      let (found, broken) = try store.list()
      if all { urls += found.map(\.url) }
      if all || damaged {
        urls += broken.map(\.url)
        let hidden = ((try? FileManager.default.contentsOfDirectory(atPath: store.root.path)) ?? []).filter {
          $0.hasPrefix(".") && $0.hasSuffix(".part")
        }
        urls += hidden.map(store.root.appendingPathComponent)
      }
      guard !urls.isEmpty || all || damaged else {
        throw InputError(.usage, "nothing to delete was named", hint: "name runs, or give --damaged or --all")
      }
      for url in urls {
        if force {
          do { try FileManager.default.removeItem(at: url) } catch {
            throw InputError(.cannotWrite, "\(url.relativePath): cannot be deleted: \(error.localizedDescription)")
          }
        }
        if !report.json { try StandardOutput.line(url.relativePath) }
      }
      if report.json { try StandardOutput.json(Outcome(deleted: force, runs: urls.map(\.relativePath))) }
      if !force, !urls.isEmpty { report.warn("nothing was deleted: -f deletes these") }
    }

    private struct Outcome: Encodable {
      let deleted: Bool
      let runs: [String]
    }
  }
}
