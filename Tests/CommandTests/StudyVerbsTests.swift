import Analysis
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
    #expect(try place.files() == ["cells", "grid.png", "runs"])
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

@Suite struct KeptCellsTests {
  private func runs(_ place: borrowing Workplace) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: place.url("runs").path)) ?? []).filter { !$0.hasPrefix(".") }
  }

  private func found(_ result: Workplace.Result) throws -> [Bool] {
    try #require(try result.json()["cells"] as? [[String: Any]]).map { $0["found"] as? Bool ?? false }
  }

  /// What was interrupted goes on: only the cells that are missing are computed, and they are what they would have been.
  @Test func anInterruptedGridGoesOn() throws {
    let place = try Workplace()
    let arguments = ["grid", "a red house", "--x", "seed=1-6", "--steps", "40", "-o", "g.png", "-q", "--json", "-f"]
    let process = try place.start(arguments)
    while process.isRunning, runs(place).count < 2 { usleep(20_000) }
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    let kept = runs(place).count
    #expect((2...5).contains(kept))
    #expect(try place.files() == ["runs"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count == kept, "half a run is left")
    let rest = try place.run(arguments)
    #expect(rest.code == 0, "\(rest.errors)")
    #expect(try found(rest).count { $0 } == kept)
    #expect(runs(place).count == 6)
    #expect(try found(place.run(arguments)).allSatisfy { $0 })
    let sheet = try Data(contentsOf: place.url("g.png"))
    #expect(try found(place.run(arguments + ["--again"])).allSatisfy { !$0 })
    #expect(runs(place).count == 6)
    // The captions carry the times, the pictures are the same.
    #expect(try Data(contentsOf: place.url("g.png")).count > sheet.count / 2)
  }

  /// A cell of one grid serves another, and `generate` makes the same picture.
  @Test func cellsServeOtherGrids() throws {
    let place = try Workplace()
    try FileManager.default.createDirectory(at: place.url("cells"), withIntermediateDirectories: true)
    let first = try place.run("grid", "a house", "--x", "seed=1,2", "--steps", "2", "-o", "a.png", "-q", "--json")
    #expect(try found(first) == [false, false])
    let second = try place.run(
      "grid", "a house", "--x", "seed=2,3", "--y", "steps=2-3", "-o", "b.png", "-q", "--json", "--frames-out", "cells")
    #expect(try found(second) == [true, false, false, false])
    #expect(try place.run("generate", "a house", "--seed", "2", "--steps", "2", "-o", "alone.png", "-q").code == 0)
    #expect(try Picture(url: place.url("alone.png")) == Picture(url: place.url("cells/0-0-0.png")))
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

  private static let model = Result { try StableDiffusion() }

  /// A run in this process that begins with given latents.
  private func picture(_ request: GenerationRequest, beginning: (Denoising) throws -> Tensor) throws -> Picture {
    let model = try Self.model.get()
    let run = try model.denoising(request)
    run.latents = try beginning(run)
    while try run.next() != nil {}
    return Picture(try model.decode(run.latents))
  }

  /// On a way through three prompts each is met exactly, and each leg is the way between its two prompts.
  @Test func aWayThroughPrompts() throws {
    let place = try Workplace()
    let (a, b, c) = ("a red house", "a red house at night", "a blue boat on the sea")
    for folder in ["f", "ab", "bc"] {
      try FileManager.default.createDirectory(at: place.url(folder), withIntermediateDirectories: true)
    }
    let options = ["--steps", "3", "-q", "--json", "-f"]
    let way = ["interpolate", "--path", a, b, c, "--frames", "5", "--frames-out", "f", "-o", "f.png", "--film", "film.png"] + options
    let result = try place.run(way)
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    #expect(json["stations"] as? [Double] == [0, 0.5, 1] && json["computed"] as? Int == 5 && json["film"] as? String == "film.png")
    for (prompt, frame) in [(a, "000"), (b, "002"), (c, "004")] {
      #expect(try place.run("generate", prompt, "--steps", "3", "-o", "e.png", "-q", "-f").code == 0)
      #expect(try Picture(url: place.url("e.png")) == Picture(url: place.url("f/\(frame).png")), "\(prompt)")
    }
    // In other stores, so that nothing is taken from the first.
    for (folder, ends, frame) in [("ab", (a, b), "001"), ("bc", (b, c), "003")] {
      let leg = try place.run(
        ["interpolate", ends.0, ends.1, "--frames", "3", "--frames-out", folder, "-o", "leg.png", "--runs", "\(folder)-runs"] + options)
      #expect(try leg.json()["computed"] as? Int == 3)
      #expect(try Picture(url: place.url("\(folder)/001.png")) == Picture(url: place.url("f/\(frame).png")), "\(folder)")
    }
    #expect(try Picture(url: place.url("f/001.png")) != Picture(url: place.url("f/003.png")))
    // The same way written otherwise is there already.
    let again = try place.run(
      ["interpolate", "--from", a, "--through", b, "--to", c, "--frames", "5", "-o", "f.png"] + options)
    #expect(try again.json()["computed"] as? Int == 0)
    #expect(try place.run(way + ["--again"]).json()["computed"] as? Int == 5)
    let film = try Data(contentsOf: place.url("film.png"))
    #expect(film.range(of: Data("acTL".utf8)) != nil)
    #expect(try Picture(url: place.url("film.png")).width == 256)
  }

  /// The steps' noise is the first seed's in every frame, also with a sampler that draws.
  @Test func stepsDrawTheSameNoise() throws {
    let place = try Workplace()
    try FileManager.default.createDirectory(at: place.url("f"), withIntermediateDirectories: true)
    let result = try place.run(
      "interpolate", "a red house", "--to-seed", "7", "--frames", "3", "--sampler", "ddpm", "--steps", "3", "--frames-out", "f", "-q")
    #expect(result.code == 0, "\(result.errors)")
    #expect(try place.run("generate", "a red house", "--sampler", "ddpm", "--steps", "3", "-o", "e.png", "-q").code == 0)
    #expect(try Picture(url: place.url("e.png")) == Picture(url: place.url("f/000.png")))
    let request = GenerationRequest(prompt: "a red house", sampler: .ddpm, steps: 3, seed: 42)
    var random = TorchRandom(seed: 7)
    let last = random.normal(nhwc: [1, 16, 16, 4])
    #expect(try picture(request) { $0.plan.initialLatents(last) } == Picture(url: place.url("f/002.png")))
    var other = request
    other.seed = 7
    #expect(
      try picture(other) { $0.latents } != Picture(url: place.url("f/002.png")), "the last frame has the steps' noise of its own seed")
  }

  /// Between two pictures: at the ends the mean of each, noised to the strength's step with the same noise.
  @Test func betweenTwoPictures() throws {
    let place = try Workplace()
    try FileManager.default.createDirectory(at: place.url("f"), withIntermediateDirectories: true)
    for (name, prompt) in [("a", "a red house"), ("b", "a blue boat on the sea")] {
      #expect(try place.run("generate", prompt, "--sampler", "dpmpp-2m", "--steps", "8", "-o", "\(name).png", "-q").code == 0)
    }
    let command = [
      "interpolate", "a house", "--from-image", "a.png", "--to-image", "b.png", "--strength", "0.5", "--sampler", "ddim", "--steps", "6",
      "-o", "i.png", "-q", "--json", "-f",
    ]
    let result = try place.run(command + ["--frames", "3", "--frames-out", "f"])
    #expect(result.code == 0, "\(result.errors)")
    #expect(try result.json()["latents"] as? String == "slerp" && result.json()["computed"] as? Int == 3)
    let model = try Self.model.get()
    var random = TorchRandom(seed: 42)
    _ = random.normal(nhwc: [1, 16, 16, 4])
    let noise = random.normal(nhwc: [1, 16, 16, 4])
    let first = try Picture(url: place.url("a.png")).tensor
    let means = try ["a", "b"].map { try model.encode(Picture(url: place.url("\($0).png")).tensor) }
    func frame(_ mean: Tensor) throws -> Picture {
      var request = GenerationRequest(prompt: "a house", sampler: .ddim, steps: 6, seed: 42)
      (request.initialImage, request.strength) = (first, 0.5)
      return try picture(request) { $0.plan.addNoise(mean, noise, at: $0.indices.lowerBound) }
    }
    #expect(try frame(means[0]) == Picture(url: place.url("f/000.png")))
    #expect(try frame(means[1]) == Picture(url: place.url("f/002.png")))
    #expect(try frame(Blending.slerp.latents(means[0], means[1], 0.5)) == Picture(url: place.url("f/001.png")))
    // Another way is another run; the ends are shared by neither name nor place.
    #expect(try place.run(command + ["--frames", "3", "--latents", "lerp"]).json()["computed"] as? Int == 3)
    try Picture(width: 32, height: 64, colour: (1, 2, 3)).writePNG(to: place.url("small.png"))
    expectError(
      try place.run("interpolate", "a house", "--from-image", "a.png", "--to-image", "small.png"), 64, "small.png", "32x64", "--width")
    expectError(try place.run("interpolate", "a house", "--from-image", "a.png"), 64, "one picture is no way")
    expectError(try place.run("interpolate", "a house", "--from-image", "a.png", "--to-image", "none.png"), 66, "none.png")
    #expect(
      try place.run(
        "interpolate", "a house", "--from-image", "a.png", "--to-image", "small.png", "-W", "64", "-H", "64", "--dry-run"
      ).code == 0)
  }

  @Test func waysThatLeadNowhere() throws {
    let place = try Workplace()
    expectError(try place.run("interpolate", "--path", "a house"), 64, "nowhere to go")
    expectError(try place.run("interpolate", "a house", "--path", "a", "b"), 64, "--path gives all prompts")
    expectError(try place.run("interpolate", "a house", "--through", "a boat"), 64, "--through")
    expectError(try place.run("interpolate", "a house", "--to-seed", "42"), 64, "nowhere to go")
    expectError(try place.run("interpolate", "a house", "a boat", "--film", "x.gif"), 64, "x.gif", "PNG")
    expectError(try place.run("interpolate", "a house", "a boat", "--frame-time", "1"), 64, "--frame-time 1")
    #expect(
      try place.run("interpolate", "--path", "a", "b", "c", "--frames", "4", "--dry-run").errors.contains("5 frames show all"))
    #expect(try place.files().isEmpty)
  }
}
