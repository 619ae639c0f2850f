import Foundation

/// CLIP's byte-level BPE tokenizer, id for id what transformers 5's `CLIPTokenizer` (on the tokenizers library) gives.
///
/// A text is searched for the special tokens, then composed (NFC), its white space reduced to single blanks and lower-cased, split
/// by CLIP's pattern into runs of letters, single digits, contractions and other signs, and each piece is encoded byte by byte with merges in
/// the order of their rank (Radford et al., ICML 2021; `tokenization_clip.py`).
public struct Tokenizer: Sendable {
  /// Begins every row (`<|startoftext|>`).
  public let bos: Int
  /// Ends the text in every row (`<|endoftext|>`).
  public let eos: Int
  /// Fills rows: EOS in SD 1.x, `!` (id 0) in SD 2.x, by the model's files.
  public let pad: Int
  /// What an unknown token becomes; nil when the files say that there is none.
  public let unk: Int?
  /// Row length in tokens that the model's files give, BOS and EOS included (77 in SD); nil when they give none.
  public let modelMaxLength: Int?
  /// Tokens that are found in the text itself, by id.
  public private(set) var addedTokens: [Int: AddedToken]

  private let bytePairs: BytePairs
  private var tokens: [String?]
  private var asWritten: AddedTokenMatcher
  private var whenNormalized: AddedTokenMatcher
  /// Number of ids that an added token stands for, from its own on, where it is more than one.
  private var spans: [Int: Int] = [:]

  /// Reads the tokenizer's files in `directory` (a model's `tokenizer/`): `vocab.json` and `merges.txt`, or `tokenizer.json`, which goes
  /// first when both are there, as in transformers; `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` where
  /// present.
  /// - Parameter padToken: fills up rows in place of what the files say: SD 2's `!`, where a single file borrows SD 1's vocabulary.
  /// - Throws: `InputError` that names the file and what is wrong with it.
  public init(directory: URL, padToken: String? = nil) throws {
    try self.init(TokenizerFiles(directory, padToken: padToken))
  }

  /// True when `directory` holds a tokenizer's vocabulary, whether it is sound or not: for whoever looks for one in several places.
  public static func isPresent(in directory: URL) -> Bool {
    ["tokenizer.json", "vocab.json"].contains { FileManager.default.fileExists(atPath: directory.appendingPathComponent($0).path) }
  }

  init(_ files: TokenizerFiles) throws {
    bos = files.bos
    eos = files.eos
    pad = files.pad
    unk = files.unk
    modelMaxLength = files.modelMaxLength
    addedTokens = files.addedTokens
    bytePairs = files.bytePairs
    tokens = files.tokens
    (asWritten, whenNormalized) = try Self.matchers(files.addedTokens)
  }

  private static func matchers(_ added: [Int: AddedToken]) throws -> (asWritten: AddedTokenMatcher, whenNormalized: AddedTokenMatcher) {
    let patterns = added.sorted { $0.key < $1.key }.map { id, token in
      let text = MappedText(token.content)
      return AddedTokenMatcher.Pattern(scalars: (token.isNormalized ? text.normalized() : text).scalars, id: id, token: token)
    }
    return (
      try AddedTokenMatcher(patterns.filter { !$0.token.isNormalized }), try AddedTokenMatcher(patterns.filter { $0.token.isNormalized })
    )
  }

  /// The same tokenizer with a word of its own for a textual inversion: `content` in a text becomes the ids `ids`, one behind the other.
  ///
  /// As in diffusers (`load_textual_inversion`), where "<toy>" of three vectors is read as "<toy> <toy>_1 <toy>_2"; found in any case.
  /// - Throws: `InputError` when the vocabulary has that token.
  public func adding(_ content: String, ids: Range<Int>) throws -> Tokenizer {
    guard !tokens.contains(content) else {
      throw InputError(
        .badData, "the vocabulary has a token '\(content.oneLine)' already", hint: "give the embedding another name: --embedding FILE:NAME")
    }
    var wider = self
    wider.tokens += Array(repeating: nil, count: max(0, ids.upperBound - tokens.count))
    for (k, id) in ids.enumerated() { wider.tokens[id] = k == 0 ? content : "\(content)_\(k)" }
    var token = AddedToken(content: content)
    token.isNormalized = true
    wider.addedTokens[ids.lowerBound] = token
    wider.spans[ids.lowerBound] = ids.count
    (wider.asWritten, wider.whenNormalized) = try Self.matchers(wider.addedTokens)
    return wider
  }

  /// One more than the highest id.
  public var vocabularySize: Int { tokens.count }

  /// The vocabulary's spelling of an id, byte-level and with `</w>` at the end of a word; nil for an id that is not in use.
  public func token(_ id: Int) -> String? { tokens.indices.contains(id) ? tokens[id] : nil }

  /// Ids of `text` without BOS, EOS, padding or limit.
  public func encode(_ text: String) -> [Int] { tokenize(text).tokens.map(\.id) }

  /// A text in tokens, with the way back to the text.
  struct Tokenization {
    struct Token {
      let id: Int
      /// Scalars of `text` that it covers; two tokens that share the bytes of one scalar both cover it.
      let scalars: Range<Int>
    }
    /// The text as the BPE saw it.
    var text = MappedText()
    var tokens: [Token] = []
  }

  func tokenize(_ text: String) -> Tokenization {
    var out = Tokenization()
    let written = MappedText(text)
    forEachPart(of: written, asWritten) { range, special in
      let part = MappedText(written, range)
      if let special {
        append(special: special, part, to: &out)
        return
      }
      let normalized = part.normalized()
      forEachPart(of: normalized, whenNormalized) { range, special in
        let part = MappedText(normalized, range)
        if let special { append(special: special, part, to: &out) } else { append(part, to: &out) }
      }
    }
    return out
  }

  private func forEachPart(of text: MappedText, _ matcher: AddedTokenMatcher, _ body: (Range<Int>, Int?) -> Void) {
    var at = 0
    for match in matcher.matches(in: text.scalars) {
      if at < match.range.lowerBound { body(at..<match.range.lowerBound, nil) }
      body(match.range, match.id)
      at = match.range.upperBound
    }
    if at < text.count { body(at..<text.count, nil) }
  }

  private func append(special id: Int, _ part: MappedText, to out: inout Tokenization) {
    let scalars = out.text.count..<out.text.count + part.count
    out.tokens += (0..<(spans[id] ?? 1)).map { .init(id: id + $0, scalars: scalars) }
    out.text.scalars += part.scalars
    out.text.origins += part.origins
  }

  private func append(_ part: MappedText, to out: inout Tokenization) {
    let base = out.text.count
    out.text.scalars += part.scalars
    out.text.origins += part.origins
    var bytes: [UInt8] = []
    var scalarOfByte: [Int] = []
    for piece in part.pieces() {
      bytes.removeAll(keepingCapacity: true)
      scalarOfByte.removeAll(keepingCapacity: true)
      for k in piece {
        for byte in UTF8.encode(part.scalars[k]) ?? UTF8.encodedReplacementCharacter {
          bytes.append(byte)
          scalarOfByte.append(base + k)
        }
      }
      for token in bytePairs.encode(bytes[...]) {
        out.tokens.append(.init(id: token.id, scalars: scalarOfByte[token.bytes.lowerBound]..<scalarOfByte[token.bytes.upperBound - 1] + 1))
      }
    }
  }
}
