/// Unicode scalars with the place each came from, so that a token can be shown in the text as it was written although composing and
/// lower-casing change lengths.
struct MappedText {
  var scalars: [Unicode.Scalar] = []
  /// UTF-8 offsets in the original text, one range a scalar: of all the scalars that it was composed of.
  var origins: [Range<Int>] = []

  init() {}

  init(_ text: String) {
    scalars.reserveCapacity(text.utf8.count)
    origins.reserveCapacity(text.utf8.count)
    var at = 0
    for scalar in text.unicodeScalars {
      let end = at + UTF8.width(scalar)
      append(scalar, at..<end)
      at = end
    }
  }

  init(_ slice: MappedText, _ range: Range<Int>) {
    scalars = Array(slice.scalars[range])
    origins = Array(slice.origins[range])
  }

  var count: Int { scalars.count }

  mutating func append(_ scalar: Unicode.Scalar, _ origin: Range<Int>) {
    scalars.append(scalar)
    origins.append(origin)
  }

  func origin(of range: Range<Int>) -> Range<Int> {
    guard let first = origins[range].first else { return 0..<0 }
    return origins[range].reduce(first) { min($0.lowerBound, $1.lowerBound)..<max($0.upperBound, $1.upperBound) }
  }
}

extension MappedText {
  /// What CLIPTokenizer of transformers 5 does to a text first: NFC, every run of white space becomes one blank, lower case.
  ///
  /// Lower case goes scalar by scalar (`char::to_lowercase` in the tokenizers library), so a capital sigma at the end of a word becomes
  /// σ, not ς, and İ becomes i with a dot above.
  func normalized() -> MappedText {
    var out = MappedText()
    out.scalars.reserveCapacity(count)
    out.origins.reserveCapacity(count)
    let composed = composed()
    var i = 0
    while i < composed.count {
      let scalar = composed.scalars[i]
      if scalar.isSpace {
        var end = i + 1
        while end < composed.count, composed.scalars[end].isSpace { end += 1 }
        out.append(" ", composed.origin(of: i..<end))
        i = end
        continue
      }
      if scalar.isASCII {
        out.append(("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) | 0x20) : scalar, composed.origins[i])
      } else {
        for lower in scalar.properties.lowercaseMapping.unicodeScalars { out.append(lower, composed.origins[i]) }
      }
      i += 1
    }
    return out
  }

  /// Normalisation form C (Unicode Standard Annex 15) with the tables of Unicode 9, the version of the crate that the tokenizers library
  /// uses: younger scalars are left alone and stop composition and reordering. By hand, because Foundation's form has faults (it
  /// leaves a Hangul syllable and a final consonant apart, for one) and neither it nor Swift's gives the way back.
  func composed() -> MappedText {
    if scalars.allSatisfy({ $0.value < 0x300 }) { return self }
    let apart = decomposed()
    var out = MappedText()
    var starter: Int?
    var lastClass: UInt8 = 0
    for (scalar, origin) in zip(apart.scalars, apart.origins) {
      let order = scalar.combiningClass
      if let starter, starter == out.count - 1 || lastClass < order,
        let composed = CanonicalForms.composition(out.scalars[starter], scalar)
      {
        out.scalars[starter] = composed
        let old = out.origins[starter]
        out.origins[starter] = min(old.lowerBound, origin.lowerBound)..<max(old.upperBound, origin.upperBound)
        continue
      }
      if order == 0 { starter = out.count }
      lastClass = order
      out.append(scalar, origin)
    }
    return out
  }

  /// Decomposed as far as the tables go, with marks in canonical order. Hangul syllables stay whole: form C would make them again.
  private func decomposed() -> MappedText {
    var out = MappedText()
    func append(_ scalar: Unicode.Scalar, _ origin: Range<Int>) {
      guard scalar.value >= 0xc0, let parts = CanonicalForms.decompositions[scalar] else { return out.append(scalar, origin) }
      for part in parts { append(part, origin) }
    }
    for (scalar, origin) in zip(scalars, origins) { append(scalar, origin) }
    var i = 0
    while i < out.count {
      let start = i
      while i < out.count, out.scalars[i].combiningClass != 0 { i += 1 }
      if i - start > 1 {
        let order = (start..<i).sorted { (out.scalars[$0].combiningClass, $0) < (out.scalars[$1].combiningClass, $1) }
        out.scalars.replaceSubrange(start..<i, with: order.map { out.scalars[$0] })
        out.origins.replaceSubrange(start..<i, with: order.map { out.origins[$0] })
      }
      if i < out.count { i += 1 }
    }
    return out
  }
}

extension MappedText {
  /// The pieces that the BPE works on, as ranges of scalars, of a text already normalised.
  ///
  /// CLIP's pattern `<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`, then GPT-2's pattern on
  /// each match (the byte-level step has it switched on). The second one changes nothing but the two literal names, which
  /// are written out like other text when they were not recognised as special tokens: `<|`, `startoftext`, `|>`.
  func pieces() -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    var i = 0
    while i < count {
      let start = i
      let name = Self.literals.first { matches($0, at: start) }
      if let name {
        i += name.count
        pieces += [start..<start + 2, start + 2..<i - 2, i - 2..<i]
        continue
      }
      if let contraction = Self.contractions.first(where: { matches($0, at: start) }) {
        i += contraction.count
      } else if scalars[i].isLetter {
        while i < count, scalars[i].isLetter { i += 1 }
      } else if scalars[i].isNumber {
        i += 1
      } else if scalars[i].isSpace {
        i += 1
        continue
      } else {
        while i < count, !scalars[i].isLetter, !scalars[i].isNumber, !scalars[i].isSpace { i += 1 }
      }
      pieces.append(start..<i)
    }
    return pieces
  }

  private static let literals = ["<|startoftext|>", "<|endoftext|>"].map { Array($0.unicodeScalars) }
  private static let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].map { Array($0.unicodeScalars) }

  private func matches(_ pattern: [Unicode.Scalar], at start: Int) -> Bool {
    scalars[start] == pattern[0] && start + pattern.count <= count && scalars[start..<start + pattern.count].elementsEqual(pattern)
  }
}

/// The classes of the tokenizers library. Its tables and Swift's come from different versions of Unicode, so the age of a scalar is
/// looked at too; compared for every scalar in TokenizerUnicodeTests.
extension Unicode.Scalar {
  /// `\s` of the backend's regular expressions: the White_Space property.
  var isSpace: Bool { isASCII ? value == 0x20 || (0x09...0x0d).contains(value) : properties.isWhitespace }

  /// `\p{L}` as of Unicode 16.
  var isLetter: Bool {
    if isASCII { return ("a"..."z").contains(self) || ("A"..."Z").contains(self) }
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return isKnown(in: 16)
    default: return false
    }
  }

  /// `\p{N}` as of Unicode 16.
  var isNumber: Bool {
    if isASCII { return ("0"..."9").contains(self) }
    switch properties.generalCategory {
    case .decimalNumber, .letterNumber, .otherNumber: return isKnown(in: 16)
    default: return false
    }
  }

  /// Part of Unicode `version` already. Scalars that nobody has assigned are part of none.
  func isKnown(in version: Int) -> Bool {
    guard let age = properties.age else { return false }
    return age.major <= version
  }

  /// Canonical combining class; 0 for scalars younger than the backend's tables.
  fileprivate var combiningClass: UInt8 {
    if value < 0x300 { return 0 }
    let order = properties.canonicalCombiningClass.rawValue
    return order != 0 && isKnown(in: 9) ? order : 0
  }
}
