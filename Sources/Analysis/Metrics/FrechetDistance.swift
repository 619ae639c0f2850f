import COpenBLAS
import Engine
import Foundation

/// How far two sets of features are apart when both are taken for normal distributions: `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`.
///
/// With features of InceptionV3 this is FID (Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium",
/// NeurIPS 2017). Covariances are divided by n - 1, as pytorch-fid and torch-fidelity do.
public enum FrechetDistance {
  /// - Parameters:
  ///   - real, fake: features, a picture a row; at least two rows each, as many columns. The result is sure only with more rows than columns.
  ///   - replicates: resamplings for the interval; 0 makes none.
  /// - Throws: `InputError` `.badData` for sets that do not fit.
  public static func between(_ real: Points, _ fake: Points, replicates: Int = 0, seed: UInt64 = 0) throws -> MetricEstimate {
    try MetricInput.check(real, fake)
    let value = distance(Moments(real), Moments(fake))
    let drawn = Bootstrap.replicates(replicates) { i in
      let a = Moments(real, Bootstrap.weights(real.count, replicate: 2 * i, seed: seed))
      return distance(a, Moments(fake, Bootstrap.weights(fake.count, replicate: 2 * i + 1, seed: seed)))
    }
    return Bootstrap.estimate(value, drawn)
  }

  /// Mean and covariance in double.
  struct Moments {
    let dimension: Int
    var mean: [Double]
    /// `[d, d]`
    var covariance: [Double]

    /// - Parameter weights: how often each row counts.
    init(_ points: Points, _ weights: [Double]? = nil) {
      let (n, d) = (points.count, points.dimension)
      dimension = d
      mean = [Double](repeating: 0, count: d)
      covariance = [Double](repeating: 0, count: d * d)
      let total = weights?.reduce(0, +) ?? Double(n)
      for i in 0..<n {
        let w = weights?[i] ?? 1
        if w == 0 { continue }
        for c in 0..<d { mean[c] += w * Double(points.values[i * d + c]) }
      }
      for c in 0..<d { mean[c] /= total }
      // Some thousand rows at a time: all of them in double could be gigabytes.
      let rows = min(n, max(1, (1 << 21) / d))
      var block = [Double](repeating: 0, count: rows * d)
      for start in stride(from: 0, to: n, by: rows) {
        let count = min(rows, n - start)
        for i in 0..<count {
          let root = (weights?[start + i] ?? 1).squareRoot()
          for c in 0..<d { block[i * d + c] = root * (Double(points.values[(start + i) * d + c]) - mean[c]) }
        }
        cblas_dgemm(
          CblasRowMajor, CblasTrans, CblasNoTrans, blasint(d), blasint(d), blasint(count), 1 / (total - 1), block, blasint(d), block,
          blasint(d), 1, &covariance, blasint(d))
      }
    }
  }

  /// The trace of the root of C1 C2 is the sum of the roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric.
  static func distance(_ a: Moments, _ b: Moments) -> Double {
    let d = a.dimension
    var shift = 0.0
    var traces = 0.0
    for c in 0..<d {
      let difference = a.mean[c] - b.mean[c]
      shift += difference * difference
      traces += a.covariance[c * d + c] + b.covariance[c * d + c]
    }
    let pairs = LeadingEigenpairs.lapack(a.covariance, d, 0..<d)
    // Rows are eigenvectors times the fourth root: their Gram matrix is the root of C1.
    var scaled = [Double](repeating: 0, count: d * d)
    for (i, vector) in pairs.vectors.enumerated() {
      let root = max(0, pairs.values[i]).squareRoot().squareRoot()
      for c in 0..<d { scaled[i * d + c] = root * vector[c] }
    }
    func product(_ x: [Double], _ y: [Double], transposed: Bool = false) -> [Double] {
      var out = [Double](repeating: 0, count: d * d)
      cblas_dgemm(
        CblasRowMajor, transposed ? CblasTrans : CblasNoTrans, CblasNoTrans, blasint(d), blasint(d), blasint(d), 1, x, blasint(d), y,
        blasint(d), 0, &out, blasint(d))
      return out
    }
    let root = product(scaled, scaled, transposed: true)
    let inner = product(product(root, b.covariance), root)
    let cross = LeadingEigenpairs.lapack(inner, d, 0..<d).values.reduce(0) { $0 + max(0, $1).squareRoot() }
    return shift + traces - 2 * cross
  }
}

/// What two sets of features must have in common.
enum MetricInput {
  static func check(_ real: Points, _ fake: Points) throws {
    guard real.dimension == fake.dimension else {
      throw InputError(
        .badData, "features of \(real.dimension) and \(fake.dimension) columns cannot be compared", hint: "take both from one extractor")
    }
    for (name, set) in [("real", real), ("fake", fake)] where set.count < 2 {
      throw InputError(.badData, "\(name): \(set.count) picture, expected at least 2")
    }
  }
}
