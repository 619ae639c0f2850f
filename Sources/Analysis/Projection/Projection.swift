import Engine
import Foundation

/// A map of points in few dimensions.
public struct ProjectionResult: Sendable {
  public var method: Projection.Method
  /// Coordinates in the map, [n, dimensions].
  public var embedding: Points
  /// Time of the projection itself, data in memory; the scores are not in it.
  public var seconds: Double
  public var scores: ProjectionScores
  /// What projects other points into the same map; only for principal components.
  public var pca: PCA?
  /// Share of the variance on each axis; only for principal components.
  public var explainedVarianceRatio: [Double]? { pca?.explainedVarianceRatio }
  /// Share of the true neighbours that the search found, measured on 200 points; nil where all pairs were looked at.
  public var neighbourSearchRecall: Double?
  public var options: Projection.Options
}

/// Maps of points: principal components, t-SNE and UMAP.
public enum Projection {
  public enum Method: String, Sendable, CaseIterable { case pca, tsne, umap }

  public struct Options: Sendable, Equatable {
    /// Dimensions of the map: 1 to 3 for t-SNE and UMAP.
    public var dimensions = 2
    /// t-SNE's effective number of neighbours; also that of the divergence in the scores.
    public var perplexity = 30.0
    /// UMAP's number of neighbours, the point itself included.
    public var neighbours = 15
    /// UMAP's smallest distance between points in the map.
    public var minimumDistance = 0.1
    /// The same seed gives the same bits.
    public var seed: UInt64 = 42
    /// Without scores only the map is computed.
    public var scores = true
    /// Products of coordinates (points squared times coordinates) up to which neighbours are searched exactly.
    public var exactWork = 4e12
    public init() {}
  }

  /// What is being done, and how much of it.
  public struct Progress: Sendable {
    public var stage: String
    public var done: Int
    public var total: Int
  }

  /// Largest number of points for three-dimensional t-SNE, where every pair is computed in each iteration.
  static let mostPairwise = 30_000

  /// - Throws: `InputError` (usage for options, bad data for points) in one clear line.
  public static func compute(
    _ points: Points, _ method: Method, options: Options = Options(), progress: ((Progress) -> Void)? = nil
  ) throws -> ProjectionResult {
    try check(points, method, options)
    let original = points
    let points = points.inRange()
    let clock = ContinuousClock()
    let begin = clock.now
    let n = points.count
    var pca: PCA?
    var neighbours: NearestNeighbours?
    var affinities: SparseAffinities?
    let embedding: Points
    switch method {
    case .pca:
      let fitted = try PCA(original, components: options.dimensions)
      embedding = try fitted.transform(original)
      pca = fitted
    case .tsne:
      let found = nearest(points, affinityNeighbours(n, options.perplexity), options)
      let p = SparseAffinities.gaussian(found, perplexity: options.perplexity)
      let start = try PCA(points, components: min(options.dimensions, n, points.dimension))
      let descent = TSNE(perplexity: options.perplexity, dimensions: options.dimensions, seed: options.seed)
      embedding = descent.embed(p, start: try start.transform(points)) { done in
        progress?(Progress(stage: "t-SNE", done: done, total: descent.iterations))
      }
      (neighbours, affinities) = (found, p)
    case .umap:
      let found = nearest(points, options.neighbours - 1, options)
      let graph = UMAPGraph.fuzzySet(found)
      let start = SpectralLayout.layout(graph, points, dimensions: options.dimensions, seed: options.seed)
      let descent = UMAP(minimumDistance: options.minimumDistance, dimensions: options.dimensions, seed: options.seed)
      embedding = descent.embed(graph, start: start) { done in
        progress?(Progress(stage: "UMAP", done: done, total: UMAP.epochs(n)))
      }
      neighbours = found
    }
    let seconds = (clock.now - begin).inSeconds
    var scores = ProjectionScores()
    if options.scores {
      if affinities == nil, options.perplexity <= Double(n - 1), n > 2 {
        let found = nearest(points, affinityNeighbours(n, options.perplexity), options)
        affinities = .gaussian(found, perplexity: options.perplexity)
        neighbours = found
      }
      // Ranks are compared with true neighbours.
      let exact = neighbours.flatMap { isExact(points, $0.k, options) ? $0 : nil }
      scores = .measure(points, embedding, neighbours: exact, affinities: affinities)
    }
    let recall = neighbours.flatMap { found in
      isExact(points, found.k, options)
        ? nil : ApproximateNeighbours(points: points.centred(), k: found.k, seed: options.seed).recall(found)
    }
    return ProjectionResult(
      method: method, embedding: embedding, seconds: seconds, scores: scores, pca: pca, neighbourSearchRecall: recall, options: options)
  }

  /// Three times the perplexity, beyond which a Gaussian of that width leaves nothing.
  private static func affinityNeighbours(_ n: Int, _ perplexity: Double) -> Int { min(n - 1, max(1, Int((3 * perplexity).rounded(.up)))) }

  /// All pairs, unless that would take minutes.
  private static func nearest(_ points: Points, _ k: Int, _ options: Options) -> NearestNeighbours {
    isExact(points, k, options) ? .exact(points, k: k) : ApproximateNeighbours(points: points.centred(), k: k, seed: options.seed).search()
  }

  private static func isExact(_ points: Points, _ k: Int, _ options: Options) -> Bool {
    let n = Double(points.count)
    // A leaf must hold more points than are looked for.
    return n * n * Double(points.dimension) <= options.exactWork || k >= 150
  }

  private static func check(_ points: Points, _ method: Method, _ options: Options) throws {
    let n = points.count
    guard n >= 2 else { throw InputError(.badData, "1 point, expected at least 2") }
    guard options.dimensions >= 1 else { throw InputError(.usage, "\(options.dimensions) dimensions, expected at least 1") }
    // The scores of every method have it.
    guard options.perplexity.isFinite, options.perplexity >= 1 else {
      throw InputError(.usage, "perplexity \(options.perplexity), expected at least 1")
    }
    switch method {
    case .pca: break
    case .tsne:
      guard options.dimensions <= 3 else { throw InputError(.usage, "t-SNE: \(options.dimensions) dimensions, expected 1 to 3") }
      guard options.perplexity < Double(n) else {
        throw InputError(
          .usage, "t-SNE: \(n) points are too few for perplexity \(number(options.perplexity))", hint: "--perplexity must be below \(n)")
      }
      guard options.dimensions == 2 || n <= mostPairwise else {
        throw InputError(
          .usage, "t-SNE: \(n) points in \(options.dimensions) dimensions, expected at most \(mostPairwise)", hint: "use --dimensions 2")
      }
    case .umap:
      guard options.dimensions <= 3 else { throw InputError(.usage, "UMAP: \(options.dimensions) dimensions, expected 1 to 3") }
      guard options.neighbours >= 2 else { throw InputError(.usage, "UMAP: \(options.neighbours) neighbours, expected at least 2") }
      guard options.neighbours <= n else {
        throw InputError(
          .usage, "UMAP: \(n) points are too few for \(options.neighbours) neighbours", hint: "--neighbours must be at most \(n)")
      }
      guard options.minimumDistance >= 0, options.minimumDistance <= 1 else {
        throw InputError(.usage, "UMAP: minimum distance \(options.minimumDistance), expected 0 to 1")
      }
    }
  }

  private static func number(_ value: Double) -> String { value == value.rounded() ? String(Int(value)) : String(value) }
}
