import Foundation
import TestSupport
import Testing

@testable import Engine

/// invisible-watermark's own pictures: Tests/Goldens/make/watermark.py.
@Suite struct WatermarkTests {
  struct Case: Decodable, CustomTestStringConvertible {
    let name: String
    let content: String
    let read: String
    let readUnmarked: String
    var testDescription: String { name }

    func picture(_ suffix: String = "") throws -> Picture {
      let url = WatermarkTests.folder.appendingPathComponent("\(name)\(suffix).png")
      return try Picture(bytes: [UInt8](Data(contentsOf: url)), name: url.lastPathComponent)
    }
  }
  static let folder = Golden.folder.appendingPathComponent("watermark")
  static let cases: [Case] =
    (try? JSONDecoder().decode([Case].self, from: Data(contentsOf: folder.appendingPathComponent("cases.json")))) ?? []

  private func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap { UInt8($0.hexDigitValue!) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  @Test func goldensAreThere() { #expect(Self.cases.count == 3) }

  /// The same pixels as the package's, so that it reads what is written here.
  @Test(arguments: cases) func writesAsThePackage(_ golden: Case) throws {
    let expected = try golden.picture("-marked")
    let written = try golden.picture().watermarked(with: bytes(golden.content))
    #expect(zip(written.pixels, expected.pixels).count(where: !=) == 0)
    #expect(written == expected)
  }

  /// Right or wrong, the same bytes as the package reads, with a watermark and without.
  @Test(arguments: cases) func readsAsThePackage(_ golden: Case) throws {
    let count = bytes(golden.content).count
    #expect(try golden.picture("-marked").watermark(bytes: count) == bytes(golden.read))
    #expect(try golden.picture().watermark(bytes: count) == bytes(golden.readUnmarked))
  }

  @Test func outlivesPNGAndChangesLittle() throws {
    let plain = try #require(Self.cases.first { $0.name == "textured" }).picture()
    let content = [UInt8]("sdlab".utf8)
    let marked = try Picture(bytes: plain.watermarked(with: content).png(), name: "marked")
    #expect(try marked.watermark(bytes: 5) == content)
    #expect(try plain.watermark(bytes: 5) != content)
    let error = zip(marked.pixels, plain.pixels).reduce(0.0) { $0 + pow(Double($1.0) - Double($1.1), 2) } / Double(plain.pixels.count)
    #expect(error > 0 && 10 * log10(255 * 255 / error) > 30, "PSNR")
  }

  @Test func refuses() throws {
    func message(_ width: Int, _ height: Int, _ bytes: Int) -> (String, InputError.Kind)? {
      let picture = Picture(width: width, height: height, colour: (200, 100, 50))
      let content = [UInt8](repeating: 7, count: bytes)
      do { _ = try picture.watermarked(with: content) } catch let error as InputError {
        #expect(throws: InputError.self) { try picture.watermark(bytes: bytes) }
        return (error.description, error.kind)
      } catch { Issue.record(error) }
      return nil
    }
    let small = try #require(message(256, 255, 1))
    #expect(small.0.contains("at least 256x256 pixels, found 256x255") && small.1 == .badData)
    let none = try #require(message(256, 256, 0))
    #expect(none.0.contains("0 bytes: expected 1 or more, and 256x256 pixels hold at most 128") && none.1 == .usage)
    #expect(try #require(message(256, 256, 129)).1 == .usage)
    #expect(message(256, 256, 128) == nil)
    // Many pixels, and no 8x8 among them.
    #expect(try #require(message(65535, 4, 1)).0.contains("hold at most 0"))
  }
}
