import Engine

/// Can a label be read off a set of points with a straight cut? Ridge regression of -1 and 1 on the centred points (scikit-learn's RidgeClassifier), scored by
/// k-fold cross-validation, beside the same with shuffled labels.
public struct LinearProbe: Sendable, Equatable {
  /// Share of held-out points that fall on the right side.
  public let accuracy: Double
  /// Share of the more frequent label: what one gets without looking.
  public let chance: Double
  public let count: Int
  public let folds: Int
  /// Accuracy with shuffled labels: mean and highest of `shuffles` tries.
  public let shuffledMean: Double
  public let shuffledHighest: Double
  public let shuffles: Int

  /// The j-th point of each label is held out in fold j modulo `folds`: both ends of a pair that shares a seed are held out together.
  ///
  /// - Parameters:
  ///   - labels: one a point, both occurring at least `folds` times.
  ///   - penalty: of the squared weights, as a multiple of the mean squared distance of the training points from their mean.
  ///   - seed: of the shuffles.
  /// - Throws: `InputError` (usage) when there are fewer points of a label than folds.
  public init(_ points: Points, labels: [Bool], folds: Int = 5, penalty: Double = 0.1, shuffles: Int = 20, seed: UInt64 = 0) throws {
    precondition(labels.count == points.count, "\(labels.count) labels for \(points.count) points")
    let rarer = min(labels.count { $0 }, labels.count { !$0 })
    guard folds >= 2, rarer >= folds else {
      throw InputError(
        .usage, "a probe with \(folds) folds needs as many points of each label, found \(rarer)", hint: "give more pictures or fewer folds")
    }
    let n = points.count
    let fold = Self.folds(labels, folds)
    let machine = FoldedRidge(points, fold: fold, folds: folds, penalty: penalty)
    func accuracy(_ labels: [Bool]) -> Double {
      let decisions = machine.decisions(labels.map { $0 ? 1 : -1 })
      return Double(zip(decisions, labels).count { ($0 > 0) == $1 }) / Double(n)
    }
    self.accuracy = accuracy(labels)
    var random = SplitMix64(seed: seed)
    let shuffled = (0..<shuffles).map { _ in accuracy(labels.shuffled(using: &random)) }
    (shuffledMean, shuffledHighest) = (shuffled.reduce(0, +) / Double(max(1, shuffles)), shuffled.max() ?? .nan)
    (chance, count, self.folds, self.shuffles) = (Double(n - rarer) / Double(n), n, folds, shuffles)
  }

  static func folds(_ labels: [Bool], _ folds: Int) -> [Int] {
    var seen = [false: 0, true: 0]
    return labels.map { label in
      let j = seen[label, default: 0]
      seen[label] = j + 1
      return j % folds
    }
  }
}

/// Ridge regression in its dual form for every fold; what does not depend on the labels is done once.
struct FoldedRidge {
  private struct Fold {
    let train: [Int]
    let test: [Int]
    /// Cholesky factor of the centred products plus penalty, lower, `[train, train]`.
    let factor: [Double]
    /// Centred products of the test points with the training points, `[test, train]`.
    let products: [Double]
  }
  private let folds: [Fold]
  private let count: Int

  init(_ points: Points, fold: [Int], folds: Int, penalty: Double) {
    let n = points.count
    count = n
    let mean = points.mean()
    // About the mean of all points first: single precision's digits are then those of the differences.
    let rows = (0..<n).map { i in zip(points[i], mean).map { Double($0) - $1 } }
    var k = [Double](repeating: 0, count: n * n)
    for i in 0..<n {
      for j in 0...i {
        var sum = 0.0
        rows[i].withUnsafeBufferPointer { a in rows[j].withUnsafeBufferPointer { b in for c in 0..<a.count { sum += a[c] * b[c] } } }
        (k[i * n + j], k[j * n + i]) = (sum, sum)
      }
    }
    self.folds = (0..<folds).map { f in
      let (train, test) = ((0..<n).filter { fold[$0] != f }, (0..<n).filter { fold[$0] == f })
      let m = train.count
      let means = (0..<n).map { i in train.reduce(0) { $0 + k[i * n + $1] } / Double(m) }
      let whole = train.reduce(0) { $0 + means[$1] } / Double(m)
      func centred(_ i: Int, _ j: Int) -> Double { k[i * n + j] - means[i] - means[j] + whole }
      var matrix = train.flatMap { i in train.map { centred(i, $0) } }
      let scale = (0..<m).reduce(0) { $0 + matrix[$1 * m + $1] } / Double(m)
      for i in 0..<m { matrix[i * m + i] += max(penalty * scale, 1e-300) }
      return Fold(train: train, test: test, factor: Self.cholesky(matrix, m), products: test.flatMap { i in train.map { centred(i, $0) } })
    }
  }

  /// For each point what a fit without its fold says of it.
  func decisions(_ y: [Double]) -> [Double] {
    var out = [Double](repeating: 0, count: count)
    for fold in folds {
      let m = fold.train.count
      let mean = fold.train.reduce(0) { $0 + y[$1] } / Double(m)
      let weights = Self.solve(fold.factor, m, fold.train.map { y[$0] - mean })
      for (t, i) in fold.test.enumerated() {
        out[i] = mean + (0..<m).reduce(0) { $0 + weights[$1] * fold.products[t * m + $1] }
      }
    }
    return out
  }

  /// The lower factor L with L L' = a. What rounding makes of a pivot near zero is lifted.
  private static func cholesky(_ a: [Double], _ n: Int) -> [Double] {
    var l = a
    for j in 0..<n {
      for k in 0..<j { l[j * n + j] -= l[j * n + k] * l[j * n + k] }
      l[j * n + j] = max(l[j * n + j], 1e-300).squareRoot()
      for i in j + 1..<max(n, j + 1) {
        var sum = l[i * n + j]
        for k in 0..<j { sum -= l[i * n + k] * l[j * n + k] }
        l[i * n + j] = sum / l[j * n + j]
      }
    }
    return l
  }

  private static func solve(_ l: [Double], _ n: Int, _ b: [Double]) -> [Double] {
    var x = b
    for i in 0..<n {
      for k in 0..<i { x[i] -= l[i * n + k] * x[k] }
      x[i] /= l[i * n + i]
    }
    for i in (0..<n).reversed() {
      for k in i + 1..<max(n, i + 1) { x[i] -= l[k * n + i] * x[k] }
      x[i] /= l[i * n + i]
    }
    return x
  }
}
