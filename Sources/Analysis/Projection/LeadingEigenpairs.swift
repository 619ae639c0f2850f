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
      if let found = krylov(n, k, tolerance: 1e-9, seed: 0x5eed, apply), found.converged { return found.pairs }
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

  /// The `k` largest of a symmetric operator, by a restarted block Krylov method with Rayleigh-Ritz projection (Musco and Musco 2015), until
  /// the residuals fall below `tolerance` times the largest eigenvalue.
  ///
  /// - Parameter apply: y = A x for x [n, b], row-major.
  /// - Returns: the pairs, and whether they are that good; nil when fewer than `k` directions were found.
  static func krylov(
    _ n: Int, _ k: Int, tolerance: Double, seed: UInt64, width: Int? = nil, depth: Int = 6, restarts: Int = 40,
    _ apply: (UnsafePointer<Double>, UnsafeMutablePointer<Double>, Int) -> Void
  ) -> (pairs: Result, converged: Bool)? {
    let b = min(n, width ?? k + 8)
    let whole = min(n, b * depth)
    var random = SplitMix64(seed: seed)
    var start = Rows(n, (0..<b * n).map { _ in random.normal() })
    var best: Result?
    for _ in 0..<restarts {
      var (basis, images) = (Rows(n), Rows(n))
      var block = start.orthonormal(against: basis)
      while block.count > 0, basis.count + block.count <= whole {
        let image = block.applied(apply)
        basis.values += block.values
        images.values += image.values
        block = image.orthonormal(against: basis)
      }
      let m = basis.count
      guard m >= k else { return best.map { ($0, false) } }
      let small = images.products(with: basis)
      let ritz = lapack((0..<m * m).map { (small[$0] + small[$0 % m * m + $0 / m]) / 2 }, m, max(0, m - b)..<m)
      let weights = ritz.vectors.flatMap { $0 }
      let vectors = basis.combined(weights)
      let mapped = images.combined(weights)
      var residual = 0.0
      for i in 0..<k {
        var rest = Array(mapped.values[i * n..<(i + 1) * n])
        cblas_daxpy(blasint(n), -ritz.values[i], Array(vectors.values[i * n..<(i + 1) * n]), 1, &rest, 1)
        residual = max(residual, cblas_dnrm2(blasint(n), rest, 1))
      }
      let found = Result(
        values: Array(ritz.values.prefix(k)), vectors: (0..<k).map { Array(vectors.values[$0 * n..<($0 + 1) * n]) })
      if residual <= tolerance * max(abs(ritz.values[0]), 1e-300) || m == n { return (found, true) }
      best = found
      start = vectors
    }
    return best.map { ($0, false) }
  }
}

/// Vectors of length n, one a row.
private struct Rows {
  let n: Int
  var values: [Double]
  var count: Int { values.count / n }

  init(_ n: Int, _ values: [Double] = []) {
    self.n = n
    self.values = values
  }

  /// Products of each of these with each of those, [count, other.count].
  func products(with other: Rows) -> [Double] {
    var out = [Double](repeating: 0, count: count * other.count)
    if out.isEmpty { return out }
    cblas_dgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, blasint(count), blasint(other.count), blasint(n), 1, values, blasint(n), other.values,
      blasint(n), 0, &out, blasint(other.count))
    return out
  }

  /// Sums of these with weights [k, count].
  func combined(_ weights: [Double]) -> Rows {
    let k = weights.count / count
    var out = [Double](repeating: 0, count: k * n)
    cblas_dgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(k), blasint(n), blasint(count), 1, weights, blasint(count), values, blasint(n), 0,
      &out,
      blasint(n))
    return Rows(n, out)
  }

  func applied(_ apply: (UnsafePointer<Double>, UnsafeMutablePointer<Double>, Int) -> Void) -> Rows {
    let b = count
    var x = [Double](repeating: 0, count: n * b)
    var y = x
    for j in 0..<b { for i in 0..<n { x[i * b + j] = values[j * n + i] } }
    x.withUnsafeBufferPointer { x in
      y.withUnsafeMutableBufferPointer { y in if let x = x.baseAddress, let y = y.baseAddress { apply(x, y, b) } }
    }
    var out = Rows(n, [Double](repeating: 0, count: n * b))
    for j in 0..<b { for i in 0..<n { out.values[j * n + i] = y[i * b + j] } }
    return out
  }

  /// Gram-Schmidt against `basis` and each other, twice for its rounding; vectors that vanish are left out.
  func orthonormal(against basis: Rows) -> Rows {
    var rest = values
    if basis.count > 0 {
      for _ in 0..<2 {
        let weights = Rows(n, rest).products(with: basis)
        cblas_dgemm(
          CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(count), blasint(n), blasint(basis.count), -1, weights, blasint(basis.count),
          basis.values, blasint(n), 1, &rest, blasint(n))
      }
    }
    var out = Rows(n)
    for j in 0..<count {
      let before = cblas_dnrm2(blasint(n), Array(values[j * n..<(j + 1) * n]), 1)
      guard before > 0, before.isFinite else { continue }
      var v = Array(rest[j * n..<(j + 1) * n])
      for round in 0..<2 {
        // What the first round left, relative to a small rest, may point back into the basis.
        if round == 1, basis.count > 0 { v = Rows(n, v).without(basis) }
        if out.count > 0 { v = Rows(n, v).without(out) }
      }
      let after = cblas_dnrm2(blasint(n), v, 1)
      guard after > 1e-12 * before else { continue }
      cblas_dscal(blasint(n), 1 / after, &v, 1)
      out.values += v
    }
    return out
  }

  /// One vector less its part in the span of orthonormal ones.
  private func without(_ basis: Rows) -> [Double] {
    var v = values
    let weights = products(with: basis)
    cblas_dgemv(CblasRowMajor, CblasTrans, blasint(basis.count), blasint(n), -1, basis.values, blasint(n), weights, 1, 1, &v, 1)
    return v
  }
}
