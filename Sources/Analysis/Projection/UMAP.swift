import Engine
import Foundation
import Kernels

/// UMAP (McInnes, Healy and Melville 2018) with umap-learn's defaults.
///
/// The stochastic descent goes epoch by epoch: every point moves along its sampled edges, seeing the others where they were after the
/// last epoch, and draws its negative samples from a generator of its own. So a seeded run repeats to the bit with any number of threads.
struct UMAP {
  var minimumDistance = 0.1
  var dimensions = 2
  var seed: UInt64 = 42
  /// Negative samples for each sampled edge.
  var negatives: Float = 5

  /// 500 up to 10,000 points, else 200, as umap-learn.
  static func epochs(_ n: Int) -> Int { n <= 10_000 ? 500 : 200 }

  func embed(_ graph: SparseAffinities, start: [[Double]], progress: ((Int) -> Void)?) -> Points {
    let (n, d, epochs) = (graph.count, dimensions, Self.epochs(graph.count))
    let (a, b) = UMAPGraph.curve(minimumDistance: minimumDistance)
    var old = scaled(start)
    var now = old
    let heaviest = graph.values.max() ?? 1
    // Epochs between two samples of an edge; edges that would never be sampled are not.
    let period = graph.values.map { $0 * Float(epochs) < heaviest ? Float.infinity : heaviest / $0 }
    var due = period
    let block = 256
    for epoch in 1..<max(2, epochs + 1) {
      let alpha = 1 - Float(epoch - 1) / Float(epochs)
      let key = SplitMix64.mixed(seed &+ UInt64(epoch) &* 0xD1B5_4A32_D192_ED03)
      old.withUnsafeBufferPointer { old in
        now.withUnsafeMutableBufferPointer { now in
          due.withUnsafeMutableBufferPointer { due in
            guard let old = old.baseAddress, let now = now.baseAddress, let due = due.baseAddress else { return }
            inParallel(tasks: (n + block - 1) / block) { task in
              Kernel.table.umap_rows(
                graph.starts, graph.columns, period, due, n, d, task * block, min(n, (task + 1) * block), Float(epoch), negatives, alpha,
                Float(a),
                Float(b), key, old, now)
            }
          }
        }
      }
      swap(&old, &now)
      progress?(epoch)
    }
    return Points(unchecked: old, count: n, dimension: d)
  }

  /// Each axis to 0...10, with a little noise so that no two points are at the same place (umap-learn).
  private func scaled(_ start: [[Double]]) -> [Float] {
    var random = SplitMix64(seed: seed)
    let largest = max(start.joined().lazy.map(abs).max() ?? 0, 1e-300)
    let noisy = start.map { $0.map { 10 * $0 / largest + 1e-4 * random.normal() } }
    let low = (0..<dimensions).map { a in noisy.lazy.map { $0[a] }.min() ?? 0 }
    let high = (0..<dimensions).map { a in noisy.lazy.map { $0[a] }.max() ?? 1 }
    return noisy.flatMap { place in (0..<dimensions).map { Float(10 * (place[$0] - low[$0]) / max(high[$0] - low[$0], 1e-300)) } }
  }
}
