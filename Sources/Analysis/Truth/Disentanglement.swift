import Foundation

/// Does each direction of a space stand for one factor, and each factor for one direction?
///
/// All scores are 0...1, made from the mutual information between codes (cut into 20 bins of equal width, as in disentanglement_lib) and factors (numbers
/// cut likewise):
/// - `mig`: the mutual information gap (Chen et al., NeurIPS 2018): for each factor the lead of the best code over the second, divided by the factor's
///   entropy, averaged over factors;
/// - `disentanglement` and `completeness`: Eastwood and Williams' (ICLR 2018) D and C with mutual information as the importance R[code, factor]: one
///   minus the entropy of a code's (a factor's) importances over the factors (codes), D weighted by the codes' share of all importance, C averaged.
///   Their third score, informativeness, is `FactorAudit`'s.
///
/// Mutual information of finite samples is too high by about (bins - 1)(classes - 1) / 2n nats, the same for all codes: gaps hardly feel it, D and C are a
/// little too low.
public struct Disentanglement: Sendable {
  public let mig: Double
  public let disentanglement: Double
  public let completeness: Double
  /// Nats, `[codes][factors]`.
  public let information: [[Double]]
  public let factors: [String]

  public static let bins = 20

  /// - Parameters:
  ///   - codes: a point a row, a code a column; at least two codes.
  ///   - factors: that all points have.
  public init(_ codes: Points, _ factors: [KnownFactor]) {
    precondition(codes.dimension >= 2 && factors.allSatisfy { $0.members.count == codes.count }, "factors that some points lack")
    let rows = (0..<codes.count).map { Array(codes[$0]) }
    let columns = (0..<codes.dimension).map { c in Self.binned(rows.map { Double($0[c]) }) }
    let classes = factors.map { factor in
      switch factor.values {
      case .classes(let labels, _): labels
      case .numbers(let values): Self.binned(values)
      }
    }
    let information = columns.map { column in classes.map { Self.mutualInformation(column, $0) } }
    let gaps = classes.indices.map { f -> Double in
      let sorted = information.map { $0[f] }.sorted(by: >)
      let entropy = Self.mutualInformation(classes[f], classes[f])
      return entropy > 0 ? (sorted[0] - sorted[1]) / entropy : 0
    }
    mig = gaps.reduce(0, +) / Double(max(1, gaps.count))
    let sums = information.map { $0.reduce(0, +) }
    let total = sums.reduce(0, +)
    disentanglement =
      total > 0 ? zip(information, sums).reduce(0) { $0 + $1.1 / total * Self.concentration($1.0) } : 0
    completeness =
      classes.indices.reduce(0.0) { sum, f in sum + Self.concentration(information.map { $0[f] }) } / Double(max(1, classes.count))
    self.information = information
    self.factors = factors.map(\.name)
  }

  /// One minus the entropy of the shares, by the logarithm of their number.
  private static func concentration(_ importances: [Double]) -> Double {
    let total = importances.reduce(0, +)
    guard total > 0, importances.count > 1 else { return 0 }
    let entropy = importances.reduce(0.0) { sum, r in r > 0 ? sum - r / total * log(r / total) : sum }
    return 1 - entropy / log(Double(importances.count))
  }

  /// Bins of equal width between the lowest and the highest value.
  static func binned(_ values: [Double]) -> [Int] {
    let (low, high) = (values.min() ?? 0, values.max() ?? 0)
    guard high > low else { return values.map { _ in 0 } }
    return values.map { min(bins - 1, Int(($0 - low) / (high - low) * Double(bins))) }
  }

  /// Nats.
  static func mutualInformation(_ a: [Int], _ b: [Int]) -> Double {
    var joint: [SIMD2<Int>: Double] = [:]
    var (left, right): ([Int: Double], [Int: Double]) = ([:], [:])
    for (x, y) in zip(a, b) {
      joint[SIMD2(x, y), default: 0] += 1
      left[x, default: 0] += 1
      right[y, default: 0] += 1
    }
    let n = Double(a.count)
    // Sorted, so that the sum's last digits are the same each time.
    let terms = joint.map { key, count in count / n * log(count * n / ((left[key.x] ?? 1) * (right[key.y] ?? 1))) }
    return max(0, terms.sorted().reduce(0, +))
  }
}
