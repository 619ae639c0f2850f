import Engine

/// A set of points: `count` rows of `dimension` Float32 coordinates, row-major. All are finite.
public struct Points: Sendable, Equatable {
  public let count: Int
  public let dimension: Int
  /// `[count, dimension]`, row-major.
  public let values: [Float]

  /// - Throws: `InputError(.badData)` when there is no point or no coordinate, when the number of values is another, and when one is NaN or
  ///   infinite, with its place.
  public init(_ values: [Float], count: Int, dimension: Int, name: String = "points") throws {
    guard count > 0, dimension > 0 else {
      throw InputError(.badData, "\(name): \(count) points of \(dimension) coordinates, expected at least one of each")
    }
    guard count < Int(Int32.max), dimension < Int(Int32.max), values.count == count.multipliedReportingOverflow(by: dimension).partialValue
    else {
      throw InputError(.badData, "\(name): \(values.count) values, expected \(count) x \(dimension)")
    }
    if let at = Points.firstNotFinite(values) {
      throw InputError(
        .badData, "\(name): row \(at / dimension), column \(at % dimension) is \(values[at]), expected finite numbers",
        hint: "remove or replace such rows first")
    }
    self.init(unchecked: values, count: count, dimension: dimension)
  }

  /// One point a row; all rows have the same length.
  public init(_ rows: [[Float]], name: String = "points") throws {
    let dimension = rows.first?.count ?? 0
    if let odd = rows.firstIndex(where: { $0.count != dimension }) {
      throw InputError(.badData, "\(name): row \(odd) has \(rows[odd].count) coordinates, expected \(dimension)")
    }
    try self.init(rows.flatMap { $0 }, count: rows.count, dimension: dimension, name: name)
  }

  /// For values that are finite because of how they were made.
  init(unchecked values: [Float], count: Int, dimension: Int) {
    // Analyses of points call BLAS: not before its threads are taken from it, since results would depend on who came first.
    Threads.takeFromBLAS()
    self.values = values
    self.count = count
    self.dimension = dimension
  }

  public subscript(row: Int) -> ArraySlice<Float> { values[row * dimension..<(row + 1) * dimension] }

  /// Mean of each coordinate, in double.
  func mean() -> [Double] {
    var sum = [Double](repeating: 0, count: dimension)
    for i in 0..<count { for c in 0..<dimension { sum[c] += Double(values[i * dimension + c]) } }
    return sum.map { $0 / Double(count) }
  }

  /// With their mean moved to the origin: single precision then keeps the differences.
  func centred() -> Points {
    let mean = mean().map { Float($0) }
    var out = values
    for i in 0..<count { for c in 0..<dimension { out[i * dimension + c] -= mean[c] } }
    return Points(unchecked: out, count: count, dimension: dimension)
  }

  /// The same points, by a power of two larger or smaller where the squares of single precision would overflow or vanish. Neither t-SNE nor
  /// UMAP sees the scale of all points.
  func inRange() -> Points {
    let largest = values.lazy.map(abs).max() ?? 0
    guard largest > 1e8 || (largest > 0 && largest < 1e-8) else { return self }
    let exponent = -Int(largest.exponent)
    // In two steps: 2^149 is no float.
    let (one, two) = (
      Float(sign: .plus, exponent: exponent / 2, significand: 1), Float(sign: .plus, exponent: exponent - exponent / 2, significand: 1)
    )
    return Points(unchecked: values.map { $0 * one * two }, count: count, dimension: dimension)
  }

  private static func firstNotFinite(_ values: [Float]) -> Int? {
    // x - x is not zero for NaN and infinity: sums of it are quick to look at.
    var at = 0
    while at < values.count {
      let end = min(at + 4096, values.count)
      var sum: Float = 0
      for i in at..<end { sum += values[i] - values[i] }
      if sum != 0 || sum.isNaN { return (at..<end).first { !values[$0].isFinite } }
      at = end
    }
    return nil
  }
}
