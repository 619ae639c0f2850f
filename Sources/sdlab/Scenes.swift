import ArgumentParser
import Engine
import Foundation
import Plots
import Training

struct Scenes: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Draw scenes of the small world that the model that comes with the program has learnt: pictures with captions, masks and all factors.",
    discussion: """
      Writes a folder as Hugging Face's imagefolder reads it: a PNG a scene, metadata.jsonl (file_name, text and all factors a line), and masks.npy \
      (uint8 [scenes, size, size]: 0 background, 1 the first object, 2 the second, after occlusion). Scene i of a seed is always the same, whatever \
      the count, the size and the number of threads. The path of the folder goes to standard output.

      Each noun has one colour that is held out, so that a model can be asked for what it has never seen.

      Examples:
        sdlab scenes --count 1000 --out scenes
        sdlab scenes --count 24 --seed 7 --size 256 --objects 2 --out pairs --sheet pairs.png
        sdlab scenes --count 500 --held-out only --out unseen
      """)

  @Option(help: ArgumentHelp("Number of scenes, 1 to 10000000.", valueName: "n"))
  var count = 100

  @Option(help: ArgumentHelp("Which series of scenes.", valueName: "k"))
  var seed: UInt64 = 42

  @Option(help: ArgumentHelp("Pixels a side, 8 to 4096.", valueName: "n"))
  var size = 64

  @Option(help: ArgumentHelp("Objects in each scene, 1 or 2. Default: one in 60 %, two in 40 %.", valueName: "n"))
  var objects: Int?

  @Option(help: "Held-out combinations of noun and colour: never, allowed, or only these.")
  var heldOut = HeldOut.Rule.never

  @Option(help: ArgumentHelp("Which of a scene's captions: 0, 1, 2, …", valueName: "n"))
  var captionVariant = 0

  @Option(
    name: [.customLong("out"), .customLong("output"), .short],
    help: ArgumentHelp("The folder to write. Default: scenes-SEED in the working folder.", valueName: "dir"))
  var output: String?

  @Option(help: ArgumentHelp("Draw the first scenes with their captions on a contact sheet, too.", valueName: "file.png"))
  var sheet: String?

  @Option(help: ArgumentHelp("Colours of the sheet: light or dark.", valueName: "name"))
  var theme = FigureOptions.ThemeName.light

  @Flag(name: [.long, .short], help: "Replace a folder of scenes and a sheet that are there.")
  var force = false

  @Flag(help: "Write nothing; say how much room and time it would take.")
  var dryRun = false

  @OptionGroup(title: "Reports") var report: ReportOptions

  /// A sheet with more cannot be read.
  private static let onSheet = 40

  func run() throws {
    try check()
    let folder = SceneFolder(seed: seed, count: count, size: size, objects: objects, heldOut: heldOut, captionVariant: captionVariant)
    let url = URL(fileURLWithPath: output ?? "scenes-\(seed)")
    let sheetURL = try sheet.map { try OutputFile.picture($0, default: "scenes-\(seed).png") }
    if dryRun { return try estimate(folder) }
    try checkFolder(url)
    if let sheetURL { try OutputFile.check([sheetURL], force: force) }
    let start = ContinuousClock.now
    var bar = ProgressBar("drawing", total: count, quiet: report.quiet)
    var done = 0
    try folder.write(to: url) { written in
      bar.advance(by: written - done)
      done = written
    }
    if let sheetURL { try drawSheet(folder, to: sheetURL) }
    let taken = seconds(.now - start)
    if report.json {
      try StandardOutput.json(
        Report(
          folder: url.relativePath, sheet: sheetURL?.relativePath, scenes: count, seed: seed, size: size, heldOut: heldOut.rawValue,
          seconds: taken, scenesPerSecond: Double(count) / taken))
    } else {
      try StandardOutput.line(url.relativePath)
      if let sheetURL { try StandardOutput.line(sheetURL.relativePath) }
    }
  }

  private func check() throws {
    guard (1...10_000_000).contains(count) else { throw InputError(.usage, "--count \(count): expected 1 to 10000000") }
    guard (8...4096).contains(size) else { throw InputError(.usage, "--size \(size): expected 8 to 4096") }
    guard objects.map({ (1...2).contains($0) }) ?? true else { throw InputError(.usage, "--objects \(objects ?? 0): expected 1 or 2") }
    guard captionVariant >= 0 else { throw InputError(.usage, "--caption-variant \(captionVariant): expected 0 or more") }
    guard output != "" else { throw InputError(.usage, "--out: expected a folder, found nothing") }
  }

  /// A folder is replaced as a whole: only one that holds scenes is.
  private func checkFolder(_ url: URL) throws {
    let path = url.relativePath
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
      return try OutputFile.check([url], force: force)
    }
    guard isFolder.boolValue else { throw InputError(.cannotWrite, "\(path): is a file", hint: "name a folder") }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []
    if names.isEmpty { return }
    guard names.contains("metadata.jsonl"), names.contains("masks.npy") else {
      throw InputError(.cannotWrite, "\(path): holds other things than scenes", hint: "name a new folder")
    }
    guard force else { throw InputError(.cannotWrite, "\(path): is there already", hint: "-f replaces it, --out names another folder") }
  }

  private func drawSheet(_ folder: SceneFolder, to url: URL) throws {
    let shown = min(count, Self.onSheet)
    let columns = min(8, shown)
    let tiles: [ContactSheet.Tile?] = try (0..<shown).map { i in
      let scene = folder.scene(i)
      return try ContactSheet.Tile(scene.render(size: size), caption: scene.caption(variant: captionVariant))
    }
    let drawn = ContactSheet(
      rows: stride(from: 0, to: shown, by: columns).map { Array(tiles[$0..<min($0 + columns, shown)]) },
      title: shown == count ? "\(count) \(count == 1 ? "scene" : "scenes")" : "\(shown) of \(grouped(count)) scenes",
      subtitle: "seed \(seed), held-out combinations: \(heldOut.rawValue)", theme: theme.theme, tileSize: 128)
    // No model made this picture: it carries no mark of one.
    do { try AtomicFile.write(drawn.render(.png), to: url) } catch let error as PlotError {
      throw InputError(.cannotWrite, "\(url.relativePath): the sheet cannot be drawn: \(error.description)")
    }
  }

  /// Measured on the first scenes.
  private func estimate(_ folder: SceneFolder) throws {
    let renderer = try SceneRenderer(size: size)
    let sample = min(count, max(4, 64 * 64 * 64 / (size * size)))
    let start = ContinuousClock.now
    var bytesOfPictures = 0
    for i in 0..<sample { bytesOfPictures += try renderer.render(folder.scene(i)).picture.png().count }
    let each = seconds(.now - start) / Double(sample)
    let disk = Double(count) * (Double(bytesOfPictures) / Double(sample) + Double(size * size) + 600)
    let time = Double(count) * each / Double(min(Threads.count, count))
    if report.json {
      return try StandardOutput.json(Plan(scenes: count, diskBytes: disk.rounded(), seconds: time, writes: false))
    }
    try StandardOutput.line(
      table([
        ["scenes", "\(grouped(count)) of \(size)x\(size)"], ["disk", "about \(bytes(disk))"],
        ["time", "about \(duration(time)) on \(Threads.count) \(Threads.count == 1 ? "thread" : "threads")"],
      ]))
  }

  private struct Report: Encodable {
    let folder: String
    let sheet: String?
    let scenes: Int
    let seed: UInt64
    let size: Int
    let heldOut: String
    /// Drawing and writing.
    let seconds: Double
    let scenesPerSecond: Double
  }

  private struct Plan: Encodable {
    let scenes: Int
    let diskBytes: Double
    let seconds: Double
    let writes: Bool
  }
}

extension HeldOut.Rule: ExpressibleByArgument {}
