import Engine
import Foundation

/// Which head of which cross-attention layer attends to a word, and where: one map a head, the mean over the network's calls.
public struct HeadAtlas: Sendable {
  public struct Head: Sendable {
    public let place: AttentionPlace
    /// Number of the head in its layer, from 0.
    public let number: Int
    public let size: MapSize
    /// `[h, w]`: at each place the attention to the word, the sum over its tokens, 0...1.
    public let map: [Float]
    /// Mean of the map: the share of this head's attention that goes to the word.
    public let share: Double
    /// `1 - H / ln(places)`, H being the entropy of the map divided by its sum: 0 when all places attend to the word alike, 1 when one place alone does. 0
    /// for a map without attention or of one place.
    public let peakedness: Double
  }

  /// What heads are ranked by.
  public enum Ranking: String, Sendable, CaseIterable { case share, peakedness }

  /// Layers in network order, heads by number.
  public let heads: [Head]

  /// - Parameters:
  ///   - image: index of the image in the run.
  ///   - positions: places of the word's tokens in the prompt's rows.
  ///   - isWanted: which layers enter; all by default, the mid block included.
  /// - Throws: `InputError` (usage) for a position or an image that the recorder does not have, or when no layer is left.
  public init(
    _ recorder: CrossAttentionRecorder, image: Int, positions: [Int], where isWanted: ((AttentionPlace, MapSize) -> Bool)? = nil
  ) throws {
    let layers = recorder.layers.filter { isWanted?($0.place, $0.size) ?? true }
    guard !layers.isEmpty else { throw InputError(.usage, "no cross-attention layer is left", hint: "widen --layers or --at-steps") }
    heads = try layers.flatMap { layer in
      guard layer.sums.indices.contains(image) else { throw InputError(.usage, "image \(image): the run has \(layer.sums.count)") }
      guard !positions.isEmpty, positions.allSatisfy({ (0..<layer.tokens).contains($0) }) else {
        throw InputError(.usage, "tokens \(positions): the attention was kept for \(layer.tokens)")
      }
      let calls = Float(max(1, recorder.calls))
      return layer.sums[image].withUnsafeBufferPointer { sums in
        (0..<layer.heads).map { head in
          let map = (0..<layer.size.count).map { place in
            let at = (head * layer.size.count + place) * layer.tokens
            return positions.reduce(Float(0)) { $0 + sums[at + $1] } / calls
          }
          return Head(
            place: layer.place, number: head, size: layer.size, map: map,
            share: map.reduce(0.0) { $0 + Double($1) } / Double(map.count), peakedness: Self.peakedness(map))
        }
      }
    }
  }

  /// Highest first; equal heads in network order.
  public func ranked(by ranking: Ranking) -> [Head] {
    let value = { (head: Head) in ranking == .share ? head.share : head.peakedness }
    return heads.enumerated().sorted {
      value($0.element) != value($1.element) ? value($0.element) > value($1.element) : $0.offset < $1.offset
    }
    .map(\.element)
  }

  static func peakedness(_ map: [Float]) -> Double {
    let total = map.reduce(0.0) { $0 + Double($1) }
    guard total > 0, map.count > 1 else { return 0 }
    let entropy = map.reduce(0.0) { sum, v in
      let p = Double(v) / total
      return p > 0 ? sum - p * log(p) : sum
    }
    return max(0, 1 - entropy / log(Double(map.count)))
  }
}
