import Engine
import Foundation
import Testing

@Suite struct DirectionsVerbTests {
  private let quick = ["--steps", "4", "-q"]

  @Test func componentsOfSeeds() throws {
    let place = try Workplace()
    let result = try place.run(
      "directions", "a red house", "--samples", "5", "--components", "2", "--strengths=-1,0,2", "--steps", "4", "-o", "s.png", "--curves",
      "c.svg", "--arrays", "d.safetensors", "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    let directions = try #require(json["directions"] as? [[String: Any]])
    #expect(directions.count == 2 && json["pictures"] as? Int == 5 && (json["timesteps"] as? [Double])?.count == 4)
    let distances = try #require(directions[0]["picture_distances"] as? [Double])
    #expect(distances[1] == 0 && distances[0] > 0 && distances[2] > 0, "\(distances)")
    #expect(try Picture(url: place.url("s.png")).width > 300)
    // Strength 0 is the plain picture.
    let runs = try #require(directions[0]["runs"] as? [String])
    #expect(try place.run("generate", "a red house", "--sampler", "ddim", "--steps", "4", "-q", "-o", "plain.png").code == 0)
    #expect(try Picture(url: place.url("\(runs[1])/image-0.png")) == Picture(url: place.url("plain.png")))
    // Directions are read back, and the runs are there already.
    let count = try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count
    let again = try place.run(
      "directions", "a red house", "--direction", "d.safetensors", "--strengths=-1,0,2", "--steps", "4", "-o", "t.png", "-q", "--json")
    #expect(again.code == 0, "\(again.errors)")
    #expect((try again.json()["directions"] as? [[String: Any]])?.first?["picture_distances"] as? [Double] == distances)
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).count == count)
    let stored = try Safetensors.read(place.url("d.safetensors")).tensors
    #expect(stored.first { $0.name == "directions" }?.shape == [2, 4, 192, 4, 4])

    // Of runs that are there, and errors about them.
    let kept = try FileManager.default.contentsOfDirectory(atPath: place.url("runs").path).first { name in
      FileManager.default.fileExists(atPath: place.url("runs/\(name)/captures/unet.mid_block.out.safetensors").path)
    }
    let run = "runs/\(try #require(kept))"
    let ofRuns = try place.run("directions", run, "--components", "1", "--strengths=1", "-o", "r.png", "-q", "--json")
    #expect(try ofRuns.code == 0 && (ofRuns.json()["pictures"] as? Int) == 5, "\(ofRuns.errors)")
    expectError(try place.run("directions", runs[1], "-o", "x.png"), 64, "no captures of unet.mid_block.out")
    expectError(try place.run("directions", run, "--components", "5", "-o", "x.png"), 64, "5 components of 5 pictures", "1 to 4")
    let tiny = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/tiny/v1").standardizedFileURL
    expectError(try place.run("directions", run, "--model", tiny.path, "-o", "x.png"), 65, "made with another model")
    expectError(
      try place.run("directions", "a red house", "--direction", "d.safetensors", "--steps", "5", "-o", "x.png"), 64, "4 steps")
    expectError(
      try place.run("directions", "a red house", "--direction", "d.safetensors", "--steps", "4", "--width", "96", "-o", "x.png"), 65,
      "d.safetensors", "[2, 4, 192, 4, 4]")
    try FileManager.default.removeItem(at: place.url("\(run)/latents.safetensors"))
    expectError(try place.run("directions", run, "-o", "x.png"), 65, "latents.safetensors", "half there")
  }

  @Test func fromOnePromptToAnother() throws {
    let place = try Workplace()
    let result = try place.run(
      "directions", "--from", "a red house", "--to", "a blue house", "--samples", "6", "--folds", "3", "--rule", "symmetric", "--strengths",
      "0,1", "--steps", "3", "-o", "s.png", "--arrays", "d.npy", "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    let probes = try #require(json["probes"] as? [[String: Any]])
    #expect(probes.count == 3 && json["chance"] as? Double == 0.5 && json["pictures"] as? Int == 12)
    // So few pictures tell nothing; that a planted label is found, DirectionTests show.
    for probe in probes {
      let (accuracy, shuffled) = (try #require(probe["accuracy"] as? Double), try #require(probe["shuffled_mean"] as? Double))
      #expect((0...1).contains(accuracy) && (0.2...0.8).contains(shuffled), "\(probe)")
    }
    let text = try place.run(
      "directions", "--from", "a red house", "--to", "a blue house", "--samples", "6", "--folds", "3", "--rule", "symmetric", "--strengths",
      "0,1", "--steps", "3", "-o", "t.png", "-q")
    #expect(text.output.contains("told apart") && text.lines.last == "t.png", "\(text.output) \(text.errors)")
    var values = try Npy.read(place.url("d.npy")).float32()
    values[7] = .nan
    try Npy.write(values, shape: [1, 3, 192, 4, 4], to: place.url("nan.npy"))
    expectError(try place.run("directions", "a house", "--direction", "nan.npy", "--steps", "3", "-o", "x.png"), 65, "value 7", "nan")
    try "red\ta red house\nred\ta red boat\nblue\ta blue house\nblue\ta blue boat\n".write(
      to: place.url("l.tsv"), atomically: true, encoding: .utf8)
    let labelled = try place.run(
      "directions", "--labels", "l.tsv", "--folds", "2", "--steps", "2", "--strengths", "1", "-o", "l.png", "-q", "--json")
    #expect(try labelled.code == 0 && (labelled.json()["pictures"] as? Int) == 4, "\(labelled.errors)")
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    expectError(try place.run("directions"), 64, "expected a prompt")
    expectError(try place.run("directions", "--from", "a house"), 64, "--from and --to")
    expectError(try place.run("directions", "a house", "--from", "a", "--to", "b", "--direction", "x.npy"), 64, "--from and --direction")
    expectError(try place.run("directions", "a house", "--strengths", "1,x"), 64, "'x'")
    expectError(try place.run("directions", "a house", "--samples", "1"), 64, "--samples 1")
    expectError(try place.run("directions", "a house", "--sampler", "euler"), 64, "asyrp", "--rule symmetric")
    expectError(try place.run("directions", "a house", "--count", "2"), 64, "--samples")
    expectError(try place.run("directions", "a house", "--arrays", "d.txt"), 64, "d.txt", ".npy")
    expectError(try place.run("directions", "a house", "--at-steps", "20"), 64, "expected 0 to 19")
    expectError(try place.run("directions", "a house", "--direction", "none.npy"), 66, "none.npy")
    expectError(try place.run("directions", "a house", "--labels", "none.tsv"), 66, "none.tsv")
    expectError(try place.run("directions", "runs/nothing"), 66, "no run")
    try "one a house\n".write(to: place.url("bad.tsv"), atomically: true, encoding: .utf8)
    expectError(try place.run("directions", "--labels", "bad.tsv"), 65, "bad.tsv", "line 1")
    try "a\tx\nb\ty\nc\tz\n".write(to: place.url("three.tsv"), atomically: true, encoding: .utf8)
    expectError(try place.run("directions", "--labels", "three.tsv"), 65, "3 labels")
    #expect(try place.run("directions", "a house", "--dry-run").output.contains("would write"))
    #expect(try place.files() == ["bad.tsv", "three.tsv"])
  }
}
