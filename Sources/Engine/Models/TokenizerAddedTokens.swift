/// A token that is found in the text itself, before byte-pair encoding: BOS, EOS, padding, and what a model's files add.
public struct AddedToken: Sendable, Equatable {
  public var content: String
  /// Only where no letter, digit or underscore touches it.
  public var singleWord = false
  /// Takes the white space before it along.
  public var stripsLeft = false
  /// Takes the white space after it along.
  public var stripsRight = false
  /// Sought, itself normalised, in the normalised text; otherwise sought letter by letter in the text as written.
  public var isNormalized = false
}

/// Finds added tokens as the tokenizers library's `AddedVocabulary` does: leftmost first, the longest of those that start there.
struct AddedTokenMatcher: Sendable {
  struct Pattern: Sendable {
    let scalars: [Unicode.Scalar]
    let id: Int
    let token: AddedToken
  }

  struct Match {
    let id: Int
    let range: Range<Int>
  }

  /// By first scalar, longest first.
  private let patterns: [Unicode.Scalar: [Pattern]]

  /// - Throws: `InputError` when two tokens look for the same text.
  init(_ patterns: [Pattern]) throws {
    var seen: [[Unicode.Scalar]: Pattern] = [:]
    for pattern in patterns where !pattern.scalars.isEmpty {
      if let other = seen.updateValue(pattern, forKey: pattern.scalars) {
        let names = [other, pattern].map { "'\($0.token.content.prefix(40))' (id \($0.id))" }
        throw InputError(.badData, "the tokenizer's added tokens \(names.joined(separator: " and ")) cannot be told apart")
      }
    }
    self.patterns = Dictionary(grouping: seen.values) { $0.scalars[0] }.mapValues { $0.sorted { $0.scalars.count > $1.scalars.count } }
  }

  /// Tokens in `text`, in order, without overlap. White space that a token takes along is part of its range.
  func matches(in text: [Unicode.Scalar]) -> [Match] {
    if patterns.isEmpty { return [] }
    var found: [Match] = []
    var (i, covered) = (0, 0)
    while i < text.count {
      guard let pattern = patterns[text[i]]?.first(where: { text[i...].starts(with: $0.scalars) }) else {
        i += 1
        continue
      }
      var (start, end) = (i, i + pattern.scalars.count)
      i = end
      if pattern.token.singleWord, (start > 0 && text[start - 1].isWordPart) || (end < text.count && text[end].isWordPart) { continue }
      if pattern.token.stripsLeft { while start > covered, text[start - 1].isSpace { start -= 1 } }
      if pattern.token.stripsRight { while end < text.count, text[end].isSpace { end += 1 } }
      start = max(start, covered)
      guard start < end else { continue }
      found.append(Match(id: pattern.id, range: start..<end))
      covered = end
    }
    return found
  }
}

extension Unicode.Scalar {
  /// `\w` of Rust's regular expressions, as of Unicode 16.
  fileprivate var isWordPart: Bool {
    if !isKnown(in: 16) { return false }
    switch properties.generalCategory {
    case .decimalNumber, .connectorPunctuation, .nonspacingMark, .spacingMark, .enclosingMark: return true
    default: return properties.isAlphabetic || properties.isJoinControl
    }
  }
}
