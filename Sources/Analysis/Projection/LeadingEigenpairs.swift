import COpenBLAS
import Engine
import Foundation

/// Eigenpairs of symmetric matrices, the largest eigenvalues first.
enum LeadingEigenpairs {
  struct Result {
    /// Descending.
    var values: [Double]
    /// One eigenvector a row, of length n, with norm 1.
    var vectors: [[Double]]
  }

  /// The `k` largest of a dense matrix [n, n]: LAPACK's dsyevr below 400 rows or for many eigenpairs, otherwise block Krylov iterations, and
  /// LAPACK again when these do not converge.
  static func dense(_ matrix: [Double], _ n: Int, _ k: Int) -> Result {
    if n > 400, k * 10 <= n {
      let apply: (UnsafePointer<Double>, UnsafeMutablePointer<Double>, Int) -> Void = { x, y, b in
        matrix.withUnsafeBufferPointer { m in
          guard let m = m.baseAddress else { return }
          let rows = 128
          inParallel(tasks: (n + rows - 1) / rows) { task in
            let from = task * rows
            cblas_dgemm(
              CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(min(rows, n - from)), blasint(b), blasint(n), 1, m + from * n, blasint(n),
              x,
              blasint(b), 0, y + from * b, blasint(b))
          }
        }
      }
      if let found = krylov(n, k, tolerance: 1e-9, seed: 0x5eed, apply) { return found }
    }
    return lapack(matrix, n, n - k..<n)
  }

  /// Eigenpairs number `range` in ascending order, by LAPACK; returned descending.
  static func lapack(_ matrix: [Double], _ n: Int, _ range: Range<Int>) -> Result {
    var a = matrix
    var values = [Double](repeating: 0, count: n)
    var vectors = [Double](repeating: 0, count: n * range.count)
    var support = [Int32](repeating: 0, count: 2 * range.count)
    var (order, low, high, found, info) = (Int32(n), Int32(range.lowerBound + 1), Int32(range.upperBound), Int32(0), Int32(0))
    var (vl, vu, tolerance) = (0.0, 0.0, 0.0)
    var (job, which, triangle) = (CChar(86), CChar(73), CChar(85))  // V, I, U
    var (work, whole) = ([0.0], [Int32(0)])
    // The first call asks how much room is needed.
    for isQuestion in [true, false] {
      var (size, wholes) = (Int32(isQuestion ? -1 : work.count), Int32(isQuestion ? -1 : whole.count))
      dsyevr_(
        &job, &which, &triangle, &order, &a, &order, &vl, &vu, &low, &high, &tolerance, &found, &values, &vectors, &order, &support, &work,
        &size,
        &whole, &wholes, &info)
      precondition(info == 0, "dsyevr says \(info)")
      if isQuestion { (work, whole) = ([Double](repeating: 0, count: Int(work[0])), [Int32](repeating: 0, count: Int(whole[0]))) }
    }
    let k = range.count
    return Result(
      values: values.prefix(k).reversed(), vectors: (0..<k).reversed().map { Array(vectors[$0 * n..<($0 + 1) * n]) })
  }

  /// The `k` largest of a symmetric operator, by a restarted block Krylov method with Rayleigh-Ritz projection (Musco and Musco 2015); nil
  /// when the residuals do not fall below `tolerance` times the largest eigenvalue.
  ///
  /// - Parameter apply: y = A x for x [n, b], row-major.
  static func krylov(
    _ n: Int, _ k: Int, tolerance: Double, seed: UInt64, width: Int? = nil, depth: Int = 6, restarts: Int = 40,
    _ apply: (UnsafePointer<Double>, UnsafeMutablePointer<Double>, Int) -> Void
  ) -> Result? {
    let b = min(n, width ?? k + 8)
    let whole = min(n, b * depth)
    var random = SplitMix64(seed: seed)
    // Columns are kept as rows: basis[j] is a vector of length n.
    var start = (0..<b).map { _ in (0..<n).map { _ in random.normal() } }
    for _ in 0..<restarts {
      var basis: [[Double]] = []
      var images: [[Double]] = []
      var block = orthonormal(start, against: basis)
      while !block.isEmpty, basis.count + block.count <= whole {
        let image = applied(block, n, apply)
        basis += block
        images += image
        if basis.count + block.count > whole { break }
        block = orthonormal(image, against: basis)
      }
      let m = basis.count
      guard m >= k else { return nil }
      let small = gram(basis, images, n)
      let ritz = lapack(symmetric(small, m), m, max(0, m - b)..<m)
      let vectors = combined(basis, ritz.vectors, n)
      let mapped = combined(images, ritz.vectors, n)
      let scale = max(abs(ritz.values[0]), 1e-300)
      var residual = 0.0
      for i in 0..<k {
        var rest = mapped[i]
        cblas_daxpy(blasint(n), -ritz.values[i], vectors[i], 1, &rest, 1)
        residual = max(residual, cblas_dnrm2(blasint(n), rest, 1))
      }
      if residual <= tolerance * scale || m == n {
        return Result(values: Array(ritz.values.prefix(k)), vectors: Array(vectors.prefix(k)))
      }
      start = vectors
    }
    return nil
  }

  private static func applied(
    _ block: [[Double]], _ n: Int, _ apply: (UnsafePointer<Double>, UnsafeMutablePointer<Double>, Int) -> Void
  ) -> [[Double]] {
    let b = block.count
    var x = [Double](repeating: 0, count: n * b)
    var y = x
    for j in 0..<b { for i in 0..<n { x[i * b + j] = block[j][i] } }
    x.withUnsafeBufferPointer { x in
      y.withUnsafeMutableBufferPointer { y in if let x = x.baseAddress, let y = y.baseAddress { apply(x, y, b) } }
    }
    return (0..<b).map { j in (0..<n).map { y[$0 * b + j] } }
  }

  /// Gram-Schmidt, twice for its rounding; vectors that vanish are left out.
  private static func orthonormal(_ vectors: [[Double]], against basis: [[Double]]) -> [[Double]] {
    var out: [[Double]] = []
    for v in vectors {
      var v = v
      let before = cblas_dnrm2(blasint(v.count), v, 1)
      guard before > 0, before.isFinite else { continue }
      for _ in 0..<2 {
        for q in basis { cblas_daxpy(blasint(v.count), -cblas_ddot(blasint(v.count), q, 1, v, 1), q, 1, &v, 1) }
        for q in out { cblas_daxpy(blasint(v.count), -cblas_ddot(blasint(v.count), q, 1, v, 1), q, 1, &v, 1) }
      }
      let after = cblas_dnrm2(blasint(v.count), v, 1)
      guard after > 1e-12 * before else { continue }
      cblas_dscal(blasint(v.count), 1 / after, &v, 1)
      out.append(v)
    }
    return out
  }

  private static func gram(_ a: [[Double]], _ b: [[Double]], _ n: Int) -> [Double] {
    a.flatMap { row in b.map { cblas_ddot(blasint(n), row, 1, $0, 1) } }
  }

  private static func symmetric(_ a: [Double], _ m: Int) -> [Double] {
    (0..<m * m).map { (a[$0] + a[$0 % m * m + $0 / m]) / 2 }
  }

  private static func combined(_ basis: [[Double]], _ weights: [[Double]], _ n: Int) -> [[Double]] {
    weights.map { w in
      var out = [Double](repeating: 0, count: n)
      for (v, c) in zip(basis, w) { cblas_daxpy(blasint(n), c, v, 1, &out, 1) }
      return out
    }
  }
}
