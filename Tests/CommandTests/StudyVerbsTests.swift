import Engine
import Foundation
import Testing

@Suite struct GridVerbTests {
  @Test func drawsASheetAndItsCells() throws {
    let place = try Workplace()
    try FileManager.default.createDirectory(at: place.url("cells"), withIntermediateDirectories: true)
    let result = try place.run(
      "grid", "a red house", "--x", "prompt=house, boat", "--y", "steps=2-3", "--sampler", "ddim", "--frames-out", "cells", "-o",
      "grid.png",
      "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let cells = try #require(try result.json()["cells"] as? [[String: Any]])
    #expect(cells.count == 4 && cells.last?["labels"] as? [String] == ["boat", "steps 3"])
    #expect(try place.files() == ["cells", "grid.png"])
    #expect(try Picture(url: place.url("grid.png")).width > 256)
    // A cell is the picture that `generate` makes of its parameters.
    #expect(try place.run("generate", "a red boat", "--sampler", "ddim", "--steps", "3", "-o", "alone.png", "-q").code == 0)
    #expect(try Picture(url: place.url("alone.png")) == Picture(url: place.url("cells/1-1-0.png")))
  }

  @Test func aSheetForEachValueOfZ() throws {
    let place = try Workplace()
    let result = try place.run("grid", "a house", "--x", "seed: 1-2", "--z", "guidance=1, 4", "--steps", "2", "-o", "g.png", "-q")
    #expect(result.lines == ["g-0.png", "g-1.png"], "\(result.errors)")
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    for (axis, word) in [("steps=1-x", "1-x"), ("stepz=1", "stepz"), ("prompt=boat, tree", "boat"), ("width=63", "63"), ("steps", "=")] {
      let result = try place.run("grid", "a house", "--x", axis)
      #expect(result.code == 64 && result.output.isEmpty && result.errors.contains(word), "\(axis): \(result.errors)")
    }
    #expect(try place.run("grid", "a house", "--x", "seed=1-4", "--dry-run").output.contains("would write"))
    try Data().write(to: place.url("there.png"))
    #expect(try place.run("grid", "a house", "--x", "seed=1", "-o", "there.png").code == 73)
    #expect(try place.files() == ["there.png"])
  }
}

@Suite struct InterpolateVerbTests {
  @Test func theEndsAreThePicturesThemselves() throws {
    let place = try Workplace()
    try FileManager.default.createDirectory(at: place.url("f"), withIntermediateDirectories: true)
    let result = try place.run(
      "interpolate", "a red house", "a blue boat on the sea", "--frames", "3", "--steps", "3", "--sampler", "ddim", "--to-seed", "7",
      "--frames-out", "f", "-o", "i.png", "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    #expect(json["positions"] as? [Double] == [0, 0.5, 1] && (json["distances"] as? [Double])?.count == 2)
    #expect(json["even"] == nil && json["made"] as? Int == 3)
    for (prompt, seed, file) in [("a red house", "42", "000.png"), ("a blue boat on the sea", "7", "002.png")] {
      #expect(try place.run("generate", prompt, "--seed", seed, "--steps", "3", "--sampler", "ddim", "-o", "e.png", "-q", "-f").code == 0)
      let (a, b) = (try Picture(url: place.url("e.png")), try Picture(url: place.url("f/\(file)")))
      #expect(zip(a.pixels, b.pixels).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
    }
  }

  @Test func adaptiveFramesAreMoreEven() throws {
    let place = try Workplace()
    func distances(_ more: [String]) throws -> [Double] {
      let result = try place.run(
        "interpolate", "a red house", "--to-seed", "3", "--frames", "6", "--steps", "4", "--sampler", "ddim", "-q", "-f", "--json",
        more.first ?? "--rng=cpu")
      return try #require(try result.json()["distances"] as? [Double])
    }
    func unevenness(_ d: [Double]) -> Double { (d.max() ?? 0) / (d.reduce(0, +) / Double(d.count)) }
    let (even, adaptive) = (try distances([]), try distances(["--adaptive"]))
    #expect(unevenness(adaptive) < unevenness(even))
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    #expect(try place.run("interpolate", "a house").code == 64)
    #expect(try place.run("interpolate").code == 64)
    #expect(try place.run("interpolate", "a house", "a boat", "--to", "a tree").code == 64)
    #expect(try place.run("interpolate", "--from", "a house", "--to", "a boat", "--dry-run").output.contains("would write"))
    #expect(try place.run("interpolate", "a house", "a boat", "--frames", "1").code == 64)
    #expect(try place.run("interpolate", "a house", "a boat", "--budget", "3").code == 64)
    #expect(try place.run("interpolate", "a house", "a boat", "--frames-out", "nowhere").code == 73)
    #expect(try place.run("interpolate", "a house", "a boat", "--dry-run").output.contains("would write"))
    #expect(try place.files().isEmpty)
  }
}
