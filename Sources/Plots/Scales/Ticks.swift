import Foundation

/// Where an axis is labelled: the extended Wilkinson algorithm.
///
/// J. Talbot, S. Lin, P. Hanrahan, "An Extension of Wilkinson's Algorithm for Positioning Tick Labels on Axes", InfoVis 2010; after the
/// authors' R package `labeling`, with its search order, so that ties fall alike. Legibility is constant here: what overlaps is seen by
/// measuring the set text (`AxisLayout`), which asks again for fewer.
enum ExtendedWilkinson {
  static let nice: [Double] = [1, 5, 2, 2.5, 4, 3]
  /// Simplicity, coverage, density, legibility.
  static let weights = (simplicity: 0.25, coverage: 0.2, density: 0.5, legibility: 0.05)
  private static let epsilon = Double.ulpOfOne * 100

  /// Labels for `low...high`, about `count` of them (at least 2), ascending. Some may lie outside of the range. Empty when there is no range
  /// that a Double can divide.
  static func ticks(_ low: Double, _ high: Double, count: Int) -> [Double] {
    let range = high - low
    guard low.isFinite, high.isFinite, range.isFinite, range > max(abs(low), abs(high)) * 1e-12 else { return [] }
    // The published code compares with an absolute epsilon: tiny and huge ranges are brought near 1 first.
    let unit = range < 1e-6 || range > 1e9 ? pow(10, floor(log10(range))) : 1
    guard unit > 0, unit.isFinite, (range / unit).isFinite else { return [] }
    guard let best = search(low / unit, high / unit, Double(max(count, 2))) else { return [] }
    return (0..<best.count).map { (best.start + Double($0) * best.step) * unit }
  }

  private struct Labelling {
    var start: Double
    var step: Double
    var count: Int
  }

  private static func search(_ low: Double, _ high: Double, _ m: Double) -> Labelling? {
    let w = weights
    var best: Labelling?
    var score = -2.0
    var j = 1.0
    while true {
      for (i, q) in nice.enumerated() {
        let simplest = 1 - Double(i) / Double(nice.count - 1) - j + 1
        if w.simplicity * simplest + w.coverage + w.density + w.legibility < score { return best }
        var k = 2.0
        while true {
          let densest = k >= m ? 2 - (k - 1) / (m - 1) : 1
          if w.simplicity * simplest + w.coverage + w.density * densest + w.legibility < score { break }
          var z = ceil(log10((high - low) / (k + 1) / j / q))
          while true {
            let step = j * q * pow(10, z)
            let covered = mostCoverage(low, high, step * (k - 1))
            if w.simplicity * simplest + w.coverage * covered + w.density * densest + w.legibility < score { break }
            z += 1
            var start = floor(high / step) * j - (k - 1) * j
            let last = ceil(low / step) * j
            while start <= last {
              let first = start * (step / j)
              let end = first + step * (k - 1)
              let s = simplicity(i, j, first, end, step)
              let value =
                w.simplicity * s + w.coverage * coverage(low, high, first, end)
                + w.density * density(k, m, low, high, first, end) + w.legibility
              if value > score {
                score = value
                best = Labelling(start: first, step: step, count: Int(k))
              }
              start += 1
            }
          }
          k += 1
        }
      }
      j += 1
    }
  }

  private static func simplicity(_ i: Int, _ j: Double, _ first: Double, _ last: Double, _ step: Double) -> Double {
    let rest = first - floor(first / step) * step
    let zero = (rest < epsilon || step - rest < epsilon) && first <= 0 && last >= 0
    return 1 - Double(i) / Double(nice.count - 1) - j + (zero ? 1 : 0)
  }

  private static func coverage(_ low: Double, _ high: Double, _ first: Double, _ last: Double) -> Double {
    let tenth = 0.1 * (high - low)
    return 1 - 0.5 * ((high - last) * (high - last) + (low - first) * (low - first)) / (tenth * tenth)
  }

  private static func mostCoverage(_ low: Double, _ high: Double, _ span: Double) -> Double {
    let range = high - low
    if span <= range { return 1 }
    let half = (span - range) / 2
    return 1 - 0.5 * (half * half + half * half) / ((0.1 * range) * (0.1 * range))
  }

  private static func density(_ k: Double, _ m: Double, _ low: Double, _ high: Double, _ first: Double, _ last: Double) -> Double {
    let found = (k - 1) / (last - first)
    let wanted = (m - 1) / (max(last, high) - min(low, first))
    return 2 - max(found / wanted, wanted / found)
  }
}

/// The labelled places of an axis.
struct Ticks: Equatable {
  var values: [Double] = []
  var labels: [String] = []
  /// Unlabelled places between.
  var minor: [Double] = []
  /// The labels are to be multiplied by ten to this power; 0 for none.
  var exponent = 0

  /// Those within `low...high`, about `count` of them.
  /// - Parameter whole: only whole numbers: of half steps every other is left.
  static func linear(_ low: Double, _ high: Double, count: Int, whole: Bool = false) -> Ticks {
    let slack = (high - low) * 1e-9
    var values = ExtendedWilkinson.ticks(low, high, count: count).filter { $0 >= low - slack && $0 <= high + slack }
    // Sums of steps miss zero by a rounding error.
    values = values.map { abs($0) < (high - low) * 1e-9 ? 0 : $0 }
    if whole { values = values.filter { abs($0 - $0.rounded()) < 1e-9 * max(1, abs($0)) }.map { $0.rounded() } }
    let (labels, exponent) = NumberFormat.labels(values)
    return Ticks(values: values, labels: labels, exponent: exponent)
  }

  /// Powers of ten, with 2 and 5 between them where few fit. `low` is above 0.
  static func log(_ low: Double, _ high: Double, count: Int) -> Ticks {
    let first = Int(ceil(log10(low) - 1e-9))
    let last = Int(floor(log10(high) + 1e-9))
    let decades = last - first + 1
    // Less than a decade is nearly linear: 1, 2, 5 may all miss it.
    if decades < 2, high / low < 8 { return linear(low, high, count: count) }
    func inside(_ v: Double) -> Bool { v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9) }
    var ticks = Ticks()
    if decades > count {
      let stride = [2, 3, 5, 10, 20, 50, 100].first { Double(decades) / Double($0) <= Double(count) + 0.5 } ?? 200
      ticks.values = (first...last).filter { $0 % stride == 0 }.map { pow(10, Double($0)) }
      ticks.minor = (first...last).filter { $0 % stride != 0 }.map { pow(10, Double($0)) }
    } else {
      let steps: [Double] = decades * 3 <= count + 1 ? [1, 2, 5] : decades * 2 <= count + 1 ? [1, 3] : [1]
      for e in (first - 1)...(last + 1) {
        for m in 1...9 {
          let v = Double(m) * pow(10, Double(e))
          guard inside(v) else { continue }
          if steps.contains(Double(m)) { ticks.values.append(v) } else { ticks.minor.append(v) }
        }
      }
    }
    ticks.labels = ticks.values.map(NumberFormat.logLabel)
    return ticks
  }
}
