/// What is known of every picture under one name: its setting, say, or how far left a thing stands.
public struct KnownFactor: Sendable {
  public enum Values: Sendable {
    /// Indices into `names`.
    case classes([Int], names: [String])
    case numbers([Double])
  }
  public let name: String
  public let values: Values
  /// Points that have it, rising; a relation exists only between two things.
  public let members: [Int]

  /// - Parameter members: nil when all points have it; `values` has one for each member.
  public init(_ name: String, _ values: Values, members: [Int]? = nil) {
    self.name = name
    self.values = values
    let count: Int
    switch values {
    case .classes(let v, _): count = v.count
    case .numbers(let v): count = v.count
    }
    self.members = members ?? Array(0..<count)
    precondition(self.members.count == count, "\(name): \(count) values for \(self.members.count) points")
  }
}

/// How much of a factor can be read off points with a linear probe: ridge regression, five folds, beside the same with shuffled values.
public struct FactorAudit: Sendable {
  public let factor: String
  /// Accuracy for classes (one regression a class, the highest wins), R2 for numbers; of points that were held out.
  public let score: Double
  public let isAccuracy: Bool
  /// What one gets without looking: the most frequent class' share, or R2 = 0.
  public let chance: Double
  /// The same with shuffled values, mean over the tries.
  public let shuffled: Double
  public let count: Int

  public static let folds = 5
  private static let penalty = 0.1
  private static let tries = 3

  /// - Throws: `InputError` (usage) with too few points for the folds.
  public init(_ points: Points, _ factor: KnownFactor, seed: UInt64 = 0) throws {
    let d = points.dimension
    var values: [Float] = []
    values.reserveCapacity(factor.members.count * d)
    for i in factor.members { values += points[i] }
    let some = try Points(values, count: factor.members.count, dimension: d, name: factor.name)
    // Shuffled into folds: the order of the points may follow something.
    var random = SplitMix64(seed: seed)
    let fold = Array(0..<some.count).map { $0 % Self.folds }.shuffled(using: &random)
    let machine = FoldedRidge(some, fold: fold, folds: Self.folds, penalty: Self.penalty)
    count = some.count
    self.factor = factor.name
    switch factor.values {
    case .classes(let labels, let names):
      isAccuracy = true
      func accuracy(_ labels: [Int]) -> Double {
        let decisions = names.indices.map { c in machine.decisions(labels.map { $0 == c ? 1 : -1 }) }
        let right = labels.indices.count { i in
          names.indices.max { decisions[$0][i] < decisions[$1][i] } == labels[i]
        }
        return Double(right) / Double(max(1, labels.count))
      }
      score = accuracy(labels)
      chance = Double(names.indices.map { c in labels.count { $0 == c } }.max() ?? 0) / Double(max(1, labels.count))
      shuffled = (0..<Self.tries).reduce(0.0) { sum, _ in sum + accuracy(labels.shuffled(using: &random)) } / Double(Self.tries)
    case .numbers(let y):
      isAccuracy = false
      func rSquared(_ y: [Double]) -> Double {
        let mean = y.reduce(0, +) / Double(max(1, y.count))
        let total = y.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let rest = zip(machine.decisions(y), y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        return total > 0 ? 1 - rest / total : 0
      }
      score = rSquared(y)
      chance = 0
      shuffled = (0..<Self.tries).reduce(0.0) { sum, _ in sum + rSquared(y.shuffled(using: &random)) } / Double(Self.tries)
    }
  }
}
