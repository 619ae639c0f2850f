import Engine
import Foundation
import Testing

@Suite struct AttributeVerbTests {
  private func shares(_ result: Workplace.Result) throws -> [String: Double] {
    let words = try #require(try result.json()["words"] as? [[String: Any]])
    return try Dictionary(uniqueKeysWithValues: words.map { (try #require($0["word"] as? String), try #require($0["share"] as? Double)) })
  }

  /// Of a prompt, its run, and an existing picture; a house's own words have the largest shares where the house is.
  @Test func sharesOfWords() throws {
    let place = try Workplace()
    let options = ["--sampler", "ddim", "--steps", "8", "-q", "--json", "-f"]
    let made = try place.run(["attribute", "a red house on a blue background", "--points", "6", "-o", "a.png"] + options)
    #expect(made.code == 0 && made.errors.isEmpty, "\(made.errors)")
    let whole = try shares(made)
    let json = try made.json()
    let (sum, rest) = (try #require(json["completeness"] as? Double), try #require(json["end_and_padding"] as? Double))
    #expect(abs(sum - 1) < 0.1 && abs(whole.values.reduce(0, +) + rest - sum) < 1e-6)
    #expect(whole.count == 6 && json["places"] as? Int == 256)
    let run = try #require(json["run"] as? String)
    let part = try place.run("attribute", run, "--region", "0,0,32,64", "--points", "6", "-o", "b.png", "-q", "--json")
    #expect(part.code == 0, "\(part.errors)")
    #expect(try part.json()["places"] as? Int == 128)
    #expect(try shares(part) != whole)
    // A mask that is all white is the whole picture.
    let white = Picture(width: 8, height: 8, pixels: [UInt8](repeating: 255, count: 192))
    try white.png().writeBytes(to: place.url("white.png"))
    let masked = try place.run("attribute", run, "--mask", "white.png", "--points", "6", "-o", "c.png", "-q", "--json")
    #expect(try shares(masked) == whole, "\(masked.errors)")
    let gradient = try place.run("attribute", run, "--method", "gradient", "-o", "d.png", "-q", "--json")
    #expect(try gradient.json()["points"] as? Int == 1)
    #expect(try place.run("generate", "a red house", "--steps", "4", "-o", "p.png", "-q").code == 0)
    let existing = try place.run(
      "attribute", "a red house", "--image", "p.png", "--points", "2", "--at", "300", "-o", "e.png", "-q", "--json")
    #expect(existing.code == 0 && existing.output.contains("house"), "\(existing.errors)")
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    let base = ["attribute", "a red house", "--steps", "2", "--sampler", "ddim", "-q"]
    for (arguments, words) in [
      (["--points", "0"], "--points 0"), (["--region", "1,2,3"], "four whole numbers"), (["--region", "0,0,0,4"], "four whole numbers"),
      (["--region", "0,0,4,4", "--mask", "x.png"], "one of them"), (["--at", "x"], "'x'"), (["--at", "1000"], "timestep 1000"),
      (["--region", "60,0,8,8"], "does not lie in the picture"),
    ] { expectError(try place.run(base + arguments), 64, words) }
    expectError(try place.run(base + ["--mask", "nowhere.png"]), 66, "nowhere.png")
    let black = Picture(width: 8, height: 8, pixels: [UInt8](repeating: 0, count: 192))
    try black.png().writeBytes(to: place.url("black.png"))
    expectError(try place.run(base + ["--mask", "black.png"]), 64, "the region is empty")
    #expect(try place.files() == ["black.png", "runs"])
  }
}

extension Sequence where Element == UInt8 {
  fileprivate func writeBytes(to url: URL) throws { try Data(self).write(to: url) }
}
