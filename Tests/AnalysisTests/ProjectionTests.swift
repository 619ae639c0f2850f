import Engine
import Foundation
import Testing

@testable import Analysis

/// Cases built so that the right answer is known.
@Suite struct ProjectionTests {
  /// `groups` Gaussians of standard deviation 1 whose centres are `apart` away from the origin in directions of their own.
  static func gaussians(_ n: Int, _ d: Int, groups: Int, apart: Double, seed: UInt64 = 1) throws -> (points: Points, group: [Int]) {
    var random = SplitMix64(seed: seed)
    let group = (0..<n).map { $0 % groups }
    let values = group.flatMap { g in (0..<d).map { Float(random.normal() + ($0 == g ? apart : 0)) } }
    return (try Points(values, count: n, dimension: d), group)
  }

  /// Share of points whose nearest point in the map is of their own group.
  private func purity(_ embedding: Points, _ group: [Int]) -> Double {
    let nearest = NearestNeighbours.exact(embedding, k: 1)
    return Double((0..<embedding.count).count { group[$0] == group[Int(nearest.indices[$0])] }) / Double(embedding.count)
  }

  @Test(arguments: [Projection.Method.tsne, .umap]) func separatedGroupsStaySeparated(method: Projection.Method) throws {
    let (points, group) = try Self.gaussians(600, 20, groups: 6, apart: 30)
    let result = try Projection.compute(points, method)
    #expect(result.embedding.count == 600 && result.embedding.dimension == 2)
    #expect(purity(result.embedding, group) == 1)
    // One group shuffled into another is seen.
    var wrong = group
    wrong.swapAt(0, 1)
    #expect(purity(result.embedding, wrong) < 1)
  }

  @Test(arguments: [Projection.Method.tsne, .umap], [1, 3]) func otherDimensions(method: Projection.Method, dimensions: Int) throws {
    let (points, group) = try Self.gaussians(200, 10, groups: 4, apart: 30)
    var options = Projection.Options()
    options.dimensions = dimensions
    let result = try Projection.compute(points, method, options: options)
    #expect(result.embedding.dimension == dimensions)
    #expect(purity(result.embedding, group) > 0.97)
  }

  /// A line in 10 dimensions: neighbours along it are neighbours in every map.
  @Test(arguments: Projection.Method.allCases) func aLineStaysALine(method: Projection.Method) throws {
    let n = 400
    let values = (0..<n).flatMap { i in (0..<10).map { Float(i) * Float($0 + 1) / 10 } }
    let result = try Projection.compute(Points(values, count: n, dimension: 10), method)
    let trustworthiness = try #require(result.scores.trustworthiness)
    // Bends count a little: where the line comes back, strangers are near.
    #expect(trustworthiness > 0.99)
    // Consecutive points are closer than points five further, except for a few bends.
    let y = result.embedding
    func distance(_ i: Int, _ j: Int) -> Float { zip(y[i], y[j]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } }
    #expect((0..<n - 6).count { distance($0, $0 + 1) < distance($0, $0 + 6) } > n - 6 - 12)
    if method == .pca {
      let ratio = try #require(result.explainedVarianceRatio)
      #expect(abs(ratio[0] - 1) < 1e-9 && ratio[1] < 1e-9)
    }
  }

  @Test(arguments: [Projection.Method.tsne, .umap]) func aSeedRepeatsToTheBit(method: Projection.Method) throws {
    let points = try Self.gaussians(700, 16, groups: 3, apart: 4).points
    var options = Projection.Options()
    options.scores = false
    let first = try Projection.compute(points, method, options: options).embedding
    #expect(try Projection.compute(points, method, options: options).embedding == first)
    options.seed = 7
    #expect(try Projection.compute(points, method, options: options).embedding != first)
  }

  /// The grid's branch, which begins above some thousand points.
  @Test func theGridRepeatsToTheBit() throws {
    let points = try Self.gaussians(TSNE.exactLimit + 300, 8, groups: 3, apart: 6).points
    let p = SparseAffinities.gaussian(.exact(points, k: 60), perplexity: 20)
    var descent = TSNE()
    descent.iterations = 60
    descent.earlyIterations = 30
    #expect(descent.embed(p, start: points, progress: nil) == descent.embed(p, start: points, progress: nil))
  }

  /// The grid's forces against those of all pairs, on a dense map and on one as wide as maps become.
  @Test(arguments: [0.001, 1, 20, 80]) func gridForcesAreThoseOfAllPairs(width: Double) throws {
    var random = SplitMix64(seed: 3)
    let axes = (0..<2).map { _ in (0..<3000).map { _ in Float(width * random.normal()) } }
    let zeros = axes.map { [Float](repeating: 0, count: $0.count) }
    var (exact, grid) = (zeros, zeros)
    let (a, b) = (ExactRepulsion().forces(axes, &exact), GridRepulsion().forces(axes, &grid))
    #expect(abs(b / a - 1) < 1e-3, "Z \(b), expected \(a)")
    let scale = exact.joined().map { abs($0) }.max() ?? 0
    let worst = zip(exact.joined(), grid.joined()).reduce(0) { max($0, abs($1.0 - $1.1)) }
    #expect(worst < 5e-3 * max(scale, 1), "largest difference \(worst) of \(scale)")
  }

  /// Against a sum written out in double.
  @Test(arguments: [1, 2, 3]) func exactForces(dimensions: Int) {
    var random = SplitMix64(seed: 5)
    let n = 70
    let axes = (0..<dimensions).map { _ in (0..<n).map { _ in Float(3 * random.normal()) } }
    var force = axes.map { [Float](repeating: 0, count: $0.count) }
    let z = ExactRepulsion().forces(axes, &force)
    var expected = 0.0
    for i in 0..<n {
      var sum = [Double](repeating: 0, count: dimensions)
      for j in 0..<n where j != i {
        let delta = axes.map { Double($0[i]) - Double($0[j]) }
        let q = 1 / (1 + delta.reduce(0) { $0 + $1 * $1 })
        expected += q
        for a in 0..<dimensions { sum[a] += q * q * delta[a] }
      }
      for a in 0..<dimensions { #expect(abs(Double(force[a][i]) - sum[a]) < 1e-4) }
    }
    #expect(abs(z / expected - 1) < 1e-6)
  }

  /// A gradient step goes downhill: after the run the divergence is far below that of the start.
  @Test func theGridReachesWhatAllPairsReach() throws {
    let points = try Self.gaussians(3000, 12, groups: 5, apart: 5).points
    let p = SparseAffinities.gaussian(.exact(points, k: 90), perplexity: 30)
    let start = try PCA(points, components: 2).transform(points)
    let scores = [TSNE().embed(p, start: start, repulsion: GridRepulsion()), TSNE().embed(p, start: start, repulsion: ExactRepulsion())]
      .map { ProjectionScores.klDivergence(p, $0) }
    #expect(abs(scores[0] / scores[1] - 1) < 0.01, "\(scores)")
    #expect(scores[0] < 0.8 * ProjectionScores.klDivergence(p, start))
  }

  /// Pairs far apart, and many at the same place.
  @Test(arguments: Projection.Method.allCases) func duplicatesAndOutliers(method: Projection.Method) throws {
    var rows = [[Float]](repeating: [1, 2, 3, 4], count: 60)
    rows += (0..<60).map { [Float($0), 0, 0, 0] }
    rows.append([1e6, 0, 0, 0])
    let result = try Projection.compute(Points(rows), method)
    #expect(result.embedding.values.allSatisfy { $0.isFinite })
  }

  @Test(arguments: Projection.Method.allCases) func allPointsTheSame(method: Projection.Method) throws {
    let points = try Points([[Float]](repeating: [1, 2, 3], count: 50))
    let result = try Projection.compute(points, method)
    #expect(result.embedding.values.allSatisfy { $0.isFinite })
    if method == .pca { #expect(result.explainedVarianceRatio == [0, 0]) }
  }

  @Test func otherPointsGoThroughTheSameComponents() throws {
    let points = try Self.gaussians(100, 6, groups: 2, apart: 10).points
    let result = try Projection.compute(points, .pca)
    let again = try #require(result.pca).transform(Points(Array(points.values.prefix(60)), count: 10, dimension: 6))
    #expect(Array(result.embedding.values.prefix(20)) == again.values)
    #expect(throws: InputError.self) { try result.pca?.transform(Points([[1, 2]])) }
  }

  /// Eigenpairs of a matrix whose eigenvalues are known, through both branches.
  @Test(arguments: [60, 500]) func eigenpairs(n: Int) {
    // A reflection of a diagonal matrix: H D H with H = I - 2 v v'.
    var random = SplitMix64(seed: 9)
    var v = (0..<n).map { _ in random.normal() }
    let length = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
    v = v.map { $0 / length }
    func h(_ i: Int, _ j: Int) -> Double { (i == j ? 1 : 0) - 2 * v[i] * v[j] }
    let diagonal = (0..<n).map { 100 * pow(0.9, Double($0)) }
    let weighted = (0..<n).reduce(0) { $0 + diagonal[$1] * v[$1] * v[$1] }
    var matrix = [Double](repeating: 0, count: n * n)
    for i in 0..<n {
      for j in 0..<n {
        matrix[i * n + j] = (i == j ? diagonal[i] : 0) - 2 * v[i] * v[j] * (diagonal[i] + diagonal[j]) + 4 * weighted * v[i] * v[j]
      }
    }
    let found = LeadingEigenpairs.dense(matrix, n, 4)
    for k in 0..<4 {
      #expect(abs(found.values[k] - diagonal[k]) < 1e-9)
      let overlap = (0..<n).reduce(0) { $0 + found.vectors[k][$1] * h($1, k) }
      #expect(abs(abs(overlap) - 1) < 1e-9)
    }
  }

  @Test(arguments: [2, 3, 4, 5, 12, 30, 100, 144]) func fourierTransform(n: Int) {
    var random = SplitMix64(seed: 2)
    let x = (0..<n).map { _ in (random.normal(), random.normal()) }
    FourierPlan.withBuffers(3 * n) { one, two in
      for i in 0..<n {
        for b in 0..<3 { (one.real[3 * i + b], one.imaginary[3 * i + b]) = (Float(x[i].0) * Float(b), Float(x[i].1) * Float(b)) }
      }
      let z = FourierPlan(n).transform(one, two, batch: 3)
      for k in 0..<n {
        var (re, im) = (0.0, 0.0)
        for i in 0..<n {
          let (c, s) = (cos(2 * .pi * Double(i * k % n) / Double(n)), sin(2 * .pi * Double(i * k % n) / Double(n)))
          re += x[i].0 * c + x[i].1 * s
          im += x[i].1 * c - x[i].0 * s
        }
        #expect(abs(Double(z.real[3 * k + 2]) - 2 * re) < 1e-4 && abs(Double(z.imaginary[3 * k + 2]) - 2 * im) < 1e-4)
      }
    }
  }

  @Test func badPointsAreRefused() {
    func expectRefusal(_ words: String, kind: InputError.Kind = .badData, _ body: () throws -> Void) {
      let error = #expect(throws: InputError.self) { try body() }
      #expect(error?.kind == kind && error?.description.contains(words) == true, "\(String(describing: error))")
    }
    expectRefusal("row 1, column 0 is nan") { _ = try Points([[1, 2], [.nan, 3]]) }
    expectRefusal("row 0, column 1 is inf") { _ = try Points([[1, .infinity], [2, 3]]) }
    expectRefusal("row 1 has 1 coordinates, expected 2") { _ = try Points([[1, 2], [3]]) }
    expectRefusal("0 points") { _ = try Points([]) }
    expectRefusal("1 point, expected at least 2") { _ = try Projection.compute(Points([[1, 2]]), .tsne) }
    let few = (0..<20).map { [Float($0), Float($0 * $0)] }
    expectRefusal("20 points are too few for perplexity 30; --perplexity must be below 20", kind: .usage) {
      _ = try Projection.compute(Points(few), .tsne)
    }
    var options = Projection.Options()
    options.neighbours = 21
    expectRefusal("20 points are too few for 21 neighbours", kind: .usage) {
      _ = try Projection.compute(Points(few), .umap, options: options)
    }
    options.dimensions = 3
    expectRefusal("expected 1 to 2", kind: .usage) { _ = try Projection.compute(Points(few), .pca, options: options) }
    options.dimensions = 4
    expectRefusal("expected 1 to 3", kind: .usage) { _ = try Projection.compute(Points(few), .tsne, options: options) }
  }
}

@Suite struct ApproximateNeighbourTests {
  /// Clusters in 16 dimensions: nearly all true neighbours are found, their distances are right, and the measured recall says so.
  @Test func findsNearlyAll() throws {
    let points = try ProjectionTests.gaussians(6000, 16, groups: 8, apart: 8).points
    let search = ApproximateNeighbours(points: points, k: 30, seed: 1)
    let (found, exact) = (search.search(), NearestNeighbours.exact(points, k: 30))
    var shared = 0
    for i in 0..<6000 {
      let (mine, theirs) = (found.indices[i * 30..<i * 30 + 30], exact.indices[i * 30..<i * 30 + 30])
      shared += Set(mine).intersection(theirs).count
      #expect(Set(mine).count == 30 && !mine.contains(Int32(i)))
    }
    let recall = Double(shared) / 180_000
    #expect(recall > 0.95, "\(recall)")
    #expect(abs(search.recall(found) - recall) < 0.02)
    #expect(search.recall(exact) > 0.999)
    #expect(search.search().indices == found.indices)
    for e in 0..<30 where found.indices[e] == exact.indices[e] {
      #expect(abs(found.squaredDistances[e] - exact.squaredDistances[e]) < 1e-4 * exact.squaredDistances[e])
    }
  }

  @Test func aMapByItIsAsGood() throws {
    let points = try ProjectionTests.gaussians(3000, 12, groups: 5, apart: 6).points
    var options = Projection.Options()
    let exact = try Projection.compute(points, .umap, options: options)
    options.exactWork = 0
    let other = try Projection.compute(points, .umap, options: options)
    #expect(exact.neighbourSearchRecall == nil)
    #expect(try #require(other.neighbourSearchRecall) > 0.95)
    #expect(try #require(other.scores.trustworthiness) > #require(exact.scores.trustworthiness) - 0.01)
  }
}
