import Foundation

/// Cross-attention maps as Prompt-to-Prompt shows them (Hertz et al., ICLR 2023): the mean over steps, heads and layers at one resolution, each
/// token divided by its maximum. Where the paper says 16x16 this takes the level with the number of positions nearest to it.
public struct PromptToPromptMaps: Sendable {
  public let size: MapSize
  public let tokens: Int
  /// `[h, w, tokens]`, not yet divided.
  public let means: [Float]

  public init(_ recorder: CrossAttentionRecorder, image: Int) {
    size = recorder.level
    tokens = recorder.layers.first?.tokens ?? 0
    let calls = recorder.levelMeans(image: image)
    var sum = [Float](repeating: 0, count: size.count * tokens)
    for call in calls { for i in 0..<sum.count { sum[i] += call[i] } }
    means = sum.map { $0 / Float(max(1, calls.count)) }
  }

  /// `[h, w, tokens]`, every token's largest value 1.
  public var maps: [Float] {
    var out = means
    for t in 0..<tokens {
      let largest = stride(from: t, to: means.count, by: tokens).reduce(Float(0)) { max($0, means[$1]) }
      if largest > 0 { for i in stride(from: t, to: means.count, by: tokens) { out[i] /= largest } }
    }
    return out
  }
}

/// How much a word is neglected (Attend-and-Excite, Chefer et al., SIGGRAPH 2023): its largest attention anywhere, after competing with the
/// other words and smoothing.
public enum Neglect {
  /// For each token of 1 ..< tokens - 1 the largest smoothed value at each network call: `[calls][tokens - 2]`; in 0...1.
  ///
  /// From the published code: mean at the 16x16 level; BOS and the last position dropped; times 100; softmax again over the rest; 3x3 kernel
  /// exp(-(x / (2 sigma))^2), sigma 0.5, reflected at the border; maximum over pixels.
  public static func maxima(_ recorder: CrossAttentionRecorder, image: Int) -> [[Float]] {
    let size = recorder.level
    let tokens = recorder.layers.first?.tokens ?? 0
    guard tokens > 2 else { return [] }
    let kept = tokens - 2
    return recorder.levelMeans(image: image).map { call in
      var competing = [Float](repeating: 0, count: size.count * kept)
      for p in 0..<size.count {
        let row = (0..<kept).map { 100 * call[p * tokens + 1 + $0] }
        let largest = row.max() ?? 0
        let e = row.map { exp($0 - largest) }
        let total = e.reduce(0, +)
        for t in 0..<kept { competing[p * kept + t] = e[t] / total }
      }
      let smooth = smoothed(competing, size, channels: kept)
      return (0..<kept).map { t in stride(from: t, to: smooth.count, by: kept).reduce(Float(0)) { max($0, smooth[$1]) } }
    }
  }

  private static func smoothed(_ x: [Float], _ size: MapSize, channels: Int) -> [Float] {
    // exp(-(d / (2 sigma))^2) for d = -1, 0, 1 and sigma = 0.5, in both directions, sum 1.
    let edge = exp(Float(-1))
    let weights = [edge, 1, edge].map { $0 / (2 * edge + 1) }
    func reflected(_ i: Int, _ n: Int) -> Int { n == 1 ? 0 : i < 0 ? -i : i >= n ? 2 * n - 2 - i : i }
    var out = [Float](repeating: 0, count: x.count)
    for y in 0..<size.height {
      for xx in 0..<size.width {
        for dy in -1...1 {
          for dx in -1...1 {
            let from = (reflected(y + dy, size.height) * size.width + reflected(xx + dx, size.width)) * channels
            let w = weights[dy + 1] * weights[dx + 1]
            for c in 0..<channels { out[(y * size.width + xx) * channels + c] += w * x[from + c] }
          }
        }
      }
    }
    return out
  }
}
