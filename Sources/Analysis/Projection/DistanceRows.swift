import COpenBLAS
import Engine

/// The matrix of squared distances between all points, in blocks that fit in the processor's cache.
///
/// Up to eight coordinates distances come from differences, above that from products, less the row's own |a|^2, which changes no order in
/// a row. A block depends on nothing but its place, so results do not depend on the number of threads.
struct DistanceRows {
  /// Centred.
  let points: Points
  /// |b|^2 of each point.
  let norms: [Float]
  private static let blockRows = 128
  fileprivate static let partColumns = 1024

  init(_ points: Points) {
    self.points = points.centred()
    let d = points.dimension
    norms = self.points.values.withUnsafeBufferPointer { x in
      (0..<points.count).map { i in (0..<d).reduce(Float(0)) { $0 + x[i * d + $1] * x[i * d + $1] } }
    }
  }

  /// Some rows of the matrix.
  struct Tile {
    fileprivate let matrix: DistanceRows
    let rows: Range<Int>
    fileprivate let buffer: UnsafeMutablePointer<Float>

    /// Calls `body` with parts of the rows from left to right: columns, values [rows, columns] and floats between rows.
    func forEachPart(_ body: (Range<Int>, UnsafePointer<Float>, Int) -> Void) {
      let n = matrix.points.count
      var at = 0
      while at < n {
        let columns = at..<min(n, at + DistanceRows.partColumns)
        matrix.fill(rows, columns, buffer)
        body(columns, buffer, columns.count)
        at = columns.upperBound
      }
    }
  }

  /// Calls `body(first row, tile)` for all rows, on all threads.
  func forEachBlock(_ body: (Int, Tile) -> Void) {
    let n = points.count
    inParallel(tasks: (n + Self.blockRows - 1) / Self.blockRows) { task in
      let rows = task * Self.blockRows..<min(n, (task + 1) * Self.blockRows)
      let buffer = UnsafeMutablePointer<Float>.allocate(capacity: Self.blockRows * Self.partColumns)
      defer { buffer.deallocate() }
      body(rows.lowerBound, Tile(matrix: self, rows: rows, buffer: buffer))
    }
  }

  private func fill(_ rows: Range<Int>, _ columns: Range<Int>, _ out: UnsafeMutablePointer<Float>) {
    let (d, width) = (points.dimension, columns.count)
    points.values.withUnsafeBufferPointer { x in
      guard let x = x.baseAddress else { return }
      if d > 8 {
        norms.withUnsafeBufferPointer { norms in
          guard let norms = norms.baseAddress else { return }
          for r in 0..<rows.count { (out + r * width).update(from: norms + columns.lowerBound, count: width) }
        }
        cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, blasint(rows.count), blasint(width), blasint(d), -2, x + rows.lowerBound * d, blasint(d),
          x + columns.lowerBound * d, blasint(d), 1, out, blasint(width))
        return
      }
      for (r, i) in rows.enumerated() {
        let line = out + r * width
        if d == 2 {
          let (a, b) = (x[2 * i], x[2 * i + 1])
          for c in 0..<width {
            let (u, v) = (x[2 * (columns.lowerBound + c)] - a, x[2 * (columns.lowerBound + c) + 1] - b)
            line[c] = u * u + v * v
          }
        } else {
          for c in 0..<width {
            var sum: Float = 0
            for k in 0..<d {
              let u = x[(columns.lowerBound + c) * d + k] - x[i * d + k]
              sum += u * u
            }
            line[c] = sum
          }
        }
      }
    }
  }
}
