import Engine
import Foundation

/// A number with what chance could have made of it.
public struct MetricEstimate: Sendable, Equatable {
  public let value: Double
  /// 95 %; nil when none was asked for.
  public let interval: ClosedRange<Double>?
  /// How often the pictures were drawn anew.
  public let replicates: Int
}

/// Which rows a resampling takes, and intervals from what came out.
///
/// Source: Efron and Tibshirani, "An introduction to the bootstrap" (1993), the basic interval: the spread of the replicates about the estimate is
/// turned round. That takes away what resampling adds to a distance: a set drawn with replacement lies farther from everything.
enum Bootstrap {
  /// How often each of `count` rows was drawn in replicate `replicate`; they sum to `count`. A function of its arguments alone.
  static func weights(_ count: Int, replicate: Int, seed: UInt64) -> [Double] {
    var random = TorchRandom(seed: seed &* 0x9e37_79b9 &+ UInt64(replicate))
    var out = [Double](repeating: 0, count: count)
    for _ in 0..<count { out[Int((UInt64(random.bits32()) &* UInt64(count)) >> 32)] += 1 }
    return out
  }

  static func estimate(_ value: Double, _ replicates: [Double]) -> MetricEstimate {
    guard replicates.count >= 2 else { return MetricEstimate(value: value, interval: nil, replicates: 0) }
    let sorted = replicates.sorted()
    let (low, high) = (2 * value - quantile(sorted, 0.975), 2 * value - quantile(sorted, 0.025))
    return MetricEstimate(value: value, interval: low...max(low, high), replicates: replicates.count)
  }

  /// Between the two nearest, as numpy's `quantile`.
  private static func quantile(_ sorted: [Double], _ p: Double) -> Double {
    let place = p * Double(sorted.count - 1)
    let low = Int(place)
    let high = min(low + 1, sorted.count - 1)
    return sorted[low] + (place - Double(low)) * (sorted[high] - sorted[low])
  }

  /// One value a replicate, on all threads; the order does not depend on them.
  static func replicates(_ count: Int, _ body: (Int) -> Double) -> [Double] {
    let slots = UnsafeMutablePointer<Double>.allocate(capacity: max(1, count))
    slots.initialize(repeating: 0, count: max(1, count))
    defer { slots.deallocate() }
    inParallel(tasks: count) { slots[$0] = body($0) }
    return Array(UnsafeBufferPointer(start: slots, count: count))
  }
}
