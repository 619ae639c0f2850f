import Engine
import Foundation
import Testing

@Suite struct WatermarkVerbTests {
  @Test func writtenWhenAPictureIsMade() throws {
    let place = try Workplace()
    expectError(
      try place.run("generate", "a red house", "--steps", "1", "--watermark", "x", "-o", "s.png", "-q"), 65, "at least 256x256 pixels")
    #expect(try place.files().isEmpty)
    let options = ["generate", "a red house", "-W", "256", "-H", "256", "--steps", "1", "--sampler", "ddim"]
    #expect(try place.run(options + ["-o", "plain.png", "-q"]).code == 0)
    let made = try place.run(options + ["--watermark", "ab", "-o", "p.png"])
    #expect(made.code == 0, "\(made.errors)")
    let plain = try Picture(url: place.url("plain.png"))
    let marked = try Picture(url: place.url("p.png"))
    #expect(try plain.watermarked(with: Array("ab".utf8)) == marked)
    // What cannot be read again is said.
    #expect(try (marked.watermark(bytes: 2) != Array("ab".utf8)) == made.errors.contains("cannot be read again"))
    // Made again from its own record, it carries the same.
    #expect(try place.run("rerun", "p.png", "-o", "again.png", "-q").code == 0)
    #expect(try Picture(url: place.url("again.png")) == marked)
  }

  @Test func writtenAndRead() throws {
    let place = try Workplace()
    // A textured picture: what is hidden in it is read again.
    let textured = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/watermark/textured.png")
    try FileManager.default.copyItem(at: textured, to: place.url("t.png"))
    let written = try place.run("watermark", "write", "t.png", "--text", "sdlab", "-o", "m.png")
    #expect(written.code == 0 && written.lines == ["m.png"], "\(written.errors)")
    #expect(try place.run("watermark", "read", "m.png", "--length", "5").output == "sdlab\n")
    #expect(try place.run("watermark", "read", "m.png", "--length", "5", "--json").json()["hex"] as? String == "73646c6162")
    expectError(try place.run("watermark", "write", "t.png", "--text", "x", "-o", "m.png"), 73, "m.png")
    expectError(try place.run("watermark", "read", "m.png", "--length", "0"), 64, "0 bytes")
    expectError(try place.run("watermark", "read", "nowhere.png", "--length", "4"), 66, "nowhere.png")
    // Saturated colours do not keep it: refused, and nothing is written.
    let saturated = textured.deletingLastPathComponent().appendingPathComponent("saturated.png")
    try FileManager.default.copyItem(at: saturated, to: place.url("flat.png"))
    expectError(try place.run("watermark", "write", "flat.png", "--text", "sdlab", "-o", "f.png"), 65, "cannot be read again")
    #expect(try place.files() == ["flat.png", "m.png", "t.png"])
  }
}
