import COpenBLAS
import Engine
import Kernels

/// For each point its k nearest others, nearest first; the point itself is not among them. Equal distances go by the smaller index.
struct NearestNeighbours: Sendable {
  let count: Int
  let k: Int
  /// [count, k].
  var indices: [Int32]
  /// Squared Euclidean distances, [count, k], computed from differences of coordinates, not from products.
  var squaredDistances: [Float]

  /// All pairs are looked at. Blocks of the matrix of distances come from products (|a|^2 - 2ab + |b|^2); what rounding may have put in the
  /// wrong order near the k-th place is computed again from the differences.
  ///
  /// - Precondition: 1 <= k < number of points.
  static func exact(_ points: Points, k: Int) -> NearestNeighbours {
    let (n, d) = (points.count, points.dimension)
    precondition((1..<n).contains(k), "\(k) neighbours of \(n) points")
    let rows = DistanceRows(points)
    let kept = min(n - 1, k + 8 + k / 8)
    var out = NearestNeighbours(
      count: n, k: k, indices: [Int32](repeating: 0, count: n * k), squaredDistances: [Float](repeating: 0, count: n * k))
    out.indices.withUnsafeMutableBufferPointer { indices in
      out.squaredDistances.withUnsafeMutableBufferPointer { distances in
        rows.points.values.withUnsafeBufferPointer { x in
          guard let x = x.baseAddress else { return }
          rows.forEachBlock { first, tile in
            var nearest = tile.rows.map { _ in NearestList(capacity: kept) }
            tile.forEachPart { columns, values, stride in
              for r in 0..<tile.rows.count {
                nearest[r].take(values + r * stride, columns.count, first: columns.lowerBound, without: first + r)
              }
            }
            for r in 0..<tile.rows.count {
              let i = first + r
              let sorted = nearest[r].indices().map { j in (Kernel.table.squared_distance(x + i * d, x + Int(j) * d, d), j) }
                .sorted { $0 < $1 }
              for (place, (distance, j)) in sorted.prefix(k).enumerated() {
                indices[i * k + place] = j
                distances[i * k + place] = distance
              }
            }
          }
        }
      }
    }
    return out
  }

  /// The first `k` of each.
  func prefix(_ k: Int) -> NearestNeighbours {
    precondition(k <= self.k)
    if k == self.k { return self }
    return NearestNeighbours(
      count: count, k: k, indices: (0..<count).flatMap { indices[$0 * self.k..<$0 * self.k + k] },
      squaredDistances: (0..<count).flatMap { squaredDistances[$0 * self.k..<$0 * self.k + k] })
  }
}

/// The smallest of many values that come in parts: candidates are collected below a limit, which falls whenever there are twice as many.
struct NearestList {
  private let capacity: Int
  private var limit = Float.infinity
  /// Value and index in one number that sorts like the pair.
  private var found: [UInt64] = []

  init(capacity: Int) {
    self.capacity = capacity
    found.reserveCapacity(2 * capacity + 256)
  }

  /// - Parameter without: index that is left out: the point itself.
  mutating func take(_ values: UnsafePointer<Float>, _ count: Int, first: Int, without: Int) {
    // Parts of parts: the limit falls early.
    var at = 0
    while at < count {
      let n = min(256, count - at)
      withUnsafeTemporaryAllocation(of: Int32.self, capacity: n) { index in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: n) { value in
          guard let indexBase = index.baseAddress, let valueBase = value.baseAddress else { return }
          let hits = Kernel.table.select_below(values + at, n, limit, Int32(first + at), indexBase, valueBase)
          for h in 0..<hits where index[h] != Int32(without) { found.append(Self.key(value[h], index[h])) }
        }
      }
      if found.count >= 2 * capacity { shrink() }
      at += n
    }
  }

  /// Floats sort like their bits when those of negative ones are turned round.
  private static func key(_ value: Float, _ index: Int32) -> UInt64 {
    let bits = (value + 0).bitPattern
    let ordered = bits >> 31 == 1 ? ~bits : bits | 0x8000_0000
    return UInt64(ordered) << 32 | UInt64(UInt32(bitPattern: index))
  }

  private mutating func shrink() {
    guard found.count > capacity else { return }
    found.sort()
    found.removeLast(found.count - capacity)
    let ordered = UInt32(found[capacity - 1] >> 32)
    limit = Float(bitPattern: ordered >> 31 == 1 ? ordered & 0x7fff_ffff : ~ordered)
  }

  mutating func indices() -> [Int32] {
    shrink()
    return found.map { Int32(bitPattern: UInt32(truncatingIfNeeded: $0)) }
  }
}
