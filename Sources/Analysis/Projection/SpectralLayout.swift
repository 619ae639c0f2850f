import Engine
import Foundation

/// First places for UMAP: the leading eigenvectors of the graph's normalised adjacency but for the trivial one (Belkin and Niyogi 2003).
///
/// Components without an edge between them have no common spectrum: each is laid out by itself around its place in the principal components of
/// the components' centres, as large as half the way to the nearest other one.
enum SpectralLayout {
  static func layout(_ graph: SparseAffinities, _ points: Points, dimensions: Int, seed: UInt64) -> [[Double]] {
    let (component, count) = UMAPGraph.components(graph)
    var members = [[Int]](repeating: [], count: count)
    for (i, c) in component.enumerated() { members[c].append(i) }
    if count == 1 { return spectrum(graph, members[0], dimensions, seed) }
    let centres = self.centres(points, members, dimensions)
    var out = [[Double]](repeating: [Double](repeating: 0, count: dimensions), count: graph.count)
    for (c, mine) in members.enumerated() {
      let nearest =
        centres.indices.filter { $0 != c }.map { other in
          zip(centres[c], centres[other]).reduce(0) { $0 + pow($1.0 - $1.1, 2) }
        }.min() ?? 0
      let local = spectrum(graph, mine, dimensions, seed)
      let size = local.joined().lazy.map(abs).max() ?? 0
      let scale = size > 0 ? nearest.squareRoot() / 2 / size : 0
      for (i, place) in zip(mine, local) { out[i] = zip(centres[c], place).map { $0 + scale * $1 } }
    }
    return out
  }

  private static func centres(_ points: Points, _ members: [[Int]], _ dimensions: Int) -> [[Double]] {
    let d = points.dimension
    let means = members.map { mine in
      var sum = [Double](repeating: 0, count: d)
      for i in mine { for c in 0..<d { sum[c] += Double(points.values[i * d + c]) } }
      return sum.map { Float($0 / Double(mine.count)) }
    }
    let k = min(dimensions, members.count - 1, d)
    guard k >= 1, let rows = try? Points(means), let pca = try? PCA(rows, components: k), let places = try? pca.transform(rows) else {
      return means.map { _ in [Double](repeating: 0, count: dimensions) }
    }
    let largest = max(Double(places.values.lazy.map(abs).max() ?? 0), 1e-30)
    return (0..<members.count).map { c in (0..<dimensions).map { $0 < k ? Double(places[c][places[c].startIndex + $0]) / largest : 0 } }
  }

  /// Of the part of the graph with these points (a component, ascending).
  private static func spectrum(_ graph: SparseAffinities, _ members: [Int], _ dimensions: Int, _ seed: UInt64) -> [[Double]] {
    let n = members.count
    var random = SplitMix64(seed: seed ^ UInt64(members[0]))
    // Too few points for as many eigenvectors: any places do.
    guard n > 2 * dimensions + 2 else { return members.map { _ in (0..<dimensions).map { _ in random.normal() } } }
    var place = [Int: Int](minimumCapacity: n)
    for (local, i) in members.enumerated() { place[i] = local }
    var starts = [0]
    var (columns, values): ([Int], [Double]) = ([], [])
    var degree = [Double](repeating: 0, count: n)
    for (local, i) in members.enumerated() {
      for e in Int(graph.starts[i])..<Int(graph.starts[i + 1]) {
        columns.append(place[Int(graph.columns[e])] ?? 0)
        values.append(Double(graph.values[e]))
        degree[local] += Double(graph.values[e])
      }
      starts.append(columns.count)
    }
    for i in 0..<n { for e in starts[i]..<starts[i + 1] { values[e] /= (degree[i] * degree[columns[e]]).squareRoot() } }
    let apply: (UnsafePointer<Double>, UnsafeMutablePointer<Double>, Int) -> Void = { x, y, b in
      inParallel(tasks: (n + 1023) / 1024) { task in
        for i in task * 1024..<min(n, (task + 1) * 1024) {
          // I + A: its eigenvalues are in 0...2, so that the largest are also the largest in magnitude.
          for c in 0..<b { y[i * b + c] = x[i * b + c] }
          for e in starts[i]..<starts[i + 1] {
            let (v, from) = (values[e], x + columns[e] * b)
            for c in 0..<b { y[i * b + c] += v * from[c] }
          }
        }
      }
    }
    let wanted = dimensions + 1
    // Along a line of n points the spectrum is spaced like 1/n^2: a coarser answer mixes neighbours in it and folds the line. What has not converged is
    // still a better start than none.
    let found = LeadingEigenpairs.krylov(n, wanted, tolerance: 1e-7, seed: seed, width: wanted + 3, depth: 16, restarts: 60, apply)
    guard let found else { return members.map { _ in (0..<dimensions).map { _ in random.normal() } } }
    return (0..<n).map { i in (0..<dimensions).map { found.pairs.vectors[$0 + 1][i] } }
  }
}
