import Engine
import Foundation
import Kernels

/// How well an embedding keeps what was near near. Every pair is looked at; nothing is sampled.
public struct ProjectionScores: Sendable, Equatable {
  /// Kullback-Leibler divergence of the embedding's Student-t similarities from t-SNE's affinities at the perplexity; nil where there are too
  /// few points for it.
  public var klDivergence: Double?
  /// 1 is best: no point is among the k = 15 nearest in the embedding that is far away in truth (Venna and Kaski 2001, as scikit-learn). Nil for
  /// fewer than 2k + 1 points.
  public var trustworthiness: Double?
  /// The same with the spaces exchanged: no true neighbour was torn away.
  public var continuity: Double?
  /// Share of the 10 nearest points that are among the 10 nearest in the embedding, averaged; nil for fewer than 12 points.
  public var neighbourRecall: Double?

  static let rankNeighbours = 15
  static let recallNeighbours = 10

  /// - Parameters:
  ///   - neighbours: at least the 15 nearest of each point in `points`, if there are so many.
  ///   - affinities: for the divergence.
  static func measure(_ points: Points, _ embedding: Points, neighbours: NearestNeighbours?, affinities: SparseAffinities?)
    -> ProjectionScores
  {
    var scores = ProjectionScores()
    let n = points.count
    scores.klDivergence = affinities.map { klDivergence($0, embedding) }.flatMap { $0.isFinite ? $0 : nil }
    // Ranks do not see the scale.
    let embedding = embedding.inRange()
    let k = rankNeighbours
    guard n > recallNeighbours + 1 else { return scores }
    let most = n > 2 * k ? k : recallNeighbours
    let high = neighbours.flatMap { $0.k >= most ? $0.prefix(most) : nil } ?? .exact(points, k: most)
    let low = NearestNeighbours.exact(embedding, k: most)
    let r = recallNeighbours
    var shared = 0
    for i in 0..<n { shared += Set(high.indices[i * most..<i * most + r]).intersection(low.indices[i * most..<i * most + r]).count }
    scores.neighbourRecall = Double(shared) / Double(n * r)
    guard n > 2 * k else { return scores }
    // Ranks sum to at most this (Venna and Kaski).
    let whole = Double(n) * Double(k) * Double(2 * n - 3 * k - 1) / 2
    scores.trustworthiness = 1 - surplus(of: low, in: points, nearest: high) / whole
    scores.continuity = 1 - surplus(of: high, in: embedding, nearest: low) / whole
    return scores
  }

  /// Sum over the neighbours that are not among the k `nearest` in `points` of (rank there - k).
  private static func surplus(of neighbours: NearestNeighbours, in points: Points, nearest: NearestNeighbours) -> Double {
    let (n, k) = (points.count, neighbours.k)
    let rows = DistanceRows(points)
    var sums = [Double](repeating: 0, count: n)
    sums.withUnsafeMutableBufferPointer { sums in
      rows.forEachBlock { first, tile in
        // Neighbours that are none in truth, and their distances as the tile has them.
        let strangers = tile.rows.map { i in
          let known = Set(nearest.indices[i * k..<(i + 1) * k])
          return neighbours.indices[i * k..<(i + 1) * k].filter { !known.contains($0) }.map(Int.init)
        }
        var limits = strangers.map { [Float](repeating: 0, count: $0.count) }
        var ranks = strangers.map { [Int](repeating: 0, count: $0.count) }
        tile.forEachPart { columns, values, stride in
          for r in strangers.indices {
            for (s, j) in strangers[r].enumerated() where columns.contains(j) { limits[r][s] = values[r * stride + j - columns.lowerBound] }
          }
        }
        tile.forEachPart { columns, values, stride in
          for r in strangers.indices {
            for s in strangers[r].indices {
              ranks[r][s] += Kernel.table.count_below(values + r * stride, columns.count, limits[r][s])
            }
          }
        }
        for r in strangers.indices {
          // Those nearer include the point itself: their number is the rank, unless rounding puts one of the k nearest behind.
          for rank in ranks[r] { sums[first + r] += Double(max(rank, k + 1) - k) }
        }
      }
    }
    return sums.reduce(0, +)
  }

  /// Sum over i, j of p log (p / q), q = 1 / (1 + |y_i - y_j|^2) / Z with Z over all pairs.
  static func klDivergence(_ affinities: SparseAffinities, _ embedding: Points) -> Double {
    let (n, d) = (embedding.count, embedding.dimension)
    let rows = DistanceRows(embedding)
    var sums = [Double](repeating: 0, count: n)
    var terms = sums
    sums.withUnsafeMutableBufferPointer { sums in
      terms.withUnsafeMutableBufferPointer { terms in
        embedding.values.withUnsafeBufferPointer { y in
          rows.forEachBlock { first, tile in
            tile.forEachPart { columns, values, stride in
              for r in 0..<tile.rows.count {
                // Tiles of many dimensions lack the row's own norm.
                let own = d > 8 ? rows.norms[first + r] : 0
                var sum: Float = 0
                var lanes = SIMD8<Float>()
                var c = 0
                let line = values + r * stride
                while c + 8 <= columns.count {
                  var v = SIMD8<Float>()
                  for l in 0..<8 { v[l] = line[c + l] }
                  lanes += 1 / (1 + (v + own))
                  c += 8
                }
                while c < columns.count {
                  sum += 1 / (1 + line[c] + own)
                  c += 1
                }
                sums[first + r] += Double(sum) + Double(lanes.sum())
              }
            }
            for i in tile.rows {
              for e in Int(affinities.starts[i])..<Int(affinities.starts[i + 1]) {
                let (p, j) = (Double(affinities.values[e]), Int(affinities.columns[e]))
                var squared = 0.0
                for a in 0..<d { squared += pow(Double(y[i * d + a]) - Double(y[j * d + a]), 2) }
                terms[i] += p * (log(p) + log(1 + squared))
              }
            }
          }
        }
      }
    }
    // Each point is its own neighbour at distance 0 in the rows.
    let z = sums.reduce(0, +) - Double(n)
    let total = affinities.values.reduce(0.0) { $0 + Double($1) }
    return terms.reduce(0, +) + total * log(max(z, 1e-300))
  }
}
