import Testing

@testable import Engine

@Suite struct PromptEmphasisTests {
  /// The grammar's rules and corners. Expected values are what A1111's function gives.
  static let cases: [(String, [(String, Double)])] = [
    ("a plain prompt", [("a plain prompt", 1)]),
    ("one (bright) star", [("one ", 1), ("bright", 1.1), (" star", 1)]),
    ("(left open", [("left open", 1.1)]),
    ("\\(kept\\) \\[too\\]", [("(kept) [too]", 1)]),
    ("(two)(words)", [("twowords", 1.1)]),
    (
      "(the ((old:1.4)) [grey] cat, (tail:0.7) and [[ears]]) end",
      [
        ("the ", 1.1), ("old", 1.6940000000000002), (" ", 1.1), ("grey", 1.0), (" cat, ", 1.1), ("tail", 0.77), (" and ", 1.1),
        ("ears", 0.9090909090909091), (" end", 1.0),
      ]
    ),
    ("", [("", 1)]),
    ("()", [("", 1)]),
    ("[a]", [("a", 1 / 1.1)]),
    ("(a: 1.5 )", [("a", 1.5)]),
    ("(a:-1)", [("a", -1)]),
    ("(a:+.5)", [("a", 0.5)]),
    ("a:1.5)", [("a:1.5)", 1)]),
    ("(a:b)", [("a:b", 1.1)]),
    ("(a:1.5", [("a:1.5", 1.1)]),
    ("a) b]", [("a) b]", 1)]),
    ("back\\slash \\\\ end\\", [("backslash \\ end", 1)]),
    ("a BREAK b", [("a", 1), ("BREAK", -1), ("b", 1)]),
    ("BREAKFAST aBREAK", [("BREAKFAST aBREAK", 1)]),
    ("a BREAK BREAK b", [("a", 1), ("BREAK", -1), ("", 1), ("BREAK", -1), ("b", 1)]),
    ("(a BREAK b)", [("a", 1.1), ("BREAK", -1.1), ("b", 1.1)]),
    ("(a:١.٢)", [("a", 1.2)]),
  ]

  @Test(arguments: cases.indices) func grammarIsA1111s(_ i: Int) throws {
    let (prompt, expected) = Self.cases[i]
    let found = try PromptSegment.parse(prompt)
    #expect(found.map(\.text) == expected.map(\.0))
    #expect(found.map(\.weight) == expected.map(\.1))
    for segment in found { #expect(segment.sources.count == segment.text.utf8.count) }
  }

  @Test func badWeightsAreRefused() {
    for prompt in ["(a:1.2.3)", "(a:.)", "(a:999999999999999999999999999999999999999999)", String(repeating: "(", count: 2000) + "a"] {
      #expect(throws: InputError.self) { try PromptSegment.parse(prompt) }
    }
  }

  private func tokenizer() throws -> Tokenizer { try Tokenizer(directory: TokenizerTests.folder("synthetic-sd2")) }

  @Test func weightsLieBesideTheIds() throws {
    let tokenizer = try tokenizer()
    let prompt = try tokenizer.prepare("a (red:1.5) [cat]", emphasis: .a1111)
    let red = tokenizer.encode("red").count
    let cat = tokenizer.encode("cat").count
    #expect(prompt.chunks[0].ids == (try tokenizer.prepare("a red cat")).chunks[0].ids)
    let weighted = [1, 1] + Array(repeating: Float(1.5), count: red) + Array(repeating: Float(1 / 1.1), count: cat)
    #expect(prompt.weights == weighted + Array(repeating: 1, count: 77 - weighted.count))
    #expect(prompt.isWeighted)
    #expect(prompt.words.map(\.text) == ["a", "red", "cat"])
    #expect(prompt.words.map(\.range) == [0..<1, 3..<6, 13..<16])
    #expect(try prompt.positions(of: "red cat") == [prompt.words[1].positions + prompt.words[2].positions])
    #expect(!(try tokenizer.prepare("a (red:1.5)").isWeighted))
    #expect(try tokenizer.prepare("a \\(red\\)", emphasis: .a1111).words.map(\.range) == [0..<1, 3..<4, 4..<7, 8..<9])
  }

  @Test func breakBeginsARow() throws {
    let tokenizer = try tokenizer()
    for overflow in PromptOverflow.allCases {
      let prompt = try tokenizer.prepare("cat BREAK red BREAK BREAK house", overflow: overflow, emphasis: .a1111)
      #expect(prompt.chunks.count == 4)
      #expect(prompt.words.map { $0.positions.map(\.chunk)[0] } == [0, 1, 3])
      #expect(prompt.chunks[2].ids == [tokenizer.bos, tokenizer.eos] + Array(repeating: 0, count: 75))
    }
    let cut = try tokenizer.prepare("cat cat cat BREAK red red", length: 4, emphasis: .a1111)
    #expect(cut.chunks.count == 2)
    #expect(cut.cutText == "cat")
    #expect(throws: InputError.self) { try cut.positions(of: "cat red") }
    #expect(try tokenizer.prepare("a BREAK", emphasis: .a1111).chunks.count == 1)
    #expect(try tokenizer.prepare("BREAK a", emphasis: .a1111).chunks.count == 2)
  }

  @Test func weightsKeepTheMeanOfAChunk() {
    let embeddings = Tensor([1, 2, 3, 4, 5, 6, 7, 8], [4, 2])
    let out = embeddings.emphasized([1, 3, 1, 1], rowsPerChunk: 2).array
    // Rows [1, 2] and [9, 12]: the sum goes from 10 to 24.
    let expected: [Float] = [1, 2, 9, 12].map { $0 * Float(10.0 / 24) }
    #expect(out[0..<4].elementsEqual(expected))
    #expect(Array(out[4...]) == [5, 6, 7, 8])
    #expect(embeddings.array == [1, 2, 3, 4, 5, 6, 7, 8])
    #expect(Tensor([1, 1, 2, 2], [1, 2, 2]).emphasized([1, -0.5], rowsPerChunk: 2).array == [1, 1, -1, -1])
  }
}
