import Foundation
import Testing

@testable import Engine

/// Classes, lower case and composition of every Unicode scalar against the backend's (Tests/Goldens/tokenizer/unicode.json).
@Suite struct TokenizerUnicodeTests {
  static let everyScalar = (UInt32(0)..<0x110000).compactMap(Unicode.Scalar.init)

  @Test func classesAreTheBackends() throws {
    let golden = try TokenizerTests.json("unicode.json")
    func set(_ key: String) throws -> Set<UInt32> {
      Set(try #require(golden[key] as? [[Int]]).flatMap { UInt32($0[0])...UInt32($0[1]) })
    }
    #expect(Set(Self.everyScalar.filter(\.isLetter).map(\.value)) == (try set("letter")))
    #expect(Set(Self.everyScalar.filter(\.isNumber).map(\.value)) == (try set("number")))
    #expect(Set(Self.everyScalar.filter(\.isSpace).map(\.value)) == (try set("space")))
  }

  @Test func lowerCaseAndCompositionAreTheBackends() throws {
    let golden = try TokenizerTests.json("unicode.json")
    func map(_ key: String) throws -> [UInt32: [UInt32]] {
      Dictionary(uniqueKeysWithValues: try #require(golden[key] as? [[Int]]).map { (UInt32($0[0]), $0.dropFirst().map { UInt32($0) }) })
    }
    let (lower, composed) = (try map("lower"), try map("nfc"))
    for scalar in Self.everyScalar {
      let text = MappedText(String(scalar))
      let one = [scalar.value]
      let c = text.composed().scalars.map(\.value)
      if c != composed[scalar.value] ?? one { Issue.record("NFC of U+\(String(scalar.value, radix: 16)): \(c)") }
      // Lower case alone: the golden does not compose first.
      if composed[scalar.value] == nil, !scalar.isSpace {
        let l = text.normalized().scalars.map(\.value)
        if l != lower[scalar.value] ?? one { Issue.record("lower case of U+\(String(scalar.value, radix: 16)): \(l)") }
      }
    }
  }

  @Test func sequencesCompose() throws {
    for pair in try #require(try TokenizerTests.json("unicode.json")["nfcStrings"] as? [[String]]) {
      #expect(MappedText(pair[0]).composed().scalars == Array(pair[1].unicodeScalars), Comment(rawValue: pair[0].debugDescription))
    }
  }

  @Test func marksYoungerThanTheBackendsTablesStay() {
    // U+1ABF (Unicode 13, class 220) would go before U+0301 (class 230) by today's tables; by those of Unicode 9 it stays.
    let young: [Unicode.Scalar] = ["a", "\u{301}", "\u{1abf}", "\u{323}"]
    #expect(MappedText(String(String.UnicodeScalarView(young))).composed().scalars == ["\u{e1}", "\u{1abf}", "\u{323}"])
  }

  @Test(arguments: [
    ("\u{ac00}\u{11a8}", "\u{ac01}"), ("\u{1100}\u{1161}\u{11a8}", "\u{ac01}"), ("\u{102276}\u{338}", "\u{102276}\u{338}"),
    ("a\u{1cd0}\u{f73}", "a\u{f71}\u{f72}\u{1cd0}"), ("\u{958}", "\u{915}\u{93c}"), ("a\u{5ae}\u{300}\u{315}b", "\u{e0}\u{5ae}\u{315}b"),
  ]) func whereFoundationErrs(_ text: String, _ composed: String) {
    #expect(MappedText(text).composed().scalars == Array(composed.unicodeScalars))
  }

  @Test func originsCoverTheText() {
    let text = MappedText("A\u{30a} \t Ǆİ e\u{323}\u{301}").normalized()
    #expect(String(String.UnicodeScalarView(text.scalars)) == "å ǆi\u{307} ẹ\u{301}")
    #expect(text.origins == [0..<3, 3..<6, 6..<8, 8..<10, 8..<10, 10..<11, 11..<14, 14..<16])
  }
}
