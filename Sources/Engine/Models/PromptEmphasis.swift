import Foundation

/// How a prompt's brackets are read.
public enum PromptEmphasis: String, Sendable, CaseIterable {
  /// Brackets are text like any other, as in diffusers.
  case none
  /// AUTOMATIC1111's attention grammar, see `PromptSegment.parse`.
  case a1111
}

/// A stretch of a prompt that has one weight.
public struct PromptSegment: Sendable, Equatable {
  /// What is encoded: the brackets, weights and backslashes of the grammar are gone.
  public var text: String
  /// Factor on the embeddings of the text's tokens, not rounded to Float yet.
  public var weight: Double
  /// UTF-8 offset in the prompt of each byte of `text`.
  var sources: [Int]

  /// The mark that starts a new chunk. Within weighted brackets its weight is another one, and A1111 then encodes it as a word.
  public var isBreak: Bool { text == "BREAK" && weight == -1 }

  init(text: String, weight: Double, sources: [Int]) {
    self.text = text
    self.weight = weight
    self.sources = sources
  }

  /// A prompt without grammar.
  init(plain text: String) {
    self.init(text: text, weight: 1, sources: Array(0..<text.utf8.count))
  }

  /// `(a)` weighs a by 1.1, `((a))` by 1.21, `[a]` by 1/1.1, `(a:1.3)` by 1.3; brackets nest and multiply; `\(`, `\)`, `\[`, `\]`, `\\` are
  /// literal; BREAK begins a new chunk. Brackets left open reach to the end, those never opened are text. Neighbours of equal weight are joined,
  /// also where a bracket stood between them: `(a)(b)` is the text `ab`.
  ///
  /// Equal to `prompt_parser.parse_prompt_attention` of AUTOMATIC1111's stable-diffusion-webui 1.10, its oddities included: a
  /// BREAK within weighted brackets is no break but a word of negative weight.
  /// - Throws: `InputError` for a weight that is no number (`(a:1.2.3)`) or not finite as a Float.
  public static func parse(_ prompt: String) throws -> [PromptSegment] {
    var parser = A1111Parser(prompt)
    return try parser.parse()
  }
}

private struct A1111Parser {
  private let scalars: [Unicode.Scalar]
  private let origins: [Range<Int>]
  private var segments: [PromptSegment] = []
  private var round: [Int] = []
  private var square: [Int] = []

  init(_ prompt: String) {
    let text = MappedText(prompt)
    (scalars, origins) = (text.scalars, text.origins)
  }

  mutating func parse() throws -> [PromptSegment] {
    var i = 0
    while i < scalars.count {
      switch scalars[i] {
      case "\\":
        let escaped = i + 1 < scalars.count && "\\()[]".unicodeScalars.contains(scalars[i + 1])
        append(escaped ? i + 1..<i + 2 : i + 1..<i + 1)
        i += escaped ? 2 : 1
      case "(":
        round.append(segments.count)
        i += 1
      case "[":
        square.append(segments.count)
        i += 1
      case ":":
        let weight = weight(at: i)
        if let weight, let start = round.popLast() {
          multiply(from: start, by: try number(weight.digits))
        } else {
          appendText(i..<(weight?.end ?? i + 1))
        }
        i = weight?.end ?? i + 1
      case ")":
        if let start = round.popLast() { multiply(from: start, by: 1.1) } else { appendText(i..<i + 1) }
        i += 1
      case "]":
        if let start = square.popLast() { multiply(from: start, by: 1 / 1.1) } else { appendText(i..<i + 1) }
        i += 1
      default:
        let start = i
        while i < scalars.count, !"\\()[]:".unicodeScalars.contains(scalars[i]) { i += 1 }
        appendText(start..<i)
      }
    }
    for start in round { multiply(from: start, by: 1.1) }
    for start in square { multiply(from: start, by: 1 / 1.1) }
    if segments.isEmpty { append(0..<0) }
    return try joined()
  }

  private mutating func multiply(from start: Int, by factor: Double) {
    for k in start..<segments.count { segments[k].weight *= factor }
  }

  /// `:\s*([+-]?[.\d]+)\s*\)` at a colon.
  private func weight(at colon: Int) -> (digits: Range<Int>, end: Int)? {
    var i = colon + 1
    while i < scalars.count, scalars[i].isPythonSpace { i += 1 }
    let start = i
    if i < scalars.count, scalars[i] == "+" || scalars[i] == "-" { i += 1 }
    let digits = i
    while i < scalars.count, scalars[i] == "." || scalars[i].properties.generalCategory == .decimalNumber { i += 1 }
    let end = i
    while i < scalars.count, scalars[i].isPythonSpace { i += 1 }
    guard end > digits, i < scalars.count, scalars[i] == ")" else { return nil }
    return (start..<end, i + 1)
  }

  /// Python's `float`: decimal digits of any script.
  private func number(_ range: Range<Int>) throws -> Double {
    let plain = scalars[range].map { scalar -> String in
      scalar.properties.numericType == .decimal ? String(Int(scalar.properties.numericValue ?? 0)) : String(scalar)
    }.joined()
    guard let value = Double(plain) else {
      throw InputError(
        .usage, "weight '\(plain.prefix(40))' in the prompt: expected a number as in (word:1.2)",
        hint: "write \\( for a bracket that is text")
    }
    return value
  }

  private mutating func append(_ range: Range<Int>) {
    var text = String.UnicodeScalarView()
    text.append(contentsOf: scalars[range])
    segments.append(PromptSegment(text: String(text), weight: 1, sources: origins[range].flatMap { Array($0) }))
  }

  /// Text without grammar but for BREAK: `\s*\bBREAK\b\s*` divides it.
  private mutating func appendText(_ range: Range<Int>) {
    let mark = Array("BREAK".unicodeScalars)
    var start = range.lowerBound
    var i = start
    while i + mark.count <= range.upperBound {
      let end = i + mark.count
      guard scalars[i..<end].elementsEqual(mark), i == range.lowerBound || !scalars[i - 1].isPythonWordPart,
        end == range.upperBound || !scalars[end].isPythonWordPart
      else {
        i += 1
        continue
      }
      var before = i
      while before > start, scalars[before - 1].isPythonSpace { before -= 1 }
      append(start..<before)
      append(i..<end)
      segments[segments.count - 1].weight = -1
      i = end
      while i < range.upperBound, scalars[i].isPythonSpace { i += 1 }
      start = i
    }
    append(start..<range.upperBound)
  }

  private func joined() throws -> [PromptSegment] {
    var out: [PromptSegment] = []
    for segment in segments {
      guard Float(segment.weight).isFinite else {
        throw InputError(.usage, "weight \(segment.weight) of '\(segment.text.prefix(40))' in the prompt is out of range")
      }
      if let last = out.indices.last, out[last].weight == segment.weight {
        out[last].text += segment.text
        out[last].sources += segment.sources
      } else {
        out.append(segment)
      }
    }
    return out
  }
}

extension Unicode.Scalar {
  /// `\s` of Python's re: White_Space and the four separators of ASCII.
  fileprivate var isPythonSpace: Bool { isSpace || (0x1c...0x1f).contains(value) }

  /// `\w` of Python's re.
  fileprivate var isPythonWordPart: Bool {
    if self == "_" || properties.numericType != nil { return true }
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return true
    default: return false
    }
  }
}

extension Tensor {
  /// Applies a prompt's weights to its embeddings as A1111 does (`sd_emphasis.EmphasisOriginal`): each token's row is multiplied by its weight,
  /// then the whole chunk is scaled so that its mean is what it was. Chunks are encoded one by one there, so each keeps its own mean.
  ///
  /// A chunk whose weights are all 1 stays as it is, bit for bit; one whose weighted mean is exactly 0 is not scaled back.
  /// - Parameters:
  ///   - weights: one a row, as in `TokenizedPrompt.weights`.
  ///   - rows: rows of one chunk (77 in SD).
  /// - Returns: the embeddings in their shape, `[chunks * rows, width]` or `[chunks, rows, width]`.
  public consuming func emphasized(_ weights: [Float], rowsPerChunk rows: Int) -> Tensor {
    let width = shape[-1]
    precondition(
      rows > 0 && weights.count == shape.rows && weights.count % rows == 0,
      "\(weights.count) weights in chunks of \(rows) for embeddings \(shape)")
    withUnsafeMutableBuffer { all in
      for chunk in 0..<weights.count / rows {
        let weights = weights[chunk * rows..<(chunk + 1) * rows]
        if weights.allSatisfy({ $0 == 1 }) { continue }
        let values = UnsafeMutableBufferPointer(rebasing: all[chunk * rows * width..<(chunk + 1) * rows * width])
        let before = values.reduce(0.0) { $0 + Double($1) }
        for (row, weight) in weights.enumerated() { for c in 0..<width { values[row * width + c] *= weight } }
        let after = values.reduce(0.0) { $0 + Double($1) }
        if after == 0 { continue }
        let scale = Float(before / after)
        for k in values.indices { values[k] *= scale }
      }
    }
    return self
  }
}
