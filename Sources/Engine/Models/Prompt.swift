/// What becomes of a prompt that is longer than the model's row.
public enum PromptOverflow: String, Sendable, CaseIterable {
  /// What does not fit is cut off, as in diffusers; the caller warns.
  case truncate
  /// It goes on in further rows with BOS and EOS of their own; their embeddings are joined. Rows break nowhere special.
  case chunk
}

/// One row as it is fed to the text encoder: BOS, up to `length - 2` tokens, EOS, padding.
public struct PromptChunk: Sendable, Equatable {
  public var ids: [Int]
  /// The vocabulary's spelling of each id.
  public var tokens: [String]
  /// Weight of each token under emphasis; 1 for BOS, EOS and padding, and everywhere without emphasis.
  public var weights: [Float]
}

/// Where a token stands in the rows that are fed to the text encoder.
public struct TokenPosition: Sendable, Hashable, Comparable {
  /// Row, from 0.
  public var chunk: Int
  /// Place in the row; 0 is BOS.
  public var index: Int

  public init(chunk: Int, index: Int) {
    self.chunk = chunk
    self.index = index
  }

  public static func < (a: TokenPosition, b: TokenPosition) -> Bool { (a.chunk, a.index) < (b.chunk, b.index) }
}

/// A prompt in tokens: the rows for the text encoder, and which word each token belongs to.
public struct TokenizedPrompt: Sendable {
  /// The prompt as written.
  public let text: String
  /// Tokens in a row, BOS and EOS included.
  public let length: Int
  /// How its brackets were read.
  public let emphasis: PromptEmphasis
  /// At least one row.
  public private(set) var chunks: [PromptChunk] = []
  /// Number of tokens that did not fit.
  public private(set) var cutTokens = 0
  /// The text that did not fit, as written.
  public private(set) var cutText = ""
  /// The prompt's words in order, also those that were cut off.
  public private(set) var words: [PromptWord] = []
  var search = PromptSearch()
  private let emptyChunk: PromptChunk

  /// Ids of all rows, one after another.
  public var ids: [Int] { chunks.flatMap(\.ids) }
  /// Weights of all rows, one after another.
  public var weights: [Float] { chunks.flatMap(\.weights) }
  /// True when a weight differs from 1.
  public var isWeighted: Bool { chunks.contains { $0.weights.contains { $0 != 1 } } }

  /// A line for the person when something was cut off, else nil.
  public var warning: String? {
    if cutTokens == 0 { return nil }
    let shown = cutText.count > 60 ? cutText.prefix(60) + "..." : cutText[...]
    return "the prompt is \(cutTokens) \(cutTokens == 1 ? "token" : "tokens") too long for the model; this was cut off: '\(shown)'".oneLine
  }

  /// Adds rows without text until there are `count`, so that a prompt and its negative prompt have equally many.
  public mutating func pad(toChunks count: Int) {
    while chunks.count < count { chunks.append(emptyChunk) }
  }

  /// Gives all prompts as many rows as the longest has: the conditional and the unconditional embeddings must be of one length.
  public static func equalizeChunks(_ prompts: inout [TokenizedPrompt]) {
    let count = prompts.lazy.map(\.chunks.count).max() ?? 0
    for k in prompts.indices { prompts[k].pad(toChunks: count) }
  }

  fileprivate init(text: String, length: Int, emphasis: PromptEmphasis, emptyChunk: PromptChunk) {
    self.text = text
    self.length = length
    self.emphasis = emphasis
    self.emptyChunk = emptyChunk
  }
}

extension Tokenizer {
  /// The rows that the text encoder is fed with for `text`, with the map from its words to their tokens.
  ///
  /// With `.truncate` and no emphasis the ids are those of transformers' `tokenizer(text, padding="max_length", truncation=True)`. With
  /// `.chunk` and emphasis they are those of A1111 with its comma backtracking off. BREAK (under `.a1111`) begins a new row whatever
  /// `overflow` says; `.truncate` then cuts each section at the end of its row.
  /// - Parameters:
  ///   - length: tokens in a row, BOS and EOS included; by default `modelMaxLength`, or 77 where the files give none.
  /// - Throws: `InputError` for a weight that is no number, or a row too short for BOS, EOS and one token.
  public func prepare(
    _ text: String, length: Int? = nil, overflow: PromptOverflow = .truncate, emphasis: PromptEmphasis = .none
  ) throws -> TokenizedPrompt {
    let length = length ?? modelMaxLength ?? 77
    guard (3...65536).contains(length) else {
      throw InputError(.badData, "prompt length: expected 3 to 65536 tokens, found \(length)")
    }
    let segments = try emphasis == .a1111 ? PromptSegment.parse(text) : [PromptSegment(plain: text)]
    var prompt = TokenizedPrompt(text: text, length: length, emphasis: emphasis, emptyChunk: row([], [], length))
    var rows = RowFiller(capacity: length - 2, overflow: overflow)
    var builder = PromptSearch.Builder()
    for segment in segments {
      if segment.isBreak {
        rows.breakHere()
        builder.separate()
        continue
      }
      let tokenization = tokenize(segment.text)
      let positions = tokenization.tokens.map { rows.append($0.id, Float(segment.weight)) }
      builder.append(segment, tokenization, positions)
    }
    prompt.fill(rows.finish().map { row($0.ids, $0.weights, length) }, builder)
    return prompt
  }

  private func row(_ content: [Int], _ weights: [Float], _ length: Int) -> PromptChunk {
    let padding = length - content.count - 2
    let ids = [bos] + content + [eos] + Array(repeating: pad, count: padding)
    return PromptChunk(
      ids: ids, tokens: ids.map { token($0) ?? "" }, weights: [1] + weights + Array(repeating: 1, count: padding + 1))
  }
}

extension TokenizedPrompt {
  fileprivate mutating func fill(_ rows: [PromptChunk], _ builder: PromptSearch.Builder) {
    chunks = rows
    search = builder.search
    words = builder.words()
    cutTokens = search.tokens.count { $0.position == nil }
    let bytes = Array(text.utf8)
    // Stretches of the text whose tokens were cut, each from its first token to its last.
    var stretches: [Range<Int>] = []
    var wasCut = false
    for token in search.tokens {
      if token.position == nil {
        if wasCut, let last = stretches.popLast() {
          stretches.append(last.lowerBound..<max(last.upperBound, token.source.upperBound))
        } else {
          stretches.append(token.source)
        }
      }
      wasCut = token.position == nil
    }
    cutText = stretches.map { String(decoding: bytes[$0], as: UTF8.self) }.joined(separator: " ")
  }
}

/// Deals tokens out to rows.
private struct RowFiller {
  let capacity: Int
  let overflow: PromptOverflow
  private var done: [(ids: [Int], weights: [Float])] = []
  private var ids: [Int] = []
  private var weights: [Float] = []

  init(capacity: Int, overflow: PromptOverflow) {
    self.capacity = capacity
    self.overflow = overflow
  }

  /// Where the token went; nil when it was cut off.
  mutating func append(_ id: Int, _ weight: Float) -> TokenPosition? {
    if ids.count == capacity {
      if overflow == .truncate { return nil }
      breakHere()
    }
    ids.append(id)
    weights.append(weight)
    return TokenPosition(chunk: done.count, index: ids.count)
  }

  mutating func breakHere() {
    done.append((ids, weights))
    ids = []
    weights = []
  }

  /// A row begun is kept; an empty one only when there is no other, as in A1111.
  mutating func finish() -> [(ids: [Int], weights: [Float])] {
    if !ids.isEmpty || done.isEmpty { breakHere() }
    return done
  }
}
