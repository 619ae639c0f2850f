import Kernels

/// A matrix `[k, n]` packed for products with it on the right: `ceil(n / width)` panels of `[k, width]`, zeros behind column n (product.inc).
///
/// Packing once spares what a BLAS does anew in every call, a fifth of a UNet step.
struct Panels: @unchecked Sendable {
  let k: Int
  let n: Int
  private let storage: Storage
  private let numbers: Numbers

  /// What a panel is made of.
  enum Numbers: Sendable {
    case single
    /// Half precision, rounded to nearest, and widened as it is used.
    case half
    /// Pairs of bfloat16: the left side is rounded to it too, sums are float32 (bfloat.inc).
    case bfloat

    var kernels: sdl_panels {
      switch self {
      case .single: Kernel.table.single
      case .half: Kernel.table.half
      case .bfloat: Kernel.table.bfloat
      }
    }

    /// Bytes of a column of k numbers.
    func bytes(_ k: Int) -> Int {
      switch self {
      case .single: 4 * k
      case .half: 2 * k
      case .bfloat: (k + 1) / 2 * 4
      }
    }
  }

  /// Columns of a panel on this processor.
  static var width: Int { Kernel.table.panel_width }
  static func count(_ n: Int) -> Int { (n + width - 1) / width }

  /// The transpose of PyTorch's weight `[n, k]`, or of a convolution's `[n, in, kh, kw]` with k = (kh, kw, in).
  init(transposing weight: Tensor, _ numbers: Numbers = .single) {
    let (n, rank) = (weight.shape[0], weight.shape.rank)
    let k = weight.count / max(1, n)
    let taps = rank == 4 ? max(1, weight.shape[2] * weight.shape[3]) : 1
    storage = Storage(count: (Panels.count(n) * Panels.width * numbers.bytes(k) + 3) / 4)
    (self.n, self.k, self.numbers) = (n, k, numbers)
    let (source, target, pack) = (weight.data, storage.pointer, numbers.kernels.pack_transposed)
    parallel(Panels.count(n), grain: max(1, 16384 / max(1, k * Panels.width))) { panels in
      pack?(source, n, k, taps, k, 1, panels.lowerBound, panels.upperBound, target)
    }
    withExtendedLifetime(weight) {}
  }

  /// A matrix `[k, n]` as it is: the weight of a linear layer on the way back.
  init(_ matrix: Tensor) {
    (k, n, numbers) = (matrix.shape[0], matrix.shape[1], .single)
    let width = Panels.width
    storage = Storage(count: Panels.count(n) * k * width)
    let (source, target, k, n) = (matrix.data, storage.pointer, k, n)
    parallel(Panels.count(n), grain: max(1, 16384 / max(1, k * width))) { panels in
      for p in panels { Kernel.table.single.pack_rows(source + p * width, min(width, n - p * width), k, n, target + p * k * width) }
    }
    withExtendedLifetime(matrix) {}
  }

  /// The loops for this kind of numbers.
  var kernels: sdl_panels { numbers.kernels }

  /// The first number of a panel. Valid while the panels live.
  func panel(_ index: Int) -> UnsafeRawPointer {
    UnsafeRawPointer(storage.pointer) + index * Panels.width * numbers.bytes(k)
  }
}

/// `c = (c if adds) + bias + a b` on the calling thread.
/// - Parameters:
///   - m: rows of a and c.
///   - a: `[m, k]` with row stride `lda`.
///   - panels: which of b's, that is which columns of c; nil for all.
///   - bias: n values, or nil.
///   - c: `[m, n]` with row stride `ldc`.
@inline(__always)
func product(
  _ m: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: Panels, panels: Range<Int>? = nil, bias: UnsafePointer<Float>?, adds: Bool,
  _ c: UnsafeMutablePointer<Float>, _ ldc: Int
) {
  let part = panels ?? 0..<Panels.count(b.n)
  b.kernels.panel_product(m, b.n, b.k, part.lowerBound, part.upperBound, a, lda, b.panel(0), bias, adds ? 1 : 0, c, ldc)
}

/// The same on all threads: split along the longer side of the result.
func parallelProduct(
  _ m: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: Panels, bias: UnsafePointer<Float>?, adds: Bool,
  _ c: UnsafeMutablePointer<Float>, _ ldc: Int
) {
  // Below about 64k multiplications a second thread costs more than it brings.
  if m >= b.n {
    parallel(m, grain: max(8, 65536 / max(1, b.k * b.n))) { rows in
      product(rows.count, a + rows.lowerBound * lda, lda, b, bias: bias, adds: adds, c + rows.lowerBound * ldc, ldc)
    }
  } else {
    parallel(Panels.count(b.n), grain: max(1, 65536 / max(1, b.k * m * Panels.width))) { panels in
      product(m, a, lda, b, panels: panels, bias: bias, adds: adds, c, ldc)
    }
  }
  withExtendedLifetime(b) {}
}
