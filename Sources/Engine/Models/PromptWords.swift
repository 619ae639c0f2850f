/// A word of a prompt and its tokens.
///
/// A word is what a person takes for one: letters, digits and their marks in a run, an apostrophe between two of them included ("don't",
/// "O'Brien", "8k"). Every other sign is a word by itself; equal ones side by side are one ("!!!"), and so are signs of which one is drawn
/// (emoji joined or coloured). Where one token covers parts of two words they become one, so each token belongs to exactly one word.
/// Chinese, Japanese and Thai write no blanks: a run of them is one word here, and `positions(of:)` finds what is inside.
public struct PromptWord: Sendable, Equatable {
  /// As written.
  public let text: String
  /// UTF-8 offsets in the prompt.
  public let range: Range<Int>
  /// Where its tokens stand, in order. Tokens that were cut off are missing.
  public let positions: [TokenPosition]
  /// Number of its tokens, those that were cut off included.
  public let tokenCount: Int

  /// True when some of its tokens did not fit into the row.
  public var isCut: Bool { positions.count < tokenCount }
}

extension TokenizedPrompt {
  /// Token positions of each occurrence of `words`: one word or several in a row ("red house"), in any case.
  ///
  /// Spaces need not agree with the prompt's in number. A word is also found in its short forms ("cat" in "cat's", "it" in "it'll").
  /// - Returns: at least one occurrence, in the order of the text, each with at least one position. Occurrences of which nothing was
  ///   encoded are left out.
  /// - Throws: `InputError` (usage) when the prompt has no such word, with near misses, or when all of it was cut off.
  public func positions(of words: String) throws -> [[TokenPosition]] {
    let query = PromptSearch.key(words)
    guard !query.isEmpty else {
      throw InputError(.usage, "expected a word of the prompt, found nothing", hint: "the words are \(listed(search.distinctWords))")
    }
    let ranges = search.occurrences(of: query)
    let found = ranges.map { range in search.tokens.filter { $0.scalars.overlaps(range) }.compactMap(\.position) }.filter { !$0.isEmpty }
    if !found.isEmpty { return found }
    if !ranges.isEmpty {
      throw InputError(
        .usage, "'\(words)' was cut off: the prompt is \(cutTokens) tokens too long",
        hint: "shorten the prompt, or encode it in chunks (--long-prompt chunk)")
    }
    throw missing(words, query)
  }

  private func missing(_ words: String, _ query: [Unicode.Scalar]) -> InputError {
    let parts = query.split(separator: " ").map(Array.init)
    guard let part = parts.first(where: { search.occurrences(of: $0).isEmpty }) else {
      return InputError(.usage, "no '\(words)' in the prompt: its words are there, but not side by side in this order")
    }
    let name = String(String.UnicodeScalarView(parts.count == 1 ? ArraySlice(words.unicodeScalars) : part[...]))
    let near = search.distinctWords
      .map { (word: $0, distance: EditDistance.between(part, PromptSearch.key($0))) }
      .filter { $0.distance <= max(1, min(part.count, $0.word.unicodeScalars.count) / 3) && $0.distance < part.count }
      .sorted { $0.distance < $1.distance }
      .prefix(3)
      .map(\.word)
    let guesses = near.map { "'\($0)'" }.joined(separator: " or ")
    let hint = near.isEmpty ? "the words are \(listed(search.distinctWords))" : "did you mean \(guesses)?"
    return InputError(.usage, "no word '\(name)' in the prompt", hint: hint)
  }

  private func listed(_ words: [String]) -> String {
    let shown = words.prefix(12).map { "'\($0)'" }.joined(separator: ", ")
    return words.isEmpty ? "none" : words.count > 12 ? shown + ", ..." : shown
  }
}

/// The prompt as it is searched: normalised, without the grammar of emphasis, with its tokens and the borders of its words.
struct PromptSearch: Sendable {
  struct Token: Sendable {
    /// Scalars of `scalars` that it covers.
    let scalars: Range<Int>
    /// UTF-8 offsets in the prompt.
    let source: Range<Int>
    let position: TokenPosition?
  }

  struct Word: Sendable {
    let scalars: Range<Int>
    let text: String
  }

  fileprivate(set) var scalars: [Unicode.Scalar] = []
  fileprivate(set) var tokens: [Token] = []
  fileprivate(set) var words: [Word] = []

  /// `text` in the form in which it is compared.
  static func key(_ text: String) -> [Unicode.Scalar] {
    let all = MappedText(text).normalized().scalars
    return Array(all.drop { $0.isSpace }.reversed().drop { $0.isSpace }.reversed())
  }

  /// In order of first appearance, lower-cased ones that differ in case only once.
  var distinctWords: [String] {
    var seen: Set<ArraySlice<Unicode.Scalar>> = []
    return words.filter { seen.insert(scalars[$0.scalars]).inserted }.map(\.text)
  }

  /// Places where `query` stands from the beginning of a word to the end of one, without overlap.
  func occurrences(of query: [Unicode.Scalar]) -> [Range<Int>] {
    guard let first = query.first else { return [] }
    let starts = Set(words.map(\.scalars.lowerBound))
    let ends = Set(words.map(\.scalars.upperBound))
    let anywhere = query.allSatisfy(\.isOfUnspacedScript)
    var found: [Range<Int>] = []
    var i = 0
    while i + query.count <= scalars.count {
      let end = i + query.count
      if scalars[i] == first, anywhere || starts.contains(i), scalars[i..<end].elementsEqual(query),
        anywhere || ends.contains(end) || isShortForm(at: end)
      {
        found.append(i..<end)
        i = end
      } else {
        i += 1
      }
    }
    return found
  }

  /// The rest of the word that `place` is in is an 's, 're, 've, 'm, 'll or 'd.
  private func isShortForm(at place: Int) -> Bool {
    guard place < scalars.count, scalars[place].isApostrophe, let word = words.first(where: { $0.scalars.contains(place) }) else {
      return false
    }
    let rest = String(String.UnicodeScalarView(scalars[place + 1..<word.scalars.upperBound]))
    return ["s", "re", "ve", "m", "ll", "d"].contains(rest)
  }

  /// Gathers the prompt segment by segment. Words do not cross the border of two segments, since those are encoded apart.
  struct Builder {
    private(set) var search = PromptSearch()
    private var wordSources: [Range<Int>] = []

    /// A sign that no normalised text has, so that no phrase reaches across a BREAK.
    mutating func separate() { search.scalars.append("\n") }

    mutating func append(_ segment: PromptSegment, _ tokenization: Tokenizer.Tokenization, _ positions: [TokenPosition?]) {
      let text = tokenization.text
      if text.count == 0 { return }
      // One blank where two segments meet with blanks on both sides; offsets stay right because the older one goes.
      if text.scalars[0] == " ", search.scalars.last == " " { search.scalars.removeLast() }
      let base = search.scalars.count
      search.scalars += text.scalars.map { $0.isASCII ? Unicode.Scalar(UInt8(ascii: $0).lowercased) : $0 }
      for (token, position) in zip(tokenization.tokens, positions) {
        let source = segment.source(of: text.origin(of: token.scalars))
        let scalars = base + token.scalars.lowerBound..<base + token.scalars.upperBound
        search.tokens.append(Token(scalars: scalars, source: source, position: position))
      }
      let bytes = Array(segment.text.utf8)
      for range in text.words(tokens: tokenization.tokens.map(\.scalars)) {
        let origin = text.origin(of: range)
        search.words.append(
          Word(scalars: base + range.lowerBound..<base + range.upperBound, text: String(decoding: bytes[origin], as: UTF8.self)))
        wordSources.append(segment.source(of: origin))
      }
    }

    func words() -> [PromptWord] {
      var next = 0
      return zip(search.words, wordSources).map { word, source in
        let start = next
        while next < search.tokens.count, search.tokens[next].scalars.lowerBound < word.scalars.upperBound { next += 1 }
        let tokens = search.tokens[start..<next]
        return PromptWord(text: word.text, range: source, positions: tokens.compactMap(\.position), tokenCount: tokens.count)
      }
    }
  }
}

extension PromptSegment {
  /// Bytes of the prompt that bytes of `text` come from.
  fileprivate func source(of range: Range<Int>) -> Range<Int> {
    guard let first = sources[range].first, let last = sources[range].last else { return 0..<0 }
    return first..<last + 1
  }
}

extension MappedText {
  /// The words of a normalised text, as ranges of scalars; `tokens` must not be divided between two of them.
  fileprivate func words(tokens: [Range<Int>]) -> [Range<Int>] {
    var starts = Array(repeating: false, count: count + 1)
    var i = 0
    while i < count {
      starts[i] = true
      let begin = i
      i += 1
      if scalars[begin].isSpace { continue }
      if scalars[begin].isWordPart {
        while i < count, continuesWord(i) { i += 1 }
      } else {
        while i < count, !scalars[i].isSpace, !scalars[i].isWordPart { i += 1 }
        markSigns(begin..<i, &starts)
      }
    }
    starts[count] = true
    for token in tokens where token.count > 1 { for k in token.dropFirst() { starts[k] = false } }
    var words: [Range<Int>] = []
    var start = 0
    for end in 1..<count + 1 where starts[end] {
      // A token may have taken white space along.
      let word = scalars[start..<end].indices.filter { !scalars[$0].isSpace }
      if let first = word.first, let last = word.last { words.append(first..<last + 1) }
      start = end
    }
    return words
  }

  private func continuesWord(_ i: Int) -> Bool {
    if scalars[i].isWordPart || scalars[i].isMark || scalars[i].isJoiner { return true }
    return scalars[i].isApostrophe && i + 1 < count && scalars[i + 1].isWordPart
  }

  /// A start at each sign as it is drawn, but none between two equal ones.
  private func markSigns(_ range: Range<Int>, _ starts: inout [Bool]) {
    var at = range.lowerBound
    var previous: Character?
    for sign in String(String.UnicodeScalarView(scalars[range])) {
      starts[at] = sign != previous
      previous = sign
      at += sign.unicodeScalars.count
    }
  }
}

extension Unicode.Scalar {
  fileprivate var isApostrophe: Bool { self == "'" || self == "\u{2019}" }

  /// Zero-width joiner and non-joiner, which stand within words of some scripts.
  fileprivate var isJoiner: Bool { value == 0x200c || value == 0x200d }

  /// Letters and digits.
  fileprivate var isWordPart: Bool {
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber, .letterNumber, .otherNumber:
      return true
    default: return false
    }
  }

  /// Combining marks and variation selectors: they belong to what they follow, a letter or a sign.
  fileprivate var isMark: Bool {
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark: return true
    default: return false
    }
  }

  /// Of a script that is written without blanks between words.
  fileprivate var isOfUnspacedScript: Bool {
    if properties.isIdeographic { return true }
    switch value {
    case 0x0e00...0x0eff, 0x1000...0x109f, 0x1780...0x17ff, 0x3040...0x30ff, 0x31f0...0x31ff: return true
    default: return false
    }
  }
}

extension UInt8 {
  fileprivate var lowercased: UInt8 { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self }
}
