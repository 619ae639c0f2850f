import COpenBLAS
import Engine

/// Principal components, as scikit-learn's `PCA` gives them: the directions of largest variance of centred points.
///
/// Computed in double. The covariance [d, d] is decomposed, or the products of the points with each other [n, n] when there are fewer points
/// than coordinates. The sign is that of `svd_flip(u_based_decision=False)`: the loading of largest magnitude is positive.
public struct PCA: Sendable, Equatable {
  /// Mean of each of the d coordinates.
  public let mean: [Double]
  /// k directions of length 1, each with d loadings.
  public let components: [[Double]]
  /// Variance along each direction (divided by n - 1), descending.
  public let explainedVariance: [Double]
  /// Share of the whole variance along each direction; zeros when all points are the same.
  public let explainedVarianceRatio: [Double]

  /// - Parameter count: number of components, at most min(n, d).
  /// - Throws: `InputError(.usage)` for another number, `InputError(.badData)` for a single point, which has no variance.
  public init(_ points: Points, components count: Int) throws {
    let (n, d) = (points.count, points.dimension)
    guard n >= 2 else { throw InputError(.badData, "PCA: 1 point, expected at least 2") }
    guard count >= 1, count <= min(n, d) else {
      throw InputError(.usage, "PCA: \(count) components of \(n) points with \(d) coordinates, expected 1 to \(min(n, d))")
    }
    let mean = points.mean()
    self.mean = mean
    var centred = [Double](repeating: 0, count: n * d)
    centred.withUnsafeMutableBufferPointer { out in
      points.values.withUnsafeBufferPointer { values in
        inParallel(tasks: (n + 255) / 256) { task in
          for i in task * 256..<min(n, task * 256 + 256) { for c in 0..<d { out[i * d + c] = Double(values[i * d + c]) - mean[c] } }
        }
      }
    }
    let byCovariance = d <= n
    let size = byCovariance ? d : n
    let matrix = Self.products(centred, n, d, ofColumns: byCovariance)
    let total = (0..<size).reduce(0) { $0 + matrix[$1 * size + $1] }
    let pairs = LeadingEigenpairs.dense(matrix, size, count)
    var directions = pairs.vectors
    if !byCovariance {
      // From eigenvectors u of X X' to those of X' X: X' u / sqrt(eigenvalue).
      directions = pairs.vectors.map { u in
        var v = [Double](repeating: 0, count: d)
        cblas_dgemv(CblasRowMajor, CblasTrans, blasint(n), blasint(d), 1, centred, blasint(d), u, 1, 0, &v, 1)
        return v
      }
    }
    // Directions without variance are any that stand at right angles to the others.
    directions = Self.completed(directions, pairs.values, d, total)
    components = directions.map(Self.signed)
    explainedVariance = pairs.values.map { max(0, $0) / Double(n - 1) }
    explainedVarianceRatio = pairs.values.map { total > 0 ? max(0, $0) / total : 0 }
  }

  /// Coordinates of points (of these or others) along the components, [n, k].
  ///
  /// - Throws: `InputError(.badData)` when they have another number of coordinates.
  public func transform(_ points: Points) throws -> Points {
    let (d, k) = (mean.count, components.count)
    guard points.dimension == d else {
      throw InputError(.badData, "PCA: points with \(points.dimension) coordinates, expected \(d)")
    }
    var out = [Float](repeating: 0, count: points.count * k)
    out.withUnsafeMutableBufferPointer { out in
      points.values.withUnsafeBufferPointer { values in
        inParallel(tasks: (points.count + 63) / 64) { task in
          var centred = [Double](repeating: 0, count: d)
          for i in task * 64..<min(points.count, task * 64 + 64) {
            for c in 0..<d { centred[c] = Double(values[i * d + c]) - mean[c] }
            for j in 0..<k { out[i * k + j] = Float(cblas_ddot(blasint(d), centred, 1, components[j], 1)) }
          }
        }
      }
    }
    return Points(unchecked: out, count: points.count, dimension: k)
  }

  /// X' X of the columns [d, d], or X X' of the rows [n, n].
  static func products(_ x: [Double], _ n: Int, _ d: Int, ofColumns: Bool) -> [Double] {
    let size = ofColumns ? d : n
    var out = [Double](repeating: 0, count: size * size)
    let block = 256
    let blocks = (size + block - 1) / block
    let tiles = (0..<blocks).flatMap { i in (i..<blocks).map { (i, $0) } }
    out.withUnsafeMutableBufferPointer { out in
      x.withUnsafeBufferPointer { x in
        guard let out = out.baseAddress, let x = x.baseAddress else { return }
        inParallel(tasks: tiles.count) { tile in
          let (i, j) = (tiles[tile].0 * block, tiles[tile].1 * block)
          let (rows, columns) = (min(block, size - i), min(block, size - j))
          cblas_dgemm(
            CblasRowMajor, ofColumns ? CblasTrans : CblasNoTrans, ofColumns ? CblasNoTrans : CblasTrans, blasint(rows), blasint(columns),
            blasint(ofColumns ? n : d), 1, x + (ofColumns ? i : i * d), blasint(d), x + (ofColumns ? j : j * d), blasint(d), 0,
            out + i * size + j, blasint(size))
        }
        for i in 0..<size { for j in 0..<i { out[i * size + j] = out[j * size + i] } }
      }
    }
    return out
  }

  /// Vectors of length 1; those that have no direction of their own get one.
  private static func completed(_ vectors: [[Double]], _ values: [Double], _ d: Int, _ total: Double) -> [[Double]] {
    var out: [[Double]] = []
    var axis = 0
    for (v, value) in zip(vectors, values) {
      var v = v
      var length = value > 1e-14 * total ? cblas_dnrm2(blasint(d), v, 1) : 0
      while length <= 0 {
        v = (0..<d).map { $0 == axis ? 1 : 0 }
        axis += 1
        for _ in 0..<2 { for q in out { cblas_daxpy(blasint(d), -cblas_ddot(blasint(d), q, 1, v, 1), q, 1, &v, 1) } }
        length = cblas_dnrm2(blasint(d), v, 1)
        if length < 1e-6, axis < d { length = 0 }
      }
      out.append(v.map { $0 / length })
    }
    return out
  }

  /// The sign of `svd_flip`.
  static func signed(_ v: [Double]) -> [Double] {
    let largest = v.indices.max { abs(v[$0]) < abs(v[$1]) } ?? 0
    return v[largest] < 0 ? v.map { -$0 } : v
  }
}
