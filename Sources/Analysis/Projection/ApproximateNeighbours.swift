import Engine
import Foundation
import Kernels

/// Nearest neighbours where all pairs would take too long: a forest of random projection trees, in whose leaves all pairs are looked at, then
/// rounds in which every point looks at its neighbours' neighbours (LargeVis: Tang et al. 2016).
///
/// A round reads what the last one left and writes a list for each point, so the result depends on the seed and on nothing else.
struct ApproximateNeighbours {
  let points: Points
  let k: Int
  let seed: UInt64
  private static let leaf = 400
  private static let trees = 6
  private static let rounds = 3
  /// Neighbours of a point that are asked for their own, and how many of theirs.
  private static let asked = 24

  func search() -> NearestNeighbours {
    let n = points.count
    var best = [UInt64](repeating: .max, count: n * k)
    for tree in 0..<Self.trees {
      let leaves = self.leaves(SplitMix64.mixed(seed &+ UInt64(tree)))
      update(&best, tasks: leaves.count) { task, candidates in
        for i in leaves[task] { candidates(i) { list in list.append(contentsOf: leaves[task].lazy.filter { $0 != i }) } }
      }
    }
    for _ in 0..<Self.rounds {
      let old = best
      let back = reversed(old)
      let block = 256
      update(&best, tasks: (n + block - 1) / block) { task, candidates in
        for i in Int32(task * block)..<Int32(min(n, (task + 1) * block)) {
          candidates(i) { list in
            var near = old[Int(i) * k..<Int(i) * k + min(k, Self.asked)].filter { $0 != .max }.map(Self.index)
            near += back[Int(i)]
            for j in near {
              if j != i { list.append(j) }
              for e in Int(j) * k..<Int(j) * k + min(k, Self.asked) where old[e] != .max && Self.index(old[e]) != i {
                list.append(Self.index(old[e]))
              }
            }
          }
        }
      }
    }
    var out = NearestNeighbours(count: n, k: k, indices: [], squaredDistances: [])
    out.indices = best.map(Self.index)
    out.squaredDistances = best.map { Float(bitPattern: UInt32($0 >> 32)) }
    return out
  }

  /// Share of the true neighbours among those found, of `sample` points spread over all.
  func recall(_ found: NearestNeighbours, sample: Int = 200) -> Double {
    let n = points.count
    var hits = [Int](repeating: 0, count: min(sample, n))
    let count = hits.count
    hits.withUnsafeMutableBufferPointer { hits in
      points.values.withUnsafeBufferPointer { x in
        guard let x = x.baseAddress else { return }
        inParallel(tasks: count) { s in
          let i = s * n / count
          let d = points.dimension
          let keys = (0..<n).filter { $0 != i }.map { Self.key(Kernel.table.squared_distance(x + i * d, x + $0 * d, d), Int32($0)) }
          let truth = Set(keys.sorted().prefix(k).map(Self.index))
          hits[s] = truth.intersection(found.indices[i * k..<(i + 1) * k]).count
        }
      }
    }
    return Double(hits.reduce(0, +)) / Double(count * k)
  }

  private static func key(_ distance: Float, _ index: Int32) -> UInt64 {
    UInt64(distance.bitPattern) << 32 | UInt64(UInt32(bitPattern: index))
  }
  private static func index(_ key: UInt64) -> Int32 { Int32(bitPattern: UInt32(truncatingIfNeeded: key)) }

  /// Merges candidates into the sorted lists `best` [n, k]. `body(task, visit)` calls `visit(point, fill)` for points that no other task has.
  private func update(
    _ best: inout [UInt64], tasks: Int, _ body: (Int, (Int32, (inout [Int32]) -> Void) -> Void) -> Void
  ) {
    let (d, k) = (points.dimension, k)
    best.withUnsafeMutableBufferPointer { best in
      points.values.withUnsafeBufferPointer { x in
        guard let x = x.baseAddress else { return }
        inParallel(tasks: tasks) { task in
          var list: [Int32] = []
          var keys: [UInt64] = []
          body(task) { point, fill in
            list.removeAll(keepingCapacity: true)
            fill(&list)
            list.sort()
            let row = Int(point) * k
            let limit = best[row + k - 1]
            keys.removeAll(keepingCapacity: true)
            var last: Int32 = -1
            for j in list where j != last {
              last = j
              let key = Self.key(Kernel.table.squared_distance(x + Int(point) * d, x + Int(j) * d, d), j)
              if key < limit { keys.append(key) }
            }
            if keys.isEmpty { return }
            keys.append(contentsOf: best[row..<row + k])
            keys.sort()
            // Pairs that were known already are there twice.
            var (place, at) = (0, 0)
            while place < k, at < keys.count {
              if at == 0 || keys[at] != keys[at - 1] {
                best[row + place] = keys[at]
                place += 1
              }
              at += 1
            }
          }
        }
      }
    }
  }

  /// For each point some of those that have it among their nearest.
  private func reversed(_ best: [UInt64]) -> [[Int32]] {
    var out = [[Int32]](repeating: [], count: points.count)
    for i in 0..<points.count {
      for e in i * k..<i * k + min(k, Self.asked) where best[e] != .max {
        let j = Int(Self.index(best[e]))
        if out[j].count < Self.asked { out[j].append(Int32(i)) }
      }
    }
    return out
  }

  /// Splits the points by the plane half-way between two of them, again and again.
  private func leaves(_ seed: UInt64) -> [[Int32]] {
    let d = points.dimension
    var open = [(0..<Int32(points.count)).map { $0 }]
    var done: [[Int32]] = []
    var random = SplitMix64(seed: seed)
    while !open.isEmpty {
      let choices = open.map { mine in (Int(random.next() % UInt64(mine.count)), Int(random.next() % UInt64(mine.count))) }
      var halves = [([Int32], [Int32])](repeating: ([], []), count: open.count)
      halves.withUnsafeMutableBufferPointer { halves in
        points.values.withUnsafeBufferPointer { x in
          guard let x = x.baseAddress else { return }
          inParallel(tasks: open.count) { task in
            let mine = open[task]
            let (a, b) = (x + Int(mine[choices[task].0]) * d, x + Int(mine[choices[task].1]) * d)
            let sides = mine.map { i in
              Kernel.table.squared_distance(x + Int(i) * d, a, d) - Kernel.table.squared_distance(x + Int(i) * d, b, d)
            }
            // At the middle value, so that points at the same place are split, too.
            let order = mine.indices.sorted { (sides[$0], mine[$0]) < (sides[$1], mine[$1]) }
            let middle = mine.count / 2
            halves[task] = (order[..<middle].map { mine[$0] }.sorted(), order[middle...].map { mine[$0] }.sorted())
          }
        }
      }
      let next = halves.flatMap { [$0.0, $0.1] }
      done += next.filter { $0.count <= Self.leaf }
      open = next.filter { $0.count > Self.leaf }
    }
    return done
  }
}
