import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Grid: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Vary up to three parameters and draw all combinations on a sheet.",
    discussion: """
      An axis is a parameter and its values: \(GridAxis.Parameter.allCases.map(\.rawValue).joined(separator: ", ")). Numbers are lists of values and \
      ranges: 5, 1-5, 1-5 (+2), 10-5 (-3), 1-3 (+0.5), and 1-10 [5] for five values evenly. The values of prompt and negative are replaced in it: the first is \
      sought, the others take its place. Values with a comma are quoted. The z axis makes a sheet of its own for each value. Every cell is kept as a run, so \
      that an interrupted grid goes on from what it has. The paths of the files go to standard output.

      Examples:
        sdlab grid "a red house" --x "steps=5-25 (+10)" --y "guidance=1, 4, 8"
        sdlab grid "a red house" --x "prompt=house, boat, tree" --y seed=1-3 --frames-out cells
      """)

  @Argument(help: "What the picture shows.")
  var prompt: String

  @Option(help: ArgumentHelp("What varies over the columns.", valueName: "parameter=values"))
  var x: String

  @Option(help: ArgumentHelp("What varies over the rows.", valueName: "parameter=values"))
  var y: String?

  @Option(help: ArgumentHelp("What varies over the sheets.", valueName: "parameter=values"))
  var z: String?

  @Option(
    help: ArgumentHelp("Also write each picture to this existing folder, with its parameters, as column-row-sheet.png.", valueName: "dir"))
  var framesOut: String?

  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: GridPicture
  @OptionGroup(title: "Output") var output: OutputOptions
  @OptionGroup(title: "Output") var sheet: SheetOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  struct GridPicture: ParsableArguments {
    @Option(
      name: [.long, .customShort("W")], help: ArgumentHelp("Width in pixels. Default: what the model was trained at.", valueName: "pixels"))
    var width: Int?

    @Option(name: [.long, .customShort("H")], help: ArgumentHelp("Height in pixels, like --width.", valueName: "pixels"))
    var height: Int?

    @Option(help: ArgumentHelp("Start from this picture (PNG or JPEG) instead of noise.", valueName: "file"))
    var initImage: String?

    @Option(help: ArgumentHelp("How much of --init-image is redone, 0 to 1. Default: 0.9.", valueName: "s"))
    var strength: Double?
  }

  func run() throws {
    let axes = (x: try GridAxis(argument: x), y: try y.map { try GridAxis(argument: $0) }, z: try z.map { try GridAxis(argument: $0) })
    let inputs = try RunInputs(initImage: picture.initImage, mask: nil, initLatents: nil)
    let base = try OutputFile.picture(output.output, default: "grid-\(OutputFile.slug(prompt)).png")
    let sheets = axes.z.map { axis in (0..<axis.count).map { OutputFile.numbered(base, "\($0)") } } ?? [base]
    let frames = framesOut.map { URL(fileURLWithPath: $0, isDirectory: true) }
    func frame(_ cell: (x: Int, y: Int, z: Int)) -> URL? { frames?.appendingPathComponent("\(cell.x)-\(cell.y)-\(cell.z).png") }
    var files = sheets
    for k in 0..<(axes.z?.count ?? 1) {
      for j in 0..<(axes.y?.count ?? 1) { files += (0..<axes.x.count).compactMap { frame(($0, j, k)) } }
    }
    if !output.dryRun { try OutputFile.check(files, force: output.force) }

    let loading = ContinuousClock.now
    let loaded = try model.load(report)
    let load = seconds(.now - loading)
    let plan = try GridPlan(parameters(loaded, inputs), x: axes.x, y: axes.y, z: axes.z)
    // All are checked before the first is computed.
    let pictures = try plan.cells.map { cell in
      _ = try inputs.size(width: cell.parameters.width, height: cell.parameters.height, loaded.vae.config, native: loaded.nativeSize)
      return try PictureRun(loaded, cell.parameters, inputs, report: ReportOptions.quietly(report))
    }
    for run in pictures { _ = try run.indices() }
    if output.dryRun, let first = pictures.first {
      return try Estimate(first, load: load, kept: first.plan([])).times(pictures.count, load: load)
        .print(files: files, json: report.json)
    }
    var bar = ProgressBar("grid", total: pictures.count, quiet: report.quiet)
    var tiles: [[[ContactSheet.Tile?]]] = Array(
      repeating: Array(repeating: Array(repeating: nil, count: plan.columns), count: plan.rows), count: plan.sheets)
    let store = runs.store
    var cells: [Report.Cell] = []
    // One by one: sixteen seeds of 20 steps take 13.6 processor seconds in one batch and 16.8 alone (the model of 16x16 latents, where it matters most),
    // and in a batch the last bits of a cell would depend on which cells beside it were there already.
    for (cell, run) in zip(plan.cells, pictures) {
      let there = runs.again ? nil : try run.kept(store)
      let folder = try there ?? run.trace(store, [], again: runs.again)
      let time = folder.manifest.seconds.values.reduce(0, +)
      tiles[cell.z][cell.y][cell.x] = try .init(folder.picture(0), caption: duration(time))
      let url = frame((cell.x, cell.y, cell.z))
      if let url { try AtomicFile.write(Data(contentsOf: folder.url.appendingPathComponent("image-0.png")), to: url) }
      cells.append(
        .init(
          x: cell.x, y: cell.y, z: cell.z, labels: cell.labels, run: folder.url.relativePath, path: url?.relativePath, found: there != nil,
          seconds: time, parameters: run.parameters))
      bar.advance()
    }
    for (k, url) in sheets.enumerated() {
      try ContactSheet(
        rows: tiles[k], title: prompt, subtitle: subtitle(loaded, axes.z?.labels[k], plan), columnLabels: axes.x.labels,
        rowLabels: axes.y?.labels ?? [], theme: sheet.theme.theme
      ).write(to: url)
    }
    if report.json {
      try StandardOutput.json(Report(sheets: sheets.map(\.relativePath), cells: cells))
    } else {
      for url in files { try StandardOutput.line(url.relativePath) }
    }
  }

  private func parameters(_ loaded: StableDiffusion, _ inputs: RunInputs) throws -> GenerationParameters {
    let (width, height) = try inputs.size(
      width: picture.width, height: picture.height, loaded.vae.config, native: loaded.nativeSize)
    var p = GenerationParameters(
      sdlabVersion: Sdlab.version, prompt: prompt, width: width, height: height, model: .init(name: model.recordedName(loaded.source)))
    sampling.apply(to: &p)
    model.apply(to: &p, loaded.source)
    p.initImage = inputs.initImage?.source
    p.strength = inputs.initImage == nil ? nil : picture.strength ?? 0.9
    if picture.strength != nil, inputs.initImage == nil { report.warn("--strength does nothing without --init-image") }
    return p
  }

  /// What the sheet holds constant; what an axis varies is left out.
  private func subtitle(_ loaded: StableDiffusion, _ sheet: String?, _ plan: GridPlan) -> String {
    let varied = Set([plan.x, plan.y, plan.z].compactMap { $0?.parameter })
    var parts = [sheet, loaded.source.displayName].compactMap { $0 }
    if !varied.contains(.sampler) { parts.append(sampling.sampler.rawValue) }
    if !varied.contains(.steps) { parts.append("\(sampling.steps) steps") }
    if !varied.contains(.guidance) { parts.append("guidance \(decimal(sampling.guidance, 1))") }
    if !varied.contains(.seed) { parts.append("seed \(sampling.seed)") }
    return parts.joined(separator: ", ")
  }

  private struct Report: Encodable {
    struct Cell: Encodable {
      let x: Int
      let y: Int
      let z: Int
      let labels: [String]
      let run: String
      let path: String?
      /// True when its run was there already.
      let found: Bool
      /// That its run took when it was made.
      let seconds: Double
      let parameters: GenerationParameters
    }
    let sheets: [String]
    let cells: [Cell]
  }
}
