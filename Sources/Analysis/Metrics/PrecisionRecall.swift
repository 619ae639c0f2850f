import COpenBLAS
import Engine
import Foundation

/// How many generated pictures lie where real ones are (precision: are they believable?) and how many real ones lie where generated ones are (recall: is all of it
/// covered?).
///
/// Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models", NeurIPS 2019: where a set is, is the union of balls about its points, each as
/// far as the point's k-th nearest neighbour in the set.
public enum PrecisionRecall {
  public struct Score: Sendable, Equatable {
    public let precision: MetricEstimate
    public let recall: MetricEstimate
  }

  /// - Parameters:
  ///   - real, fake: features, a picture a row; more than `neighbours` rows each, as many columns.
  ///   - neighbours: k; 3 in the paper.
  ///   - replicates: resamplings for the intervals: of the pictures that are asked about, while the balls stay. 0 makes none.
  /// - Throws: `InputError` `.badData` for sets that do not fit.
  public static func between(_ real: Points, _ fake: Points, neighbours: Int = 3, replicates: Int = 0, seed: UInt64 = 0) throws -> Score {
    try MetricInput.check(real, fake)
    for (name, set) in [("real", real), ("fake", fake)] where set.count <= neighbours {
      throw InputError(.badData, "\(name): \(set.count) pictures have no \(neighbours) neighbours each", hint: "give more pictures")
    }
    let a = share(of: fake, within: real, neighbours)
    let b = share(of: real, within: fake, neighbours)
    return Score(precision: estimate(a, replicates, 2 &* seed), recall: estimate(b, replicates, 2 &* seed &+ 1))
  }

  private static func estimate(_ inside: [Bool], _ replicates: Int, _ seed: UInt64) -> MetricEstimate {
    let n = Double(inside.count)
    let drawn = Bootstrap.replicates(replicates) { i in
      let weights = Bootstrap.weights(inside.count, replicate: i, seed: seed)
      return zip(inside, weights).reduce(0) { $0 + ($1.0 ? $1.1 : 0) } / n
    }
    let plain = Bootstrap.estimate(Double(inside.count { $0 }) / n, drawn)
    return MetricEstimate(
      value: plain.value, interval: plain.interval.map { max(0, $0.lowerBound)...min(1, $0.upperBound) }, replicates: plain.replicates)
  }

  /// For each of `points` whether it lies in a ball about one of `centres`.
  private static func share(of points: Points, within centres: Points, _ k: Int) -> [Bool] {
    // The k-th nearest of the others: a point is no neighbour of its own.
    let radii = rows(centres, centres) { i, distances in
      var nearest = distances.enumerated().filter { $0.offset != i }.map(\.element)
      nearest.sort()
      return nearest[k - 1]
    }
    // Distances come from products: what rounding takes from them is given back, or a copy of a picture could lie outside of a ball without extent.
    let slack = 1e-12 * max(largestSquare(points), largestSquare(centres))
    return rows(points, centres) { _, distances in zip(distances, radii).contains { $0 <= $1 + slack } }
  }

  private static func largestSquare(_ p: Points) -> Double { squares(p).max() ?? 0 }

  private static func squares(_ p: Points) -> [Double] {
    (0..<p.count).map { i in p[i].reduce(0.0) { $0 + Double($1) * Double($1) } }
  }

  /// One value for each row of `x`, from its squared distances to all rows of `y`.
  private static func rows<Value>(_ x: Points, _ y: Points, _ body: (Int, ArraySlice<Double>) -> Value) -> [Value] {
    let (n, m, d) = (x.count, y.count, x.dimension)
    let right = y.values.map(Double.init)
    let (xx, yy) = (squares(x), squares(y))
    let strip = max(1, min(256, (1 << 22) / m))
    var out: [Value] = []
    for start in stride(from: 0, to: n, by: strip) {
      let count = min(strip, n - start)
      let left = x.values[start * d..<(start + count) * d].map(Double.init)
      var products = [Double](repeating: 0, count: count * m)
      cblas_dgemm(
        CblasRowMajor, CblasNoTrans, CblasTrans, blasint(count), blasint(m), blasint(d), -2, left, blasint(d), right, blasint(d), 0,
        &products,
        blasint(m))
      for i in 0..<count {
        for j in 0..<m { products[i * m + j] = max(0, products[i * m + j] + xx[start + i] + yy[j]) }
        out.append(body(start + i, ArraySlice(products[i * m..<(i + 1) * m])))
      }
    }
    return out
  }
}
