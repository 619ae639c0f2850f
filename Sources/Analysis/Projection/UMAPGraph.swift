import Engine
import Foundation

/// UMAP's fuzzy simplicial set (McInnes, Healy and Melville 2018, algorithms 2 and 3; constants of umap-learn).
enum UMAPGraph {
  /// - Parameter neighbours: of each point without itself; umap-learn's `n_neighbors` counts the point, so it is one more.
  static func fuzzySet(_ neighbours: NearestNeighbours) -> SparseAffinities {
    let (n, k) = (neighbours.count, neighbours.k)
    let distances = neighbours.squaredDistances.map { $0.squareRoot() }
    // umap-learn's mean counts the point itself at distance 0.
    let overall = distances.reduce(0.0) { $0 + Double($1) } / Double(n * (k + 1))
    var weights = [Float](repeating: 0, count: n * k)
    weights.withUnsafeMutableBufferPointer { out in
      inParallel(tasks: (n + 255) / 256) { task in
        for i in task * 256..<min(n, task * 256 + 256) {
          let row = distances[i * k..<(i + 1) * k]
          // The nearest at another place (local connectivity 1).
          let rho = Double(row.first { $0 > 0 } ?? 0)
          var sigma = bandwidth(row, rho)
          let mean = row.reduce(0.0) { $0 + Double($1) } / Double(k + 1)
          sigma = max(sigma, 1e-3 * (rho > 0 ? mean : overall))
          for (e, d) in zip(i * k..<(i + 1) * k, row) {
            out[e] = Double(d) <= rho || sigma == 0 ? 1 : Float(exp(-(Double(d) - rho) / sigma))
          }
        }
      }
    }
    return SparseAffinities(neighbours, weights: weights) { $0 + $1 - $0 * $1 }
  }

  /// The sigma for which the memberships sum to log2 of the number of neighbours, the point included in the number.
  private static func bandwidth(_ row: ArraySlice<Float>, _ rho: Double) -> Double {
    let wanted = log2(Double(row.count + 1))
    var (low, high, middle) = (0.0, Double.infinity, 1.0)
    for _ in 0..<64 {
      let sum = row.reduce(0.0) { $0 + (Double($1) > rho ? exp(-(Double($1) - rho) / middle) : 1) }
      if abs(sum - wanted) < 1e-5 { break }
      if sum > wanted { high = middle } else { low = middle }
      middle = high.isInfinite ? middle * 2 : (low + high) / 2
    }
    return middle
  }

  /// a and b of 1 / (1 + a x^2b), fitted to 1 up to `minimumDistance` and exp(-(x - minimumDistance)) beyond it, by least squares on 300
  /// places in 0...3 (Levenberg and Marquardt).
  static func curve(minimumDistance: Double) -> (a: Double, b: Double) {
    let xs = (0..<300).map { 3 * Double($0) / 299 }
    let ys = xs.map { $0 < minimumDistance ? 1 : exp(-($0 - minimumDistance)) }
    func error(_ a: Double, _ b: Double) -> Double {
      zip(xs, ys).reduce(0) { $0 + pow(1 / (1 + a * pow($1.0, 2 * b)) - $1.1, 2) }
    }
    var (a, b, damping) = (1.0, 1.0, 1e-3)
    var best = error(a, b)
    for _ in 0..<500 {
      var (aa, ab, bb, ra, rb) = (0.0, 0.0, 0.0, 0.0, 0.0)
      for (x, y) in zip(xs, ys) where x > 0 {
        let p = pow(x, 2 * b)
        let f = 1 / (1 + a * p)
        let (da, db) = (-f * f * p, -f * f * a * p * 2 * log(x))
        aa += da * da
        ab += da * db
        bb += db * db
        ra += da * (y - f)
        rb += db * (y - f)
      }
      let (ha, hb) = (aa * (1 + damping), bb * (1 + damping))
      let determinant = ha * hb - ab * ab
      guard determinant != 0 else { break }
      let (na, nb) = (a + (ra * hb - rb * ab) / determinant, b + (rb * ha - ra * ab) / determinant)
      let next = na > 0 && nb > 0 ? error(na, nb) : .infinity
      if next < best {
        let gained = best - next
        (a, b, best, damping) = (na, nb, next, damping / 10)
        if gained < 1e-16 { break }
      } else {
        damping *= 10
        if damping > 1e12 { break }
      }
    }
    return (a, b)
  }

  /// For each point the number of its connected component, counted from 0 in the order of their first points.
  static func components(_ graph: SparseAffinities) -> (of: [Int], count: Int) {
    var of = [Int](repeating: -1, count: graph.count)
    var count = 0
    for first in 0..<graph.count where of[first] < 0 {
      var stack = [first]
      of[first] = count
      while let i = stack.popLast() {
        for e in Int(graph.starts[i])..<Int(graph.starts[i + 1]) where of[Int(graph.columns[e])] < 0 {
          of[Int(graph.columns[e])] = count
          stack.append(Int(graph.columns[e]))
        }
      }
      count += 1
    }
    return (of, count)
  }
}
