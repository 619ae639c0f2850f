import Engine
import Foundation

/// Symmetric affinities between points as a sparse matrix, row by row (compressed sparse rows), columns ascending.
struct SparseAffinities: Sendable {
  /// n + 1 places in `columns`.
  var starts: [Int64]
  var columns: [Int32]
  var values: [Float]
  var count: Int { starts.count - 1 }

  /// Combines a directed matrix, given as k neighbours a row, with its transpose: value = combine(a_ij, a_ji), where an entry that is not
  /// there is 0. Entries that become 0 are left out.
  init(_ neighbours: NearestNeighbours, weights: [Float], combine: (Float, Float) -> Float) {
    let (n, k) = (neighbours.count, neighbours.k)
    // The transpose: its rows come out with ascending columns, because rows are walked in order.
    var back = [Int](repeating: 0, count: n + 1)
    for j in neighbours.indices { back[Int(j) + 1] += 1 }
    for i in 0..<n { back[i + 1] += back[i] }
    var at = back
    var from = [Int32](repeating: 0, count: n * k)
    var weight = [Float](repeating: 0, count: n * k)
    for i in 0..<n {
      for e in i * k..<(i + 1) * k {
        let j = Int(neighbours.indices[e])
        from[at[j]] = Int32(i)
        weight[at[j]] = weights[e]
        at[j] += 1
      }
    }
    starts = [0]
    (columns, values) = ([], [])
    columns.reserveCapacity(2 * n * k)
    values.reserveCapacity(2 * n * k)
    for i in 0..<n {
      let mine = (i * k..<(i + 1) * k).map { (neighbours.indices[$0], weights[$0]) }.sorted { $0.0 < $1.0 }
      var (a, b) = (0, back[i])
      while a < k || b < back[i + 1] {
        let (ja, jb) = (a < k ? mine[a].0 : Int32.max, b < back[i + 1] ? from[b] : Int32.max)
        let value = combine(ja <= jb ? mine[a].1 : 0, jb <= ja ? weight[b] : 0)
        if value != 0 {
          columns.append(min(ja, jb))
          values.append(value)
        }
        if ja <= jb { a += 1 }
        if jb <= ja { b += 1 }
      }
      starts.append(Int64(columns.count))
    }
  }
}

extension SparseAffinities {
  /// t-SNE's affinities (van der Maaten and Hinton 2008): in each row a Gaussian over the neighbours whose width gives the perplexity, then
  /// (p_j|i + p_i|j) / 2n, so that all together sum to 1.
  ///
  /// - Parameter perplexity: at most the number of neighbours.
  static func gaussian(_ neighbours: NearestNeighbours, perplexity: Double) -> SparseAffinities {
    let (n, k) = (neighbours.count, neighbours.k)
    var conditional = [Float](repeating: 0, count: n * k)
    conditional.withUnsafeMutableBufferPointer { out in
      neighbours.squaredDistances.withUnsafeBufferPointer { distances in
        inParallel(tasks: (n + 255) / 256) { task in
          var p = [Double](repeating: 0, count: k)
          for i in task * 256..<min(n, task * 256 + 256) {
            row(distances, i * k, perplexity, &p)
            for e in 0..<k { out[i * k + e] = Float(p[e]) }
          }
        }
      }
    }
    let scale = 1 / (2 * Float(n))
    return SparseAffinities(neighbours, weights: conditional) { ($0 + $1) * scale }
  }

  /// Searches the precision beta (1 / 2 sigma^2) whose distribution exp(-beta d^2) has the entropy log(perplexity).
  private static func row(_ squared: UnsafeBufferPointer<Float>, _ first: Int, _ perplexity: Double, _ p: inout [Double]) {
    let wanted = log(perplexity)
    // Distances to the nearest: the same distribution, and exp never vanishes everywhere.
    let nearest = Double(squared[first])
    let mean = (0..<p.count).reduce(0) { $0 + Double(squared[first + $1]) - nearest } / Double(p.count)
    var (low, high, beta) = (0.0, Double.infinity, mean > 0 ? 1 / mean : 1)
    for _ in 0..<200 {
      var (sum, moment) = (0.0, 0.0)
      for e in 0..<p.count {
        let d = Double(squared[first + e]) - nearest
        p[e] = exp(-beta * d)
        sum += p[e]
        moment += p[e] * d
      }
      let surplus = log(sum) + beta * moment / sum - wanted
      for e in 0..<p.count { p[e] /= sum }
      if abs(surplus) < 1e-7 { return }
      if surplus > 0 { low = beta } else { high = beta }
      beta = high.isInfinite ? beta * 2 : (low + high) / 2
      // More points at the same place than the perplexity: no width gives it, and the narrowest is right.
      if beta > 1e30 || beta < 1e-300 { return }
    }
  }
}
