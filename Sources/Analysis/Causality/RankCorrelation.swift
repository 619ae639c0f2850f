/// Spearman's rank correlation: whether two maps rise and fall together, whatever their scales.
public enum RankCorrelation {
  /// Ranks from 1; equal values share the mean of theirs.
  public static func ranks(_ x: [Double]) -> [Double] {
    let order = x.indices.sorted { x[$0] < x[$1] }
    var out = [Double](repeating: 0, count: x.count)
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count, x[order[end]] == x[order[start]] { end += 1 }
      for k in start..<end { out[order[k]] = Double(start + end + 1) / 2 }
      start = end
    }
    return out
  }

  /// Pearson's correlation of the ranks, -1...1; nil when a side is constant, has values that are not numbers, or there are fewer than two.
  public static func spearman(_ x: [Double], _ y: [Double]) -> Double? {
    precondition(x.count == y.count, "\(x.count) values beside \(y.count)")
    guard x.count > 1, x.allSatisfy(\.isFinite), y.allSatisfy(\.isFinite) else { return nil }
    let (a, b) = (ranks(x), ranks(y))
    let mean = Double(x.count + 1) / 2
    var (ab, aa, bb) = (0.0, 0.0, 0.0)
    for (u, v) in zip(a, b) {
      ab += (u - mean) * (v - mean)
      aa += (u - mean) * (u - mean)
      bb += (v - mean) * (v - mean)
    }
    return aa > 0 && bb > 0 ? ab / (aa * bb).squareRoot() : nil
  }
}
