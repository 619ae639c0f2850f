import Analysis
import ArgumentParser
import Engine
import Foundation

extension Projection.Method: ExpressibleByArgument {}

struct Project: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Map the rows of a matrix into two or three dimensions: PCA, t-SNE or UMAP.",
    discussion: """
      A file is an .npy, .npz or .safetensors matrix [points, coordinates]; FILE:NAME chooses an array of several. Several files are stacked: \
      their rows share one map. The scores compare the map with the points, all pairs: see docs/project.md.

      Example:
        sdlab project latents.npy --method tsne --perplexity 30 --output map.npy --json
      """)

  @Argument(help: ArgumentHelp("Matrices with the same number of coordinates.", valueName: "file"))
  var files: [String]

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

  @Option(help: ArgumentHelp("A folder for TensorBoard's projector: vectors.tsv and metadata.tsv.", valueName: "dir"))
  var tensorboard: String?

  @Flag(help: "Compute the map alone: the scores look at all pairs of points, which takes minutes from 200,000 points on.")
  var noScores = false

  @Flag(name: [.long, .short], help: "Overwrite files that are there.")
  var force = false

  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let outputs = try self.outputs()
    try OutputFile.check(outputs.all, force: force)
    let parts = try files.map { try PointsFile($0).read() }
    let points = try stacked(parts)
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
    if let url = outputs.array { try Npy.write(embedding.values, shape: [embedding.count, embedding.dimension], to: url) }
    if let (vectors, metadata) = outputs.tables { try writeTables(embedding, parts.map(\.count), vectors, metadata) }
    try print(result, points)
  }

  private func outputs() throws -> (array: URL?, tables: (URL, URL)?, all: [URL]) {
    let array = output.map { URL(fileURLWithPath: $0) }
    if let array, array.pathExtension.lowercased() != "npy" {
      throw InputError(.usage, "\(array.relativePath): the map is written as an .npy file", hint: "give a name that ends in .npy")
    }
    let folder = tensorboard.map { URL(fileURLWithPath: $0) }
    let tables = folder.map { ($0.appendingPathComponent("vectors.tsv"), $0.appendingPathComponent("metadata.tsv")) }
    return (array, tables, [array, tables?.0, tables?.1].compactMap { $0 })
  }

  private func stacked(_ parts: [Points]) throws -> Points {
    guard let first = parts.first else { throw InputError(.usage, "expected a file with a matrix") }
    for (file, part) in zip(files, parts) where part.dimension != first.dimension {
      throw InputError(.badData, "\(file): \(part.dimension) coordinates, expected \(first.dimension) as in \(files[0])")
    }
    if parts.count == 1 { return first }
    return try Points(parts.flatMap(\.values), count: parts.reduce(0) { $0 + $1.count }, dimension: first.dimension)
  }

  /// TensorBoard's projector reads a row a point, tabs between the coordinates; the metadata say where each row came from.
  private func writeTables(_ embedding: Points, _ counts: [Int], _ vectors: URL, _ metadata: URL) throws {
    try AtomicFile.write(to: vectors) { sink in
      for i in 0..<embedding.count { try sink.write(embedding[i].map { "\($0)" }.joined(separator: "\t") + "\n") }
    }
    try AtomicFile.write(to: metadata) { sink in
      try sink.write("file\trow\n")
      for (file, count) in zip(files, counts) {
        let name = file.oneLine
        for row in 0..<count { try sink.write("\(name)\t\(row)\n") }
      }
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
          neighbours: method == .umap ? neighbours : nil, minDist: method == .umap ? minDist : nil, output: output, tensorboard: tensorboard
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
    let tensorboard: String?
  }
}
