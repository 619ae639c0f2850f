import Engine

/// A word taken out of what the network is told: its embedding rows, of all its occurrences, are replaced with those of padding.
///
/// The padding is that of the empty prompt, at the same place in its row, so that it carries nothing of the prompt (the prompt's own padding does: CLIP's mask is
/// causal, later positions have seen the word). For the same reason what the text encoder mixed of the word into later rows stays: the knock-out measures
/// what the word's own positions do.
public struct WordKnockOut: Sendable {
  public let word: String
  /// Rows of the embedding that were replaced, rising.
  public let rows: [Int]
  public let conditioning: Conditioning

  /// - Parameter request: its prompt has `word`, one word or several in a row.
  /// - Throws: `InputError` (usage) when the prompt has no such word, or all of it was cut off.
  public init(_ word: String, _ model: StableDiffusion, _ request: GenerationRequest) throws {
    let prompt = try model.tokenize(request.prompt, longPrompt: request.longPrompt, emphasis: request.emphasis)
    let whole = try model.conditioning(request)
    let positions = try prompt.positions(of: word).flatMap { $0 }
    let padding = try model.embedding(model.tokenize(""), clipSkip: request.clipSkip)
    let rows = Set(positions.map { $0.chunk * prompt.length + $0.index }).sorted()
    self.word = word
    self.rows = rows
    conditioning = Conditioning(
      prompt: Self.replaced(whole.prompt, rows: rows, length: prompt.length, padding: padding), negative: whole.negative,
      warnings: whole.warnings)
  }

  /// An embedding with some of its rows replaced by the empty prompt's padding at the same place of its row of tokens.
  ///
  /// - Parameters:
  ///   - embedding: `[1, chunks * length, width]`.
  ///   - padding: of the empty prompt, `[1, length, width]`.
  static func replaced(_ embedding: Tensor, rows: [Int], length: Int, padding: Tensor) -> Tensor {
    let width = embedding.shape[2]
    var values = embedding.array
    let filler = padding.array
    for row in rows {
      // The empty prompt's place 1 is its EOS; padding begins at 2.
      let from = min(max(2, row % length), length - 1) * width
      values.replaceSubrange(row * width..<(row + 1) * width, with: filler[from..<from + width])
    }
    return Tensor(values, embedding.shape)
  }
}

/// Where two pictures differ.
public enum ChangeMap {
  /// `[height, width]` in 0...1: mean absolute difference of the channels, averaged over the pixels of each cell.
  /// - Parameter size: of the map, usually the latents'; the pictures' sides are multiples of its sides.
  /// - Throws: `InputError` (usage) when sizes do not fit.
  public static func between(_ a: Picture, _ b: Picture, size: MapSize) throws -> [Float] {
    guard a.width == b.width, a.height == b.height else {
      throw InputError(.usage, "pictures of \(a.width)x\(a.height) and \(b.width)x\(b.height) cannot be compared")
    }
    guard size.count > 0, a.width % size.width == 0, a.height % size.height == 0 else {
      throw InputError(.usage, "a change map of \(size.width)x\(size.height) does not divide a picture of \(a.width)x\(a.height)")
    }
    let (h, w) = (a.height / size.height, a.width / size.width)
    var sums = [Int](repeating: 0, count: size.count)
    for i in a.pixels.indices {
      let pixel = i / 3
      let cell = pixel / a.width / h * size.width + pixel % a.width / w
      sums[cell] += abs(Int(a.pixels[i]) - Int(b.pixels[i]))
    }
    return sums.map { Float(Double($0) / Double(3 * 255 * h * w)) }
  }
}
