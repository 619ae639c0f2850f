import Engine

/// A prompt with some of its words taken out or replaced in the text, so that both can be encoded and contrasted.
public enum PromptContrast {
  /// The prompt without every occurrence of `words`, one word or several in a row, or with `replacement` in their place.
  ///
  /// Blanks that meet where words went become one. The text is changed, not the embedding, as in Kong et al.'s experiments: later words are encoded
  /// anew, so what the text encoder put of the word into them goes too. Brackets of emphasis stay: those that held the word alone then hold nothing.
  /// - Throws: `InputError` (usage) when the prompt has no such words, with near misses, or when the words reach across a bracket of emphasis.
  public static func text(_ prompt: TokenizedPrompt, without words: String, replacement: String = "") throws -> String {
    let occurrences = try prompt.positions(of: words)
    let bytes = Array(prompt.text.utf8)
    var out: [UInt8] = []
    var at = 0
    for occurrence in occurrences {
      let wanted = Set(occurrence)
      let ranges = prompt.words.filter { !wanted.isDisjoint(with: $0.positions) }.map(\.range)
      guard let first = ranges.first, let last = ranges.last, first.lowerBound >= at else { continue }
      out += bytes[at..<first.lowerBound]
      if prompt.emphasis == .a1111 {
        let taken = Array(bytes[first.lowerBound..<last.upperBound])
        guard !hasBracket(taken) else {
          throw InputError(
            .usage, "'\(words)' reaches across a bracket of emphasis: it cannot be taken out",
            hint: "write the words within one pair of brackets, or leave --emphasis a1111 out")
        }
        // The backslash of a bracket that was text goes with it.
        if let sign = taken.first, "\\()[]".utf8.contains(sign), out.last == UInt8(ascii: "\\") { out.removeLast() }
      }
      out += replacement.utf8
      at = last.upperBound
      let blank = UInt8(ascii: " ")
      if replacement.isEmpty, out.isEmpty || out.last == blank {
        while at < bytes.count, bytes[at] == blank { at += 1 }
      }
    }
    out += bytes[at...]
    while out.last == UInt8(ascii: " ") { out.removeLast() }
    return String(decoding: out, as: UTF8.self)
  }

  /// Whether brackets stand behind the first byte that no backslash makes text; the first byte is a word's own.
  private static func hasBracket(_ bytes: [UInt8]) -> Bool {
    var at = 1
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "\\") { at += 1 } else if "()[]".utf8.contains(bytes[at]) { return true }
      at += 1
    }
    return false
  }
}
