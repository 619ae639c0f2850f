import Foundation
import Testing

@testable import Engine

@Suite struct TokenizerFilesTests {
  private let start = "<|startoftext|>"
  private let end = "<|endoftext|>"

  /// A copy of the embedded tokenizer with files replaced; a nil removes one.
  private func folder(_ files: [String: String?]) throws -> URL {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("tokenizer-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    for name in ["vocab.json", "merges.txt"] where files[name] == nil {
      try FileManager.default.copyItem(at: TokenizerTests.scenes.appendingPathComponent(name), to: url.appendingPathComponent(name))
    }
    for (name, content) in files { try content.map { try Data($0.utf8).write(to: url.appendingPathComponent(name)) } }
    return url
  }

  private func load(_ files: [String: String?]) throws -> Tokenizer {
    let url = try folder(files)
    defer { try? FileManager.default.removeItem(at: url) }
    return try Tokenizer(directory: url)
  }

  private func complaint(_ files: [String: String?]) -> String {
    do {
      let url = try folder(files)
      defer { try? FileManager.default.removeItem(at: url) }
      do {
        _ = try Tokenizer(directory: url)
        return "loaded"
      } catch { return "\(error)".replacingOccurrences(of: url.path + "/", with: "").replacingOccurrences(of: url.path, with: "DIR") }
    } catch { return "\(error)" }
  }

  private func token(_ content: String, _ normalized: Bool, _ more: String = "") -> String {
    #"{"content": "\#(content)", "lstrip": false, "rstrip": false, "normalized": \#(normalized), "single_word": false\#(more)}"#
  }
  private func typed(_ content: String, _ normalized: Bool) -> String { token(content, normalized, #", "__type": "AddedToken""#) }

  /// Which special tokens are sought in the normalised text (upper case finds them too), as transformers 5.23 was found to decide it.
  @Test func normalizedSpecialTokens() throws {
    func normalized(_ config: String, _ map: String?) throws -> [Bool] {
      let tokenizer = try load(["tokenizer_config.json": config, "special_tokens_map.json": map])
      return [tokenizer.bos, tokenizer.eos].map { tokenizer.addedTokens[$0]?.isNormalized ?? false }
    }
    let (bos, eos) = (typed(start, true), typed(end, true))
    #expect(try normalized("{}", nil) == [false, false])
    let config = { (pad: String) in #"{"bos_token": \#(bos), "eos_token": \#(eos), "unk_token": \#(eos), "pad_token": \#(pad)}"# }
    #expect(try normalized(config(#""\#(end)""#), nil) == [true, false])
    #expect(try normalized(config(#""!""#), nil) == [true, true])
    #expect(try normalized(config(eos), #"{"bos_token": "\#(start)"}"#) == [false, true])
    let map = { (eos: Bool, pad: Bool) in
      #"{"eos_token": \#(token(end, eos)), "unk_token": \#(token(end, eos)), "pad_token": \#(token(end, pad))}"#
    }
    #expect(try normalized("{}", map(true, false)) == [false, false])
    #expect(try normalized("{}", map(false, true)) == [false, true])
  }

  @Test func addedTokens() throws {
    let decoder = """
      {"pad_token": "!", "added_tokens_decoder": {"0": \(token("!", false, #", "special": true"#)),
       "700": \(token("Foo", true)), "679": \(token(end, true, #", "special": true"#))}}
      """
    let one = try load(["tokenizer_config.json": decoder, "special_tokens_map.json": #"{"pad_token": "ignored"}"#])
    #expect(one.pad == 0)
    #expect(one.vocabularySize == 681)
    #expect(one.encode("a fOO<|ENDOFTEXT|>!!") == [320, 680, 679, 0, 0])
    let two = try load(["added_tokens.json": #"{"<bar>": 680, "Foo": 681}"#, "tokenizer_config.json": #"{"model_max_length": 1e30}"#])
    #expect(two.encode("<BAR>foo") == [680, 681])
    #expect(two.modelMaxLength == nil)
    #expect(try two.prepare("a").ids.count == 77)
    let strip = #"{"content": "Foo", "lstrip": true, "rstrip": true, "normalized": false, "single_word": true}"#
    let three = try load(["tokenizer_config.json": #"{"max_len": 20, "additional_special_tokens": [\#(strip)]}"#])
    #expect(three.modelMaxLength == 20)
    #expect(three.encode("a  Foo  a") == [320, 680, 320])
    #expect(three.encode("aFoo") == three.encode("afoo"))
    let words = try three.prepare("a  Foo  a").words
    #expect(words.map(\.text) == ["a", "Foo", "a"])
    #expect(words.map(\.tokenCount) == [1, 1, 1])
  }

  @Test func wholeFile() throws {
    func read(_ name: String) throws -> String {
      try String(contentsOf: TokenizerTests.scenes.appendingPathComponent(name), encoding: .utf8)
    }
    let lines = try read("merges.txt").split(separator: "\n").dropFirst().map(String.init)
    let pairs = lines.map { $0.split(separator: " ").map(String.init) }
    let plain = try load([:])
    for merges in [lines as Any, pairs as Any] {
      let list = String(decoding: try JSONSerialization.data(withJSONObject: merges), as: UTF8.self)
      let added = #"[{"id": 679, "content": "<|endoftext|>", "normalized": true, "special": true}]"#
      let whole = #"{"model": {"type": "BPE", "vocab": \#(try read("vocab.json")), "merges": \#(list)}, "added_tokens": \#(added)}"#
      let tokenizer = try load(["tokenizer.json": whole, "vocab.json": nil, "merges.txt": nil])
      #expect(tokenizer.encode("a red circle, it's") == plain.encode("a red circle, it's"))
      #expect(tokenizer.encode("<|EndOfText|>") == [679])
    }
    #expect(complaint(["tokenizer.json": "{}"]) == "tokenizer.json: model: expected an object, found nothing")
    #expect(complaint(["tokenizer.json": #"{"model": {"type": "Unigram"}}"#]) == "tokenizer.json: model.type: expected BPE, found Unigram")
  }

  @Test func windowsLineEnds() throws {
    let text = try String(contentsOf: TokenizerTests.scenes.appendingPathComponent("merges.txt"), encoding: .utf8)
    let tokenizer = try load(["merges.txt": text.replacingOccurrences(of: "\n", with: "\r\n")])
    #expect(tokenizer.encode("a large circle") == (try load([:])).encode("a large circle"))
  }

  /// A byte without an entry becomes the unknown token each time; without unknown token it is left out.
  @Test func unknownBytes() throws {
    let vocabulary = #"{"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "ab</w>": 4, "<|startoftext|>": 5, "<|endoftext|>": 6}"#
    let files = ["vocab.json": vocabulary, "merges.txt": "a b</w>\n"]
    #expect(try load(files).encode("ab acb cc") == [4, 0, 6, 3, 6, 6])
    #expect(try load(files.merging(["tokenizer_config.json": #"{"unk_token": null}"#]) { $1 }).encode("ab acb cc") == [4, 4])
    let other = files.merging(["tokenizer_config.json": #"{"unk_token": "<unk>"}"#]) { $1 }
    #expect(complaint(other).hasPrefix("vocab.json: lacks single bytes"))
  }

  @Test func wrongFilesAreRefusedInALine() throws {
    let cases: [([String: String?], String)] = [
      (["vocab.json": nil, "merges.txt": nil], "DIR: no vocab.json (nor tokenizer.json); "),
      (["merges.txt": nil], "merges.txt: no such file; "),
      (["vocab.json": "{"], "vocab.json: not valid JSON; "),
      (["vocab.json": ""], "vocab.json: not valid JSON; "),
      (["vocab.json": "[1]"], "vocab.json: expected a JSON object at the top"),
      (["vocab.json": "{}"], "vocab.json: expected tokens and their ids, found none"),
      (["vocab.json": #"{"a": "b"}"#], "vocab.json: 'a': expected an id from 0 to 4194304, found b"),
      (["vocab.json": #"{"a": -1}"#], "vocab.json: 'a': expected an id from 0 to 4194304, found -1"),
      (["vocab.json": #"{"a": 1.5}"#], "vocab.json: 'a': expected an id from 0 to 4194304, found 1.5"),
      (["vocab.json": #"{"a": 9007199254740993}"#], "vocab.json: 'a': expected an id"),
      (["vocab.json": #"{"a": null}"#], "vocab.json: 'a': expected an id"),
      (["vocab.json": #"{"a": 1, "b": 1}"#], "vocab.json: id 1 belongs to both 'a' and 'b'"),
      (["merges.txt": "#version: 0.2\nl o\nxx yy\n"], "merges.txt: line 3: 'xx' is not in the vocabulary; "),
      (["merges.txt": "! !\n"], "merges.txt: line 1: '!!' is not in the vocabulary; "),
      (["merges.txt": "l o\n\n"], "merges.txt: line 2: expected two tokens with one blank between, found ''"),
      (["merges.txt": "l  o\n"], "merges.txt: line 1: expected two tokens with one blank between, found 'l  o'"),
      (["tokenizer_config.json": "{]"], "tokenizer_config.json: not valid JSON; "),
      (
        ["tokenizer_config.json": #"{"tokenizer_class": "XLMRobertaTokenizer"}"#],
        "tokenizer_config.json: tokenizer_class: expected CLIPTokenizer"
      ),
      (["tokenizer_config.json": #"{"padding_side": "left"}"#], "tokenizer_config.json: padding_side: expected right, found left"),
      (
        ["tokenizer_config.json": #"{"model_max_length": 1}"#],
        "tokenizer_config.json: model_max_length: expected a whole number in 3...65536"
      ),
      (["tokenizer_config.json": #"{"model_max_length": "77"}"#], "tokenizer_config.json: model_max_length: expected a number"),
      (["tokenizer_config.json": #"{"bos_token": 3}"#], "tokenizer_config.json: bos_token: expected a token"),
      (["tokenizer_config.json": #"{"pad_token": null}"#], "tokenizer_config.json: pad_token: expected a token, found none"),
      (["tokenizer_config.json": #"{"added_tokens_decoder": {"x": "y"}}"#], "tokenizer_config.json: added_tokens_decoder: expected"),
      (["special_tokens_map.json": #"{"eos_token": {"text": "x"}}"#], "special_tokens_map.json: eos_token: expected a token"),
      (
        ["special_tokens_map.json": #"{"eos_token": {"content": "x", "lstrip": 1}}"#],
        "special_tokens_map.json: eos_token: lstrip: expected true or false"
      ),
      (["added_tokens.json": #"{"x": "y"}"#], "added_tokens.json: x: expected an id, found y"),
      (
        ["added_tokens.json": #"{"Foo": 680, "foo": 681}"#],
        "the tokenizer's added tokens 'Foo' (id 680) and 'foo' (id 681) cannot be told apart"
      ),
    ]
    for (files, expected) in cases {
      let found = complaint(files)
      #expect(found.hasPrefix(expected), Comment(rawValue: found))
      #expect(!found.contains("\n"))
    }
  }

  /// Bytes changed, removed and doubled at random places: a tokenizer that works, or an error in a line, and no trap.
  @Test func damagedFilesDoNotTrap() throws {
    var state: UInt64 = 1
    func random(_ below: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % max(below, 1)
    }
    let special = #"{"bos_token": \#(typed(start, true)), "pad_token": "!", "model_max_length": 77, "additional_special_tokens": ["a b"]}"#
    var originals = ["tokenizer_config.json": special, "special_tokens_map.json": #"{"eos_token": \#(token(end, true))}"#]
    originals["added_tokens.json"] = #"{"<foo>": 680, "bar": 681}"#
    for name in ["vocab.json", "merges.txt"] {
      originals[name] = try String(contentsOf: TokenizerTests.scenes.appendingPathComponent(name), encoding: .utf8)
    }
    let url = try folder(originals.mapValues { $0 })
    defer { try? FileManager.default.removeItem(at: url) }
    let signs = Array(#"{}[]",:0123456789-e.\u n"#.utf8) + [0, 10, 0x80, 0xff]
    var loaded = 0
    for name in originals.keys.sorted() {
      let file = url.appendingPathComponent(name)
      let original = Data(originals[name, default: ""].utf8)
      for _ in 0..<TokenizerFilesTests.damages {
        var bytes = original
        for _ in 0...random(3) {
          let at = random(bytes.count)
          switch random(4) {
          case 0: bytes.remove(at: bytes.startIndex + at)
          case 1: bytes.insert(signs[random(signs.count)], at: bytes.startIndex + at)
          case 2: bytes = bytes.prefix(at) + bytes.suffix(bytes.count - at / 2)
          default: bytes[bytes.startIndex + at] = signs[random(signs.count)]
          }
        }
        try bytes.write(to: file)
        do {
          let tokenizer = try Tokenizer(directory: url)
          _ = try tokenizer.prepare("a red <foo> bar! <|EndOfText|> é\u{301}", overflow: .chunk, emphasis: .a1111)
          loaded += 1
        } catch let error as InputError {
          #expect(!"\(error)".contains("\n"))
        }
      }
      try original.write(to: file)
    }
    #expect(loaded > 0)
    for text in [String(repeating: "[", count: 1_000_000), String(repeating: #"{"a":"#, count: 1_000_000), #"{"\ud800": 1}"#] {
      #expect(complaint(["vocab.json": text]).hasPrefix("vocab.json: "))
    }
  }
  static let damages = 60

  @Test func foldersAndEndlessFilesAreNotRead() throws {
    let url = try folder(["vocab.json": nil])
    defer { try? FileManager.default.removeItem(at: url) }
    let vocabulary = url.appendingPathComponent("vocab.json")
    try FileManager.default.createSymbolicLink(atPath: vocabulary.path, withDestinationPath: "/dev/zero")
    #expect(throws: InputError(.badData, "\(vocabulary.path): not a file")) { try Tokenizer(directory: url) }
    try FileManager.default.removeItem(at: vocabulary)
    try FileManager.default.createSymbolicLink(
      atPath: vocabulary.path, withDestinationPath: TokenizerTests.scenes.appendingPathComponent("vocab.json").path)
    #expect(try Tokenizer(directory: url).vocabularySize == 680)
    try FileManager.default.removeItem(at: vocabulary)
    try Data().write(to: vocabulary)
    let handle = try FileHandle(forWritingTo: vocabulary)
    try handle.truncate(atOffset: 1 << 40)
    try handle.close()
    #expect(throws: InputError.self) { try Tokenizer(directory: url) }
  }
}
