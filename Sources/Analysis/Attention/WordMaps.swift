import Engine

/// How a heatmap of a word is made.
public enum HeatmapMethod: String, Sendable, CaseIterable {
  /// Tang et al., ACL 2023.
  case daam
  /// Marcos-Manchon et al., CVPR 2024: words that need not be in the prompt.
  case ovam
  /// Hertz et al., ICLR 2023.
  case p2p
  /// Where words are written, in the output space of attention: the project's own (`OutputMaps`).
  case sdlab
  /// Class activation maps of an up block's features by gradients (`GradCAM`).
  case gradcam
  /// The same of the judge of scenes, which knows nouns and no model: what in the finished picture speaks for one.
  case judge
  /// Chefer et al., SIGGRAPH 2023: a number a word and step, no map.
  case neglect
}

/// The map of one word at the size of the latents, raw values of the method's definition.
public struct WordMap: Sendable {
  public let word: String
  /// Places of its tokens in the prompt's row (rows, one behind the other).
  public let positions: [Int]
  /// `[h, w]`
  public let values: [Float]
  /// Share of this word in the sum over all tokens' maps, BOS and padding included; several sub-tokens count together.
  public let share: Double

  public init(word: String, positions: [Int], values: [Float], share: Double) {
    self.word = word
    self.positions = positions
    self.values = values
    self.share = share
  }
}

/// Maps of words out of token maps `[h, w, tokens]`.
public struct TokenMaps: Sendable {
  public let size: MapSize
  public let tokens: Int
  /// `[h, w, tokens]`
  public let values: [Float]

  public init(size: MapSize, tokens: Int, values: [Float]) {
    precondition(values.count == size.count * tokens, "\(values.count) values for \(size.height)x\(size.width)x\(tokens)")
    self.size = size
    self.tokens = tokens
    self.values = values
  }

  /// DAAM's.
  public init(_ daam: DAAM) { self.init(size: daam.size, tokens: daam.tokens, values: daam.maps) }

  /// At another size; bicubic, as DAAM enlarges.
  public func resized(to target: MapSize) -> TokenMaps {
    TokenMaps(size: target, tokens: tokens, values: Upsampling.bicubic.resize(values, size, channels: tokens, to: target))
  }

  /// The mean over the tokens at `positions`, that is over the sub-tokens of all occurrences of a word.
  /// - Throws: `InputError` (usage) for a position that the maps do not have.
  public func word(_ word: String, _ positions: [Int]) throws -> WordMap {
    guard !positions.isEmpty, positions.allSatisfy({ (0..<tokens).contains($0) }) else {
      throw InputError(.usage, "'\(word)': its tokens are not among the \(tokens) that the attention was kept for")
    }
    var out = [Float](repeating: 0, count: size.count)
    var mass = 0.0
    for position in positions {
      for i in 0..<size.count {
        let v = values[i * tokens + position]
        out[i] += v / Float(positions.count)
        mass += Double(v)
      }
    }
    let total = values.reduce(0.0) { $0 + Double($1) }
    return WordMap(word: word, positions: positions, values: out, share: total > 0 ? mass / total : 0)
  }
}
