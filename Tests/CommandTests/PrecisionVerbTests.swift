import Engine
import Foundation
import Testing

/// `--precision bf16`, of every verb that computes.
@Suite struct PrecisionVerbTests {
  private static let options = ["--sampler", "ddim", "--steps", "4", "-q"]

  /// The picture is another one, not by much, and says in what it was computed: made again, it is the same.
  @Test func aPictureInBFloat16() throws {
    let place = try Workplace()
    for (precision, name) in [("f32", "single.png"), ("bf16", "rounded.png")] {
      let made = try place.run(["generate", "a red house", "--precision", precision, "-o", name] + Self.options)
      #expect(made.code == 0, "\(made.errors)")
    }
    let (single, rounded) = (try Picture(url: place.url("single.png")), try Picture(url: place.url("rounded.png")))
    #expect(single.pixels != rounded.pixels)
    let error = zip(single.pixels, rounded.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
    #expect(error < 4 * single.pixels.count, "four levels of 255 on average")
    #expect(try place.run("inspect", "rounded.png").output.contains("bf16"))
    #expect(try place.run("rerun", "rounded.png", "-o", "again.png", "-q").code == 0)
    #expect(try Picture(url: place.url("again.png")).pixels == rounded.pixels)
    #expect(try !place.run("inspect", "single.png").output.contains("bf16"))
  }

  @Test func onlyTwoThereAre() throws {
    let place = try Workplace()
    expectError(try place.run(["generate", "x", "--precision", "f16", "-o", "x.png"] + Self.options), 64, "'f16'")
  }
}
