import Engine

/// Attribution maps from cross-attention (Tang et al., ACL 2023), by the definition of the published code (castorini/daam).
///
/// `M[token] = mean over (layer, head) of max(0, bicubic upsample to the latents' size of the sum over network calls of P[layer, head])`, over the
/// layers of the down and up blocks, without those whose maps are exactly 8 times smaller than the latents along a side. Time is a sum: raw values
/// grow with the number of calls. Not copied from there: width and height swapped for pictures that are not square, and half of the heads thrown away
/// without guidance.
public struct DAAM: Sendable {
  /// Latent size.
  public let size: MapSize
  public let tokens: Int
  /// `[h, w, tokens]`
  public let maps: [Float]
  /// Layers that entered.
  public let layers: [AttentionPlace]

  /// - Parameters:
  ///   - image: index of the image in the run.
  ///   - layers: which layers enter; by default the published choice.
  /// - Throws: `InputError` when no layer is left.
  public init(
    _ recorder: CrossAttentionRecorder, image: Int, latents: MapSize, where isWanted: ((AttentionPlace, MapSize) -> Bool)? = nil
  ) throws {
    let wanted = recorder.layers.filter { layer in
      isWanted.map { $0(layer.place, layer.size) } ?? (layer.place.side != .mid && !Self.isDropped(layer.size, latents))
    }
    guard let first = wanted.first else {
      throw InputError(.usage, "no cross-attention layer is left to make a map of", hint: "widen --layers or --at-steps")
    }
    size = latents
    tokens = first.tokens
    layers = wanted.map(\.place)
    var total = [Float](repeating: 0, count: latents.count * tokens)
    var heads = 0
    for layer in wanted {
      let plane = layer.size.count * tokens
      for head in 0..<layer.heads {
        let map = Array(layer.sums[image][head * plane..<(head + 1) * plane])
        let large = Upsampling.bicubic.resize(map, layer.size, channels: tokens, to: latents)
        for i in 0..<total.count { total[i] += max(0, large[i]) }
      }
      heads += layer.heads
    }
    maps = total.map { $0 / Float(heads) }
  }

  /// The published code leaves out maps with sqrt(latent pixels / map pixels) = 8.
  static func isDropped(_ size: MapSize, _ latents: MapSize) -> Bool { size.count * 64 == latents.count }

  /// One token's map, `[h, w]`.
  public func map(token: Int) -> [Float] { stride(from: token, to: maps.count, by: tokens).map { maps[$0] } }

  /// A word's map: the mean over the sub-tokens of all its occurrences.
  public func map(_ positions: [Int]) -> [Float] {
    var out = [Float](repeating: 0, count: size.count)
    for position in positions {
      for i in 0..<size.count { out[i] += maps[i * tokens + position] / Float(positions.count) }
    }
    return out
  }

  /// Each pixel divided by the sum over the prompt's own tokens (BOS, EOS and padding left out) plus 1e-6: the published `normalize`.
  /// - Parameter content: number of the prompt's tokens; they stand at 1...content.
  public func normalized(content: Int) -> [Float] {
    var out = maps
    for i in 0..<size.count {
      var sum: Float = 1e-6
      for t in 1..<max(2, content + 1) where t < tokens { sum += maps[i * tokens + t] }
      for t in 0..<tokens { out[i * tokens + t] /= sum }
    }
    return out
  }
}
