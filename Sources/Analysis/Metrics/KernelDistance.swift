import COpenBLAS
import Engine
import Foundation

/// The squared maximum mean discrepancy of two sets of features with the kernel `(x.y / d + 1)^3`, unbiased: it can be below 0 for sets that are alike.
///
/// With features of InceptionV3 this is KID (Binkowski et al., "Demystifying MMD GANs", ICLR 2018), over the whole sets rather than subsets of 1,000.
public enum KernelDistance {
  /// - Parameters: as those of `FrechetDistance`. Takes time with the square of the number of rows.
  /// - Throws: `InputError` `.badData` for sets that do not fit.
  public static func between(_ real: Points, _ fake: Points, replicates: Int = 0, seed: UInt64 = 0) throws -> MetricEstimate {
    try MetricInput.check(real, fake)
    // Row 0 counts everything once: the estimate itself. Resampled sets hold copies of a picture; a pair of copies is no pair.
    func weights(_ n: Int, _ offset: Int) -> [[Double]] {
      [[Double](repeating: 1, count: n)] + (0..<replicates).map { Bootstrap.weights(n, replicate: 2 * $0 + offset, seed: seed) }
    }
    let (a, b) = (weights(real.count, 0), weights(fake.count, 1))
    let within = [(real, a), (fake, b)].map { points, weights -> [Double] in
      let sums = kernelSums(points, points, weights, weights, skippingDiagonal: true)
      return zip(sums, weights).map { sum, w in
        let total = w.reduce(0, +)
        return sum / (total * total - w.reduce(0) { $0 + $1 * $1 })
      }
    }
    let across = kernelSums(real, fake, a, b, skippingDiagonal: false)
    let values = a.indices.map { i -> Double in
      let pairs = a[i].reduce(0, +) * b[i].reduce(0, +)
      return within[0][i] + within[1][i] - 2 * across[i] / pairs
    }
    return Bootstrap.estimate(values[0], Array(values.dropFirst()))
  }

  /// For every row of weights the sum of `u_i v_j k(x_i, y_j)` over all i and j; the kernel matrix is made in strips and never stored.
  private static func kernelSums(
    _ x: Points, _ y: Points, _ u: [[Double]], _ v: [[Double]], skippingDiagonal: Bool
  ) -> [Double] {
    let (n, m, d, sets) = (x.count, y.count, x.dimension, u.count)
    let rows = max(1, min(256, (1 << 22) / m))
    let strips = (n + rows - 1) / rows
    let left = x.values.map(Double.init)
    let right = y.values.map(Double.init)
    let flat = v.flatMap { $0 }
    let slots = UnsafeMutablePointer<Double>.allocate(capacity: strips * sets)
    slots.initialize(repeating: 0, count: strips * sets)
    defer { slots.deallocate() }
    left.withUnsafeBufferPointer { left in
      guard let base = left.baseAddress else { return }
      inParallel(tasks: strips) { strip in
        let start = strip * rows
        let count = min(rows, n - start)
        var kernel = [Double](repeating: 0, count: count * m)
        cblas_dgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, blasint(count), blasint(m), blasint(d), 1 / Double(d), base + start * d, blasint(d),
          right, blasint(d), 0, &kernel, blasint(m))
        for k in kernel.indices {
          let t = kernel[k] + 1
          kernel[k] = t * t * t
        }
        if skippingDiagonal { for i in 0..<count { kernel[i * m + start + i] = 0 } }
        var weighted = [Double](repeating: 0, count: count * sets)
        cblas_dgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, blasint(count), blasint(sets), blasint(m), 1, kernel, blasint(m), flat, blasint(m), 0,
          &weighted, blasint(sets))
        for i in 0..<count { for s in 0..<sets { slots[strip * sets + s] += u[s][start + i] * weighted[i * sets + s] } }
      }
    }
    return (0..<sets).map { s in (0..<strips).reduce(0) { $0 + slots[$1 * sets + s] } }
  }
}
