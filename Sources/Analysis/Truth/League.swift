import Foundation

/// A way to say where a word's thing is.
public struct Explanation: Hashable, Sendable, Codable {
  public enum Kind: String, Sendable, Codable, CaseIterable {
    case method
    /// DAAM at one timestep.
    case timestep
    /// One layer, all its heads.
    case layer
    case head
    /// What needs no network, or looks at something else: what a method has to beat.
    case baseline
  }
  public let kind: Kind
  public let name: String

  public init(_ kind: Kind, _ name: String) {
    self.kind = kind
    self.name = name
  }
}

/// Ways to explain beside each other on pictures whose truth is known.
///
/// Each map is cut at one threshold, which was chosen for its method on the validation pictures (the highest mean IoU): all methods get the same search.
/// Intervals are bootstrap ones (95 %) over pictures, not over objects: two objects of one picture are not two cases.
public struct League: Sendable {
  /// An object of a picture.
  public struct Case: Sendable {
    public let picture: Int
    public let word: String
    public let size: String
    /// Number of objects in its picture.
    public let company: Int

    public init(picture: Int, word: String, size: String, company: Int) {
      self.picture = picture
      self.word = word
      self.size = size
      self.company = company
    }
  }

  /// One method's scores, a value an object.
  public struct Entry: Sendable {
    public let explanation: Explanation
    /// Index into `Localisation.thresholds`.
    public let threshold: Int
    public let scores: [Localisation]
    public var iou: [Double] { scores.map { $0.iou[threshold] } }
  }

  /// A method's line.
  public struct Standing: Sendable {
    public let explanation: Explanation
    public let threshold: Double
    public let iou: MetricEstimate
    /// Mean of each map's IoU at its own best threshold: what a perfect choice of thresholds would give.
    public let bestIoU: Double
    public let auc: MetricEstimate
    public let pointing: MetricEstimate
    public let mass: Double
    /// Share of the objects whose map is inverted: AUC below 0.5.
    public let inverted: Double
  }

  public let cases: [Case]
  public let entries: [Entry]
  private let replicates: Int
  private let seed: UInt64

  /// - Parameters:
  ///   - cases: objects of the test pictures.
  ///   - scores: for each explanation those of the validation objects and those of the test objects.
  public init(
    cases: [Case], scores: [(explanation: Explanation, validation: [Localisation], test: [Localisation])], replicates: Int = 1000,
    seed: UInt64 = 42
  ) {
    precondition(scores.allSatisfy { $0.test.count == cases.count && !$0.validation.isEmpty }, "scores do not fit \(cases.count) cases")
    self.cases = cases
    self.replicates = replicates
    self.seed = seed
    entries = scores.map { Entry(explanation: $0.explanation, threshold: Self.threshold($0.validation), scores: $0.test) }
  }

  /// The best one for all: highest mean IoU; of equals the lowest.
  public static func threshold(_ scores: [Localisation]) -> Int {
    let means = Localisation.thresholds.indices.map { t in scores.reduce(0) { $0 + $1.iou[t] } }
    return means.indices.max { means[$0] < means[$1] || (means[$0] == means[$1] && $0 > $1) } ?? 0
  }

  public func entry(_ explanation: Explanation) -> Entry? { entries.first { $0.explanation == explanation } }

  /// Highest IoU first.
  public func standings(_ kind: Explanation.Kind) -> [Standing] {
    entries.filter { $0.explanation.kind == kind }.map(standing).sorted { $0.iou.value > $1.iou.value }
  }

  public func standing(_ entry: Entry) -> Standing {
    Standing(
      explanation: entry.explanation, threshold: Localisation.thresholds[entry.threshold], iou: estimate(entry.iou),
      bestIoU: Self.mean(entry.scores.map { $0.iou.max() ?? 0 }), auc: estimate(entry.scores.map(\.auc)),
      pointing: estimate(entry.scores.map(\.pointing)), mass: Self.mean(entry.scores.map(\.mass)),
      inverted: Self.mean(entry.scores.map { $0.auc < 0.5 ? 1 : 0 }))
  }

  /// Mean IoU of the first less that of the second, on the same objects, with its paired interval.
  public func difference(_ a: Entry, _ b: Entry) -> MetricEstimate { estimate(zip(a.iou, b.iou).map { $0 - $1 }) }

  /// One method's scores for a part of the objects.
  public struct Group: Sendable {
    public let name: String
    public let count: Int
    public let iou: MetricEstimate
    public let auc: Double
    public let inverted: Double
  }

  /// By a property of the objects, in the order of its names.
  public func groups(_ entry: Entry, by property: (Case) -> String) -> [Group] {
    let names = Set(cases.map(property)).sorted()
    return names.map { name in
      let members = cases.indices.filter { property(cases[$0]) == name }
      return Group(
        name: name, count: members.count, iou: estimate(entry.iou, members),
        auc: Self.mean(members.map { entry.scores[$0].auc }), inverted: Self.mean(members.map { entry.scores[$0].auc < 0.5 ? 1 : 0 }))
    }
  }

  private static func mean(_ values: [Double]) -> Double { values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count) }

  /// The mean over the objects (or some of them) with an interval over pictures.
  private func estimate(_ values: [Double], _ members: [Int]? = nil) -> MetricEstimate {
    let members = members ?? Array(values.indices)
    let value = Self.mean(members.map { values[$0] })
    var sums: [Int: (sum: Double, count: Double)] = [:]
    for i in members {
      let old = sums[cases[i].picture] ?? (0, 0)
      sums[cases[i].picture] = (old.sum + values[i], old.count + 1)
    }
    guard sums.count > 1, replicates >= 2 else { return MetricEstimate(value: value, interval: nil, replicates: 0) }
    let pictures = sums.sorted { $0.key < $1.key }.map(\.value)
    let means = Bootstrap.replicates(replicates) { r in
      let weights = Bootstrap.weights(pictures.count, replicate: r, seed: seed)
      var (sum, count) = (0.0, 0.0)
      for (weight, picture) in zip(weights, pictures) {
        sum += weight * picture.sum
        count += weight * picture.count
      }
      return sum / count
    }
    return Bootstrap.estimate(value, means)
  }
}
