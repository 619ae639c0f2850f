import Foundation
import Testing

@testable import Engine

/// Ids against transformers' CLIPTokenizer: Tests/Goldens/tokenizer, made by make/tokenizer.py.
@Suite struct TokenizerTests {
  static let repository = URL(fileURLWithPath: #filePath + "/../../..").standardizedFileURL
  static let goldens = repository.appendingPathComponent("Tests/Goldens/tokenizer")
  static let scenes = repository.appendingPathComponent("Resources/scenes-model/tokenizer")

  static func json(_ name: String) throws -> [String: Any] {
    let data = try Data(contentsOf: goldens.appendingPathComponent(name))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  static func folder(_ label: String) -> URL { label == "scenes" ? scenes : goldens.appendingPathComponent(label) }

  /// The texts of the corpus; long ones are stored as a repetition.
  static func corpus() throws -> [String] {
    let rows = try #require(try json("corpus.json")["rows"] as? [[String: Any]])
    return try rows.map { row in
      if let text = row["text"] as? String { return text }
      let times = try #require(row["times"] as? Int)
      return String(repeating: try #require(row["repeat"] as? String), count: times) + (row["tail"] as? String ?? "")
    }
  }

  @Test(arguments: ["scenes", "synthetic", "synthetic-sd2"]) func equalsTransformers(_ label: String) throws {
    let tokenizer = try Tokenizer(directory: Self.folder(label))
    let golden = try Self.json("\(label).json")
    #expect(tokenizer.bos == golden["bos"] as? Int)
    #expect(tokenizer.eos == golden["eos"] as? Int)
    #expect(tokenizer.pad == golden["pad"] as? Int)
    #expect(tokenizer.unk == golden["unk"] as? Int)
    #expect(tokenizer.modelMaxLength == golden["maxLength"] as? Int)
    #expect(tokenizer.vocabularySize == golden["vocabulary"] as? Int)
    let texts = try Self.corpus()
    let rows = try #require(golden["rows"] as? [[String: Any]])
    #expect(rows.count == texts.count)
    for row in rows {
      let text = texts[try #require(row["i"] as? Int)]
      let shown = Comment(rawValue: String(text.prefix(60)).debugDescription)
      let ids = [tokenizer.bos] + tokenizer.encode(text) + [tokenizer.eos]
      if let expected = row["ids"] as? [Int] {
        #expect(ids == expected, shown)
      } else {
        #expect(ids.count == row["count"] as? Int, shown)
        let digest = ids.reduce(UInt64(0)) { ($0 &* 1_000_003 &+ UInt64($1)) & ((1 << 53) - 1) }
        #expect(digest == (row["digest"] as? NSNumber)?.uint64Value, shown)
      }
      // Left out in the golden where it is the ids and then padding.
      let padded = ids + Array(repeating: tokenizer.pad, count: max(0, (tokenizer.modelMaxLength ?? 0) - ids.count))
      #expect(try tokenizer.prepare(text).ids == row["fed"] as? [Int] ?? padded, shown)
    }
  }

  /// Each token points at the characters of the original text that transformers' offsets name.
  @Test(arguments: ["scenes", "synthetic", "synthetic-sd2"]) func tokensPointIntoTheText(_ label: String) throws {
    let tokenizer = try Tokenizer(directory: Self.folder(label))
    let texts = try Self.corpus()
    for row in try #require(try Self.json("\(label).json")["rows"] as? [[String: Any]]) {
      guard let expected = row["words"] as? [[Int]] else { continue }
      let text = texts[try #require(row["i"] as? Int)]
      var scalarOfByte: [Int] = []
      for (k, scalar) in text.unicodeScalars.enumerated() { scalarOfByte += Array(repeating: k, count: UTF8.width(scalar)) }
      let out = tokenizer.tokenize(text)
      let found = out.tokens.map { token in
        let bytes = out.text.origin(of: token.scalars)
        return [scalarOfByte[bytes.lowerBound], scalarOfByte[bytes.upperBound - 1] + 1]
      }
      // Where marks were composed or reordered the two give different parts of the same cluster.
      if MappedText(text).composed().scalars != Array(text.unicodeScalars) {
        #expect(found.count == expected.count)
      } else {
        #expect(found == expected, Comment(rawValue: text.debugDescription))
      }
    }
  }

  @Test func longTextsTakeNoTime() throws {
    let tokenizer = try Tokenizer(directory: Self.folder("synthetic"))
    let texts = ["a", "ab", "é", "\u{301}", "😀", "各", "!", "1", "<", "<|endoftext|", "the ", "e\u{323}\u{301}", "ж"]
      .map { String(repeating: $0, count: 20_000) }
    let elapsed = ContinuousClock().measure { for text in texts { _ = tokenizer.encode(text) } }
    #expect(elapsed < .seconds(3))
  }

  @Test func aTokenHasItsSpelling() throws {
    let tokenizer = try Tokenizer(directory: Self.scenes)
    #expect(tokenizer.token(320) == "a</w>")
    #expect(tokenizer.token(679) == "<|endoftext|>")
    #expect(tokenizer.token(680) == nil)
    #expect(tokenizer.token(-1) == nil)
    #expect(Tokenizer.isPresent(in: Self.scenes))
    #expect(!Tokenizer.isPresent(in: Self.repository))
  }
}
