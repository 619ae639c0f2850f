import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

/// Against scikit-learn, openTSNE and umap-learn on 400 digits.
@Suite struct ProjectionGoldenTests {
  struct File: Decodable {
    var scores: [String: Scores]
    var curves: [Curve]
    struct Scores: Decodable {
      var kl: Double
      var trustworthiness: Double
      var continuity: Double
      var recall: Double
    }
    struct Curve: Decodable {
      var minDist: Double
      var a: Double
      var b: Double
    }
  }

  private let golden: Golden
  private let digits: Points
  private let file: File

  init() throws {
    golden = try Golden("projections/digits.safetensors")
    digits = try Points(golden.values("points"), count: 400, dimension: 64)
    file = try Golden.json("projections/scores.json", as: File.self)
  }

  private func map(_ name: String) throws -> Points { try Points(golden.values(name), count: 400, dimension: 2) }

  @Test(arguments: ["tall", "wide"]) func principalComponents(name: String) throws {
    let points = name == "tall" ? digits : try Points(Array(digits.values.prefix(40 * 64)), count: 40, dimension: 64)
    let pca = try PCA(points, components: 5)
    func error(_ mine: [Double], _ key: String) throws -> Double {
      relativeError(mine.map { Float($0) }, try golden.values("pca.\(name).\(key)").map(Double.init))
    }
    #expect(try error(pca.mean, "mean") < 1e-6)
    #expect(try error(pca.components.flatMap { $0 }, "components") < 1e-5)
    #expect(try error(pca.explainedVariance, "variance") < 1e-6)
    #expect(try error(pca.explainedVarianceRatio, "ratio") < 1e-6)
    // All 400 through the components of the 40, too.
    #expect(try error(pca.transform(digits).values.map(Double.init), "transformed") < 1e-5)
    // The sign rule is seen: turned round, it fails.
    #expect(try error(pca.components.flatMap { $0 }.map { -$0 }, "components") > 0.1)
  }

  @Test func neighbours() throws {
    let found = NearestNeighbours.exact(digits, k: 21)
    let error = relativeError(found.squaredDistances.map { $0.squareRoot() }, try golden.values("neighbours.distances").map(Double.init))
    #expect(error < 1e-6)
    for i in 0..<400 { #expect(!found.indices[i * 21..<i * 21 + 21].contains(Int32(i))) }
  }

  /// Pairs (i, j) of which i takes j for its k-th neighbour only by the order in which equal distances are looked at: the pixels are whole numbers, so
  /// distances are often equal, and which of them is taken is nobody's rule.
  private func ties(_ k: Int) -> Set<Int> {
    let n = 400
    var found: Set<Int> = []
    for i in 0..<n {
      let mine = (0..<n).map { j in zip(digits[i], digits[j]).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } }
      let sorted = (0..<n).filter { $0 != i }.map { mine[$0] }.sorted()
      guard sorted[k - 1] == sorted[k] else { continue }
      for j in 0..<n where j != i && mine[j] == sorted[k] {
        found.insert(i * n + j)
        found.insert(j * n + i)
      }
    }
    return found
  }

  /// Largest difference of the first 50 rows, relative to the largest value; pairs that a tie decided are left out.
  private func error(_ mine: [Float], _ golden: [Float], except ties: Set<Int>) -> Double {
    let largest = Double(golden.max() ?? 1)
    var worst = 0.0
    for i in golden.indices where !ties.contains(i) { worst = max(worst, abs(Double(mine[i]) - Double(golden[i])) / largest) }
    return worst
  }

  @Test func affinities() throws {
    let p = SparseAffinities.gaussian(.exact(digits, k: 60), perplexity: 20)
    let error = error(dense(p), try golden.values("affinities"), except: ties(60))
    #expect(error < 1e-4)
    #expect(abs(p.values.reduce(0.0) { $0 + Double($1) } - 1) < 1e-5)
    let other = SparseAffinities.gaussian(.exact(digits, k: 60), perplexity: 19)
    #expect(relativeError(Array(dense(other).prefix(50 * 400)), try golden.values("affinities").map(Double.init)) > 1e-2)
  }

  @Test func fuzzySet() throws {
    let graph = UMAPGraph.fuzzySet(.exact(digits, k: 14))
    let error = error(dense(graph), try golden.values("fuzzy"), except: ties(14))
    #expect(error < 1e-4)
    let other = UMAPGraph.fuzzySet(.exact(digits, k: 15))
    #expect(relativeError(Array(dense(other).prefix(50 * 400)), try golden.values("fuzzy").map(Double.init)) > 1e-2)
  }

  @Test func curve() {
    for c in file.curves {
      let (a, b) = UMAPGraph.curve(minimumDistance: c.minDist)
      #expect(abs(a / c.a - 1) < 1e-3 && abs(b / c.b - 1) < 1e-3, "\(c.minDist): \(a), \(b), expected \(c.a), \(c.b)")
    }
  }

  @Test(arguments: ["tsne", "umap"]) func scoresOfTheirMaps(name: String) throws {
    let expected = try #require(file.scores[name])
    let p = SparseAffinities.gaussian(.exact(digits, k: 60), perplexity: 20)
    let scores = ProjectionScores.measure(digits, try map(name), neighbours: nil, affinities: p)
    #expect(abs(try #require(scores.klDivergence) - expected.kl) < 1e-4)
    // Ties among whole-number distances are counted differently.
    #expect(abs(try #require(scores.trustworthiness) - expected.trustworthiness) < 2e-4)
    #expect(abs(try #require(scores.continuity) - expected.continuity) < 2e-4)
    #expect(abs(try #require(scores.neighbourRecall) - expected.recall) < 5e-3)
  }

  /// The bars: divergence at most 1.02 of theirs, trustworthiness at most 0.005 (t-SNE) and 0.01 (UMAP) below theirs.
  @Test func ourMapsAreNoWorse() throws {
    var options = Projection.Options()
    options.perplexity = 20
    let tsne = try Projection.compute(digits, .tsne, options: options).scores
    let theirs = try #require(file.scores["tsne"])
    #expect(try #require(tsne.klDivergence) <= 1.02 * theirs.kl)
    #expect(try #require(tsne.trustworthiness) >= theirs.trustworthiness - 0.005)
    let umap = try Projection.compute(digits, .umap, options: options).scores
    #expect(try #require(umap.trustworthiness) >= #require(file.scores["umap"]).trustworthiness - 0.01)
  }

  private func dense(_ p: SparseAffinities) -> [Float] {
    var out = [Float](repeating: 0, count: p.count * p.count)
    for i in 0..<p.count {
      for e in Int(p.starts[i])..<Int(p.starts[i + 1]) { out[i * p.count + Int(p.columns[e])] = p.values[e] }
    }
    return out
  }
}
