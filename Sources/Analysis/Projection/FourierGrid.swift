import Engine
import Foundation
import Kernels

/// Convolution on a plane grid with a kernel by Fourier transforms, in single precision on all threads.
///
/// The grid [rows, columns] holds real numbers; outside of it all is zero (no wrap-around: lengths are padded to at least twice the grid).
/// Columns x and x + columns/2 make one complex column, so that the transform of real numbers costs half, and rows and columns that the
/// padding fills with zeros are never read.
final class FourierGrid {
  let rows: Int
  let columns: Int
  private let alongRows: FourierPlan
  private let alongColumns: FourierPlan
  /// Rows of the spectrum that are kept; the others are their mirror images.
  private var half: Int { alongColumns.length / 2 + 1 }
  /// Real, because the kernel is even: [row length of x, half].
  private var kernel: [Float] = []
  private let real: UnsafeMutablePointer<Float>
  private let imaginary: UnsafeMutablePointer<Float>
  private static let batch = 16

  /// - Parameter columns: even.
  init(rows: Int, columns: Int) {
    precondition(columns % 2 == 0)
    self.rows = rows
    self.columns = columns
    alongRows = FourierPlan(FourierPlan.length(atLeast: 2 * columns))
    alongColumns = FourierPlan(FourierPlan.length(atLeast: 2 * rows))
    let size = columns * (alongColumns.length / 2 + 1)
    real = .allocate(capacity: size)
    imaginary = .allocate(capacity: size)
    real.initialize(repeating: 0, count: size)
    imaginary.initialize(repeating: 0, count: size)
  }

  deinit {
    real.deallocate()
    imaginary.deallocate()
  }

  /// Sets the kernel from its values at offsets (row, column) and a factor for each pair of frequencies in cycles a grid step.
  func setKernel(_ value: (Int, Int) -> Float, filter: (Double) -> Double) {
    let (h, w) = (alongColumns.length, alongRows.length)
    // Even in both directions: rows of a quarter are enough, and a cosine transform is a Fourier transform of them mirrored.
    var lines = [[Float]](repeating: [], count: h / 2 + 1)
    let scale = 1 / (Double(h) * Double(w))
    lines.withUnsafeMutableBufferPointer { lines in
      withoutActuallyEscaping(value) { value in
        inParallel(tasks: h / 2 + 1) { r in lines[r] = alongRows.even((0...w / 2).map { value(r, $0) }) }
      }
    }
    kernel = [Float](repeating: 0, count: w * half)
    let filters = (x: (0..<w).map { filter(Double($0) / Double(w)) }, y: (0...h / 2).map { filter(Double($0) / Double(h)) })
    kernel.withUnsafeMutableBufferPointer { kernel in
      inParallel(tasks: w) { x in
        let column = alongColumns.even(lines.map { $0[x] })
        for y in 0..<half { kernel[x * half + y] = Float(Double(column[y]) * filters.x[x] * filters.y[y] * scale) }
      }
    }
  }

  /// grid = grid * kernel, [rows, columns].
  func convolve(_ grid: UnsafeMutablePointer<Float>) {
    let middle = columns / 2
    let blocks = (middle + Self.batch - 1) / Self.batch
    inParallel(tasks: blocks) { downColumns(grid, $0 * Self.batch..<min(middle, ($0 + 1) * Self.batch)) }
    inParallel(tasks: (half + Self.batch - 1) / Self.batch) { across($0 * Self.batch..<min(half, ($0 + 1) * Self.batch)) }
    inParallel(tasks: blocks) { upColumns(grid, $0 * Self.batch..<min(middle, ($0 + 1) * Self.batch)) }
  }

  /// Columns to spectra, untangled into those of the left and of the right half.
  private func downColumns(_ grid: UnsafeMutablePointer<Float>, _ range: Range<Int>) {
    let (n, b, middle) = (alongColumns.length, range.count, columns / 2)
    FourierPlan.withBuffers(n * b) { one, two in
      for y in 0..<n {
        for c in 0..<b {
          one.real[y * b + c] = y < rows ? grid[y * columns + range.lowerBound + c] : 0
          one.imaginary[y * b + c] = y < rows ? grid[y * columns + middle + range.lowerBound + c] : 0
        }
      }
      let z = alongColumns.transform(one, two, batch: b)
      for c in 0..<b {
        let (left, right) = ((range.lowerBound + c) * half, (middle + range.lowerBound + c) * half)
        for k in 0..<half {
          let (p, q) = (k * b + c, (k == 0 ? 0 : n - k) * b + c)
          real[left + k] = 0.5 * (z.real[p] + z.real[q])
          imaginary[left + k] = 0.5 * (z.imaginary[p] - z.imaginary[q])
          real[right + k] = 0.5 * (z.imaginary[p] + z.imaginary[q])
          imaginary[right + k] = 0.5 * (z.real[q] - z.real[p])
        }
      }
    }
  }

  /// Along the rows: there, times the kernel, and back.
  private func across(_ range: Range<Int>) {
    let (n, b) = (alongRows.length, range.count)
    FourierPlan.withBuffers(n * b) { one, two in
      for x in 0..<n {
        for k in 0..<b {
          one.real[x * b + k] = x < columns ? real[x * half + range.lowerBound + k] : 0
          one.imaginary[x * b + k] = x < columns ? imaginary[x * half + range.lowerBound + k] : 0
        }
      }
      let z = alongRows.transform(one, two, batch: b)
      kernel.withUnsafeBufferPointer { kernel in
        for x in 0..<n {
          for k in 0..<b {
            let f = kernel[x * half + range.lowerBound + k]
            z.real[x * b + k] *= f
            z.imaginary[x * b + k] *= f
          }
        }
      }
      // Real and imaginary parts in each other's place: the inverse.
      let other = z.real == one.real ? two : one
      let back = alongRows.transform((z.imaginary, z.real), (other.imaginary, other.real), batch: b)
      for x in 0..<columns {
        for k in 0..<b {
          real[x * half + range.lowerBound + k] = back.imaginary[x * b + k]
          imaginary[x * half + range.lowerBound + k] = back.real[x * b + k]
        }
      }
    }
  }

  private func upColumns(_ grid: UnsafeMutablePointer<Float>, _ range: Range<Int>) {
    let (n, b, middle) = (alongColumns.length, range.count, columns / 2)
    FourierPlan.withBuffers(n * b) { one, two in
      for c in 0..<b {
        let (left, right) = ((range.lowerBound + c) * half, (middle + range.lowerBound + c) * half)
        for k in 0..<half {
          let (p, q) = (k * b + c, (k == 0 ? 0 : n - k) * b + c)
          // A + iB, and at the mirrored place conj A + i conj B.
          one.real[q] = real[left + k] + imaginary[right + k]
          one.imaginary[q] = real[right + k] - imaginary[left + k]
          one.real[p] = real[left + k] - imaginary[right + k]
          one.imaginary[p] = imaginary[left + k] + real[right + k]
        }
      }
      let z = alongColumns.transform((one.imaginary, one.real), (two.imaginary, two.real), batch: b)
      for y in 0..<rows {
        for c in 0..<b {
          grid[y * columns + range.lowerBound + c] = z.imaginary[y * b + c]
          grid[y * columns + middle + range.lowerBound + c] = z.real[y * b + c]
        }
      }
    }
  }
}

/// Fourier transforms of one length, which is a product of 2, 3, 4 and 5; many sequences side by side.
struct FourierPlan {
  typealias Complex = (real: UnsafeMutablePointer<Float>, imaginary: UnsafeMutablePointer<Float>)
  let length: Int
  private let radices: [Int]
  private let cosine: [Float]
  private let sine: [Float]

  init(_ length: Int) {
    self.length = length
    var (rest, radices) = (length, [Int]())
    for radix in [5, 3, 4, 2] {
      while rest % radix == 0 {
        radices.append(radix)
        rest /= radix
      }
    }
    precondition(rest == 1, "\(length) is no product of 2, 3 and 5")
    self.radices = radices
    cosine = (0..<length).map { Float(cos(2 * .pi * Double($0) / Double(length))) }
    sine = (0..<length).map { Float(-sin(2 * .pi * Double($0) / Double(length))) }
  }

  /// The smallest even product of 2, 3 and 5 from `n` on, among few, so that lengths stay the same for a while.
  static func length(atLeast n: Int) -> Int {
    var n = max(8, n + n % 2)
    while true {
      var rest = n
      for radix in [2, 3, 5] { while rest % radix == 0 { rest /= radix } }
      if rest == 1 { return n }
      n += 2
    }
  }

  /// The transform with exp(-2 pi i k n / length) of sequences [length, batch] in `x`; it ends in `x` or in `scratch`.
  func transform(_ x: Complex, _ scratch: Complex, batch: Int) -> Complex {
    var (from, to) = (x, scratch)
    var (n, s) = (length, 1)
    for radix in radices {
      Kernel.table.fft_pass(radix, n, s, batch, from.real, from.imaginary, to.real, to.imaginary, cosine, sine)
      (from, to) = (to, from)
      n /= radix
      s *= radix
    }
    return from
  }

  /// The (real) transform of an even sequence, of which the first length/2 + 1 values are given.
  func even(_ values: [Float]) -> [Float] {
    var out: [Float] = []
    Self.withBuffers(length) { one, two in
      for k in 0..<length {
        one.real[k] = values[min(k, length - k)]
        one.imaginary[k] = 0
      }
      let z = transform(one, two, batch: 1)
      out = (0..<length).map { z.real[$0] }
    }
    return out
  }

  static func withBuffers(_ count: Int, _ body: (Complex, Complex) -> Void) {
    let buffer = UnsafeMutablePointer<Float>.allocate(capacity: 4 * count)
    defer { buffer.deallocate() }
    body((buffer, buffer + count), (buffer + 2 * count, buffer + 3 * count))
  }
}
