import Foundation
import Testing

@testable import Engine

@Suite struct PromptTests {
  let tokenizer: Tokenizer
  init() throws { tokenizer = try Tokenizer(directory: TokenizerTests.folder("synthetic")) }

  private func words(_ text: String, _ emphasis: PromptEmphasis = .none) throws -> [String] {
    try tokenizer.prepare(text, overflow: .chunk, emphasis: emphasis).words.map(\.text)
  }

  @Test func wordsAreWhatAPersonSees() throws {
    #expect(try words("A Photo of a CAT, cat.") == ["A", "Photo", "of", "a", "CAT", ",", "cat", "."])
    #expect(try words("  the cat's O'Brien don't cats' 'quoted'") == ["the", "cat's", "O'Brien", "don't", "cats", "'", "'", "quoted", "'"])
    #expect(try words("ultra-detailed 8k f/1.8 a_b") == ["ultra", "-", "detailed", "8k", "f", "/", "1", ".", "8", "a", "_", "b"])
    #expect(try words("wow!!! 😀😀🎉 👩‍👩‍👧 ❤️ 🇫🇷") == ["wow", "!!!", "😀😀", "🎉", "👩‍👩‍👧", "❤️", "🇫🇷"])
    #expect(try words("黒い猫 ÉCOLE e\u{301}cole 1️⃣ हिन्दी") == ["黒い猫", "ÉCOLE", "e\u{301}cole", "1️⃣", "हिन्दी"])
    #expect(try words("") == [])
    #expect(try words(" \n\t ") == [])
    #expect(try words("a <|endoftext|>b") == ["a", "<|endoftext|>", "b"])
  }

  /// CLIP reads `'s` at the start of a quoted word as a contraction: the token belongs to both, so they are one word.
  @Test func aTokenBelongsToOneWord() throws {
    #expect(try words("what 'sup") == ["what", "'sup"])
    for text in try TokenizerTests.corpus() where text.utf8.count < 2000 {
      for emphasis in PromptEmphasis.allCases {
        guard let prompt = try? tokenizer.prepare(text, overflow: .chunk, emphasis: emphasis) else { continue }
        let content = prompt.chunks.map { Array($0.ids[1..<($0.ids.firstIndex(of: tokenizer.eos) ?? 1)]) }
        let positions = prompt.words.flatMap(\.positions)
        if !text.contains("<|") { #expect(positions.count == content.reduce(0) { $0 + $1.count }, Comment(rawValue: text)) }
        #expect(positions == positions.sorted() && Set(positions).count == positions.count, Comment(rawValue: text))
        let bytes = Array(text.utf8)
        for word in prompt.words where emphasis == .none {
          #expect(String(decoding: bytes[word.range], as: UTF8.self) == word.text && !word.isCut)
        }
      }
    }
  }

  @Test func positionsCountFromBOS() throws {
    let prompt = try Tokenizer(directory: TokenizerTests.scenes).prepare("a red Supercat, a red house!")
    let cat = try #require(prompt.words.first { $0.text == "Supercat" })
    #expect(cat.range == 6..<14)
    #expect(cat.positions.map(\.index) == Array(3..<3 + cat.tokenCount))
    #expect(cat.tokenCount > 1)
    let spelled = cat.positions.map { prompt.chunks[$0.chunk].tokens[$0.index] }.joined()
    #expect(spelled == "supercat</w>")
    #expect(prompt.words.map(\.text) == ["a", "red", "Supercat", ",", "a", "red", "house", "!"])
    #expect(prompt.chunks[0].ids.count == 32)
  }

  @Test func occurrences() throws {
    let prompt = try tokenizer.prepare("A Cat, the cat's eye and a  red HOUSE; un-cat it'll 黒い猫 Straße")
    #expect(try prompt.positions(of: "cat").count == 3)
    #expect(try prompt.positions(of: " CAT ").count == 3)
    #expect(try prompt.positions(of: "a cat").count == 1)
    #expect(try prompt.positions(of: "cat's").count == 1)
    #expect(try prompt.positions(of: "cat's")[0].count == (try prompt.positions(of: "cat")[1].count) + 1)
    #expect(try prompt.positions(of: "red  house").count == 1)
    #expect(try prompt.positions(of: "un-cat").count == 1)
    #expect(try prompt.positions(of: "it").count == 1)
    #expect(try prompt.positions(of: "猫").count == 1)
    #expect(try prompt.positions(of: "straSSE".replacingOccurrences(of: "SS", with: "ß")).count == 1)
    #expect(throws: InputError.self) { try prompt.positions(of: "ca") }
    #expect(throws: InputError.self) { try prompt.positions(of: "use") }
  }

  private func complaint(_ prompt: TokenizedPrompt, _ word: String) -> String {
    do {
      _ = try prompt.positions(of: word)
      return "found"
    } catch { return "\(error)" }
  }

  @Test func nearMisses() throws {
    let prompt = try tokenizer.prepare("a red house beside a tree")
    #expect(complaint(prompt, "hous") == "no word 'hous' in the prompt; did you mean 'house'?")
    #expect(complaint(prompt, "Huose") == "no word 'Huose' in the prompt; did you mean 'house'?")
    #expect(complaint(prompt, "red hose") == "no word 'hose' in the prompt; did you mean 'house'?")
    #expect(complaint(prompt, "elephant") == "no word 'elephant' in the prompt; the words are 'a', 'red', 'house', 'beside', 'tree'")
    #expect(complaint(prompt, "tree house") == "no 'tree house' in the prompt: its words are there, but not side by side in this order")
    #expect(complaint(prompt, " ").hasPrefix("expected a word of the prompt"))
  }

  @Test func tooLongIsCutAndSaid() throws {
    let text = "one two three four five"
    let prompt = try tokenizer.prepare(text + " house", length: 4)
    let ids = tokenizer.encode(text + " house")
    #expect(prompt.ids == [tokenizer.bos] + ids.prefix(2) + [tokenizer.eos])
    #expect(prompt.cutTokens == ids.count - 2)
    #expect(prompt.cutText.hasSuffix("four five house"))
    #expect(try #require(prompt.warning).contains("too long"))
    #expect(try #require(prompt.words.last).isCut)
    #expect(complaint(prompt, "house").hasPrefix("'house' was cut off"))
    #expect(try tokenizer.prepare("one").warning == nil)
    #expect(throws: InputError.self) { try tokenizer.prepare("a", length: 2) }
    #expect(throws: InputError.self) { try tokenizer.prepare("a", length: 1 << 40) }
  }

  @Test func chunksHaveTheirOwnEnds() throws {
    let sd2 = try Tokenizer(directory: TokenizerTests.folder("synthetic-sd2"))
    for (count, rows) in [(0, 1), (1, 1), (75, 1), (76, 2), (150, 2), (151, 3)] {
      let text = Array(repeating: "cat", count: count).joined(separator: " ")
      let prompt = try sd2.prepare(text, overflow: .chunk)
      #expect(prompt.chunks.count == rows)
      #expect(prompt.cutTokens == 0)
      for (k, chunk) in prompt.chunks.enumerated() {
        let content = min(75, count - 75 * k)
        #expect(chunk.ids.count == 77 && chunk.tokens.count == 77 && chunk.weights.count == 77)
        #expect(chunk.ids[0] == sd2.bos && chunk.ids[content + 1] == sd2.eos)
        #expect(chunk.ids.dropFirst(content + 2).allSatisfy { $0 == 0 })
      }
      if count > 75 { #expect(prompt.words[75].positions == [TokenPosition(chunk: 1, index: 1)]) }
    }
  }

  @Test func promptsGetEquallyManyChunks() throws {
    let long = try tokenizer.prepare(String(repeating: "cat ", count: 100), overflow: .chunk)
    var both = [long, try tokenizer.prepare("", overflow: .chunk)]
    TokenizedPrompt.equalizeChunks(&both)
    #expect(both.map(\.chunks.count) == [2, 2])
    #expect(both[1].chunks[1].ids == [tokenizer.bos] + Array(repeating: tokenizer.eos, count: 76))
    #expect(both[0].ids == long.ids)
  }

  @Test func distances() {
    #expect(EditDistance.between("", "") == 0)
    #expect(EditDistance.between("", "abc") == 3)
    #expect(EditDistance.between("kitten", "sitting") == 3)
    #expect(EditDistance.between("huose", "house") == 1)
    #expect(EditDistance.between(String(repeating: "a", count: 300), "b") == 300)
  }
}
