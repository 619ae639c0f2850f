import COpenBLAS

/// A row-major matrix inside a larger array: element (i, j) is `pointer[i * stride + j]`.
struct Matrix {
  let pointer: UnsafePointer<Float>
  let stride: Int
  var transposed = false
}

/// `c = alpha * op(a) * op(b) + beta * c` on the calling thread; a is [m, k], b is [k, n], c is [m, n] with row stride `ldc`.
@inline(__always)
func product(
  _ m: Int, _ n: Int, _ k: Int, alpha: Float = 1, _ a: Matrix, _ b: Matrix, beta: Float, _ c: UnsafeMutablePointer<Float>, _ ldc: Int
) {
  cblas_sgemm(
    CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans, blasint(m), blasint(n), blasint(k),
    alpha,
    a.pointer, blasint(a.stride), b.pointer, blasint(b.stride), beta, c, blasint(ldc))
}

/// The same on all threads: the longer side of the result is split, so that each thread packs as little as possible twice.
/// `a` must not be transposed.
func parallelProduct(_ m: Int, _ n: Int, _ k: Int, _ a: Matrix, _ b: Matrix, beta: Float, _ c: UnsafeMutablePointer<Float>, _ ldc: Int) {
  // Below about 64k multiplications a second thread costs more than it brings.
  let grain = max(1, 65536 / max(1, k * min(m, n)))
  if m >= n {
    parallel(m, grain: max(grain, 8)) { rows in
      product(
        rows.count, n, k, Matrix(pointer: a.pointer + rows.lowerBound * a.stride, stride: a.stride), b, beta: beta,
        c + rows.lowerBound * ldc, ldc)
    }
  } else {
    parallel(n, grain: max(grain, 16)) { columns in
      let first = columns.lowerBound
      let part = Matrix(pointer: b.pointer + (b.transposed ? first * b.stride : first), stride: b.stride, transposed: b.transposed)
      product(m, columns.count, k, a, part, beta: beta, c + first, ldc)
    }
  }
}
