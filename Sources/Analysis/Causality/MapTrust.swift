import Engine
import Foundation

/// Whether a word's heatmap tells where the word acts: its agreement with the change that knocking the word out makes, beside maps that cannot know.
public struct MapTrust: Sendable {
  /// A map that must do worse.
  public enum Control: String, CaseIterable, Sendable {
    /// The map of a word that is not in the prompt.
    case absentWord
    /// The map of other tokens of the same prompt.
    case shuffledTokens
    /// The map of the word in another picture.
    case otherSeed

    /// For people.
    public var name: String {
      switch self {
      case .absentWord: "map of an absent word"
      case .shuffledTokens: "map of other tokens"
      case .otherSeed: "map from another seed"
      }
    }
  }

  /// Spearman correlation of the map with the change map; nil when one of them is constant.
  public let score: Double?
  public let controls: [(kind: Control, score: Double?)]
  public let isTrusted: Bool
  /// One line: why.
  public let reason: String

  /// At least this correlation: below, map and change hardly agree.
  public static let threshold = 0.2
  /// At least so much above the best control.
  public static let margin = 0.1

  /// The rule, a convention and no test of significance (neighbouring pixels are not independent): a map is trusted when its rank correlation with the
  /// change map is at least `threshold`, and exceeds that of EVERY control by at least `margin`. A control that is constant scores 0. Without controls, or
  /// when map or change is constant, nothing is trusted.
  /// - Parameters: maps of one size, row-major.
  public init(map: [Float], change: [Float], controls: [(kind: Control, map: [Float])]) {
    func score(_ map: [Float]) -> Double? { RankCorrelation.spearman(map.map(Double.init), change.map(Double.init)) }
    let own = score(map)
    let scored = controls.map { (kind: $0.kind, score: score($0.map)) }
    self.score = own
    self.controls = scored
    guard let own else {
      (isTrusted, reason) = (false, "map or change is the same everywhere")
      return
    }
    guard let best = scored.max(by: { ($0.score ?? 0) < ($1.score ?? 0) }) else {
      (isTrusted, reason) = (false, "there is no control to compare with")
      return
    }
    let lead = own - (best.score ?? 0)
    if own < Self.threshold {
      (isTrusted, reason) = (false, "correlation \(Self.text(own)) is below \(Self.threshold)")
    } else if lead < Self.margin {
      (isTrusted, reason) = (
        false, "correlation \(Self.text(own)) is not \(Self.margin) above the \(best.kind.name) (\(Self.text(best.score ?? 0)))"
      )
    } else {
      (isTrusted, reason) = (true, "correlation \(Self.text(own)), the best control, the \(best.kind.name), \(Self.text(best.score ?? 0))")
    }
  }

  private static func text(_ x: Double) -> String { String(format: "%.2f", x) }

  /// As many positions as the word has, drawn from the other tokens of the prompt; fewer when there are not so many.
  ///
  /// - Parameters:
  ///   - content: positions of all of the prompt's tokens.
  /// - Returns: rising, none of `word`; empty when the word is the whole prompt. The same seed gives the same positions.
  public static func shuffledPositions(of word: [Int], content: [Int], seed: UInt64) -> [Int] {
    let others = content.filter { !word.contains($0) }
    if others.isEmpty { return [] }
    var random = TorchRandom(seed: seed)
    let keys = random.uniform(count: others.count)
    return zip(keys, others).sorted { $0 < $1 }.prefix(word.count).map { $0.1 }.sorted()
  }
}
