import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

extension Projection.Method: ExpressibleByArgument {}

struct Project: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Map the rows of a matrix into two or three dimensions: PCA, t-SNE or UMAP.",
    discussion: """
      A file is an .npy, .npz or .safetensors matrix [points, coordinates]; FILE:NAME chooses an array of several. A run gives its final latents, or what --site \
      names: a captured site, `latents` or `predicted_original` of every step. Several files or runs are stacked: they share one map. With --space clip, pictures, \
      folders of pictures, runs and prompts lie in one map: each is what CLIP makes of it. The scores compare the \
      map with the points, all pairs: see docs/project.md.

      Examples:
        sdlab project latents.npy --method tsne --perplexity 30 --output map.npy --json
        sdlab project runs/a-red-house-* --site unet.mid_block.out --figure h-space.png --colour step
        sdlab project --space clip pictures "a red house" "a blue boat" --clip clip-vit-large-patch14 --figure clip.png
      """)

  /// Where the points come from.
  enum Space: String, ExpressibleByArgument, CaseIterable {
    /// What matrices and runs hold.
    case own
    /// CLIP's embeddings of pictures and prompts.
    case clip
  }

  @Argument(
    help: ArgumentHelp(
      "Matrices or runs with the same number of coordinates; with --space clip pictures, folders, runs and prompts.",
      valueName: "file|run|prompt"))
  var subjects: [String]

  @Option(help: ArgumentHelp("own: the numbers of the files and runs; clip: CLIP's embeddings of pictures and prompts.", valueName: "name"))
  var space = Space.own

  @OptionGroup var clip: CLIPOptions

  @Option(
    help: ArgumentHelp(
      "Of runs: the captured site that becomes points, or latents or predicted_original of every step. Default: the final latents.",
      valueName: "site"))
  var site: String?

  @Option(help: ArgumentHelp("Of runs: steps that are taken, from 0: 0-9, 0,10,20 or 40-. Default: all.", valueName: "steps"))
  var atSteps: String?

  @Option(help: ArgumentHelp("Of runs: rows of a captured site, cond, uncond or all.", valueName: "which"))
  var rows = CaptureSpec.Rows.cond

  @Option(help: ArgumentHelp("pca, tsne or umap.", valueName: "name"))
  var method = Projection.Method.pca

  @Option(help: ArgumentHelp("t-SNE's effective number of neighbours, at least 1 and below the number of points.", valueName: "x"))
  var perplexity = 30.0

  @Option(name: [.long, .customLong("neighbors")], help: ArgumentHelp("UMAP's neighbours, the point itself included.", valueName: "n"))
  var neighbours = 15

  @Option(help: ArgumentHelp("UMAP's smallest distance between points in the map, 0 to 1.", valueName: "x"))
  var minDist = 0.1

  @Option(help: ArgumentHelp("Dimensions of the map: 1 to 3, with PCA up to the number of coordinates.", valueName: "n"))
  var dimensions = 2

  @Option(help: ArgumentHelp("Seed of t-SNE and UMAP: the same seed repeats the map to the bit.", valueName: "k"))
  var seed: UInt64 = 42

  @Option(
    name: [.long, .short], help: ArgumentHelp("The .npy file to write: float32 [points, dimensions]. Default: none.", valueName: "y.npy"))
  var output: String?

  @Option(help: ArgumentHelp("The scatter plot to write: .png, .svg or .pdf. Default: none.", valueName: "file"))
  var figure: String?

  @Option(
    name: [.customLong("colour"), .customLong("color")],
    help: ArgumentHelp(
      "What colours the figure: label, prompt, seed, step, timestep, half, image, run, file or row. Default: the first that tells groups apart.",
      valueName: "name"))
  var colour: String?

  @Option(
    help: ArgumentHelp("Labels of the points: a text file with one a line, or an .npy file with one number a point.", valueName: "file"))
  var labels: String?

  @Flag(help: "Of runs: draw the pictures into the figure.")
  var thumbnails = false

  @Option(help: ArgumentHelp("Colours of the figure: light or dark.", valueName: "name"))
  var theme = FigureOptions.ThemeName.light

  @Option(help: ArgumentHelp("Pixels per inch of a PNG, 36 to 1200.", valueName: "n"))
  var dpi = 144

  @Option(
    help: ArgumentHelp(
      "A folder for TensorBoard's projector: the points, the map, where they came from and, of runs, a sprite of the pictures.",
      valueName: "dir"))
  var tensorboard: String?

  @Flag(help: "Compute the map alone: the scores look at all pairs of points, which takes minutes from 200,000 points on.")
  var noScores = false

  @Flag(name: [.long, .short], help: "Overwrite files that are there.")
  var force = false

  @OptionGroup(title: "Runs") var kept: StoreOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let drawn = try figureFile()
    let outputs = try self.outputs()
    let store = kept.store
    let isRun = subjects.map { space == .own && !PointsFile.looksLikeOne($0) && store.names($0) }
    try refuseUnused(hasRuns: isRun.contains(true))
    let projector = tensorboard.map { ProjectorFiles(folder: URL(fileURLWithPath: $0), hasPictures: !isRun.contains(false)) }
    try OutputFile.check([outputs, drawn?.url].compactMap { $0 } + (projector?.all ?? []), force: force)
    var labelled: LabelledPoints
    switch space {
    case .own:
      let reader = RunPoints(site: site, steps: atSteps, rows: rows)
      labelled = try LabelledPoints.stacked(
        zip(subjects, isRun).map { name, isRun in (name, isRun ? try reader.read(store.open(name)) : try LabelledPoints(file: name)) })
    case .clip:
      labelled = try ClipPoints(clip: CLIP(clip.clip), store: store).read(subjects, thumbnails: thumbnails, quiet: report.quiet)
    }
    if let labels { try labelled.add(labels: labels) }
    let column = try drawn == nil ? nil : labelled.colour(colour)
    let points = labelled.points
    var options = Projection.Options()
    options.dimensions = dimensions
    options.perplexity = perplexity
    options.neighbours = neighbours
    options.minimumDistance = minDist
    options.seed = seed
    options.scores = !noScores
    var bar: ProgressBar?
    let result = try Projection.compute(points, method, options: options) { now in
      if bar == nil { bar = ProgressBar(now.stage, total: now.total, quiet: report.quiet) }
      bar?.advance()
    }
    let embedding = result.embedding
    if let outputs { try Npy.write(embedding.values, shape: [embedding.count, embedding.dimension], to: outputs) }
    if let drawn {
      let about =
        subjects.count == 1 ? subjects[0] + (site.map { ", \($0)" } ?? "") : "\(subjects.count) sources" + (site.map { ", \($0)" } ?? "")
      let figure = try ProjectFigure(result: result, labelled: labelled, colour: column, thumbnails: thumbnails, about: about).figure()
      try FigureOptions.write(figure, to: drawn.url, drawn.format, dpi: dpi, theme: theme)
    }
    try projector?.write(labelled, embedding)
    try print(result, points)
  }

  /// The figure's file, checked before anything is read.
  private func figureFile() throws -> (url: URL, format: FileFormat)? {
    guard let figure else { return nil }
    return try FigureOptions.file(figure, dpi: dpi)
  }

  private func outputs() throws -> URL? {
    let array = output.map { URL(fileURLWithPath: $0) }
    if let array, array.pathExtension.lowercased() != "npy" {
      throw InputError(
        .usage, "\(array.relativePath): the map is written as an .npy file", hint: "give a name that ends in .npy; --figure draws it")
    }
    return array
  }

  /// Options that could do nothing are refused: they are a mistake.
  private func refuseUnused(hasRuns: Bool) throws {
    if space == .clip {
      if let option = site != nil ? "--site" : atSteps != nil ? "--at-steps" : nil {
        throw InputError(.usage, "\(option) is for what runs hold, not for --space clip")
      }
    } else if !hasRuns, let option = site != nil ? "--site" : atSteps != nil ? "--at-steps" : thumbnails ? "--thumbnails" : nil {
      throw InputError(.usage, "\(option) is for runs, and \(subjects.joined(separator: ", ")) is none")
    }
    if figure == nil, let option = colour != nil ? "--colour" : thumbnails ? "--thumbnails" : nil {
      throw InputError(.usage, "\(option) is for the figure", hint: "give --figure FILE")
    }
  }

  private func print(_ result: ProjectionResult, _ points: Points) throws {
    let scores = result.scores
    if report.json {
      return try StandardOutput.json(
        Report(
          method: method.rawValue, n: points.count, dimensions: dimensions, coordinates: points.dimension, seconds: result.seconds,
          klDivergence: scores.klDivergence, trustworthiness: scores.trustworthiness, continuity: scores.continuity,
          neighbourRecall: scores.neighbourRecall,
          neighbourSearchRecall: result.neighbourSearchRecall, explainedVarianceRatio: result.explainedVarianceRatio, seed: seed,
          perplexity: perplexity,
          neighbours: method == .umap ? neighbours : nil, minDist: method == .umap ? minDist : nil, output: output, figure: figure,
          tensorboard: tensorboard
        ))
    }
    func row(_ name: String, _ value: Double?, _ note: String) -> [String]? { value.map { [name, decimal($0, 4), note] } }
    var rows: [[String]] = [
      ["points", "\(grouped(points.count)) x \(grouped(points.dimension))"], ["method", method.rawValue],
      ["seconds", decimal(result.seconds, 2)],
    ]
    if let ratio = result.explainedVarianceRatio {
      rows.append(["explained variance", ratio.map { "\(decimal(100 * $0, 1)) %" }.joined(separator: ", ")])
    }
    rows += [
      row("trustworthiness", scores.trustworthiness, "neighbours in the map are neighbours (1 is best)"),
      row("continuity", scores.continuity, "neighbours stay neighbours (1 is best)"),
      row("neighbour recall", scores.neighbourRecall, "share of the 10 nearest kept"),
      row("KL divergence", scores.klDivergence, "at perplexity \(decimal(perplexity, perplexity == perplexity.rounded() ? 0 : 2))"),
    ].compactMap { $0 }
    if let recall = result.neighbourSearchRecall {
      rows.append(["neighbour search", "approximate", "found \(decimal(100 * recall, 1)) % of the true neighbours"])
    }
    if let output { rows.append(["map", output]) }
    if let figure { rows.append(["figure", figure]) }
    if let tensorboard { rows.append(["TensorBoard", tensorboard]) }
    try StandardOutput.line(table(rows))
    if method != .pca { report.warn("distances between clusters of a \(method.rawValue) map carry no meaning") }
  }

  private struct Report: Encodable {
    let method: String
    let n: Int
    let dimensions: Int
    let coordinates: Int
    let seconds: Double
    let klDivergence: Double?
    let trustworthiness: Double?
    let continuity: Double?
    let neighbourRecall: Double?
    let neighbourSearchRecall: Double?
    let explainedVarianceRatio: [Double]?
    let seed: UInt64
    let perplexity: Double
    let neighbours: Int?
    let minDist: Double?
    let output: String?
    let figure: String?
    let tensorboard: String?
  }
}
