import Engine
import Foundation
import Testing

/// `sdlab evaluate fid`, `kid` and `is`.
@Suite struct EvaluateVerbTests {
  private static let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens/metrics")
    .standardizedFileURL.path
  private static func golden(_ name: String) -> String { "\(goldens)/\(name).npy" }

  @Test func numbers() throws {
    let place = try Workplace()
    let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: "\(Self.goldens)/metrics.json")))
    let expected = try #require(json as? [String: [[String: Any]]])
    for measure in ["fid", "kid"] {
      let first = try #require(expected[measure]?.first)
      let result = try place.run(
        "evaluate", measure, "--real", Self.golden(first["real"] as? String ?? ""), "--fake", Self.golden(first["fake"] as? String ?? ""),
        "--bootstrap", "20", "--json")
      #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
      let found = try result.json()
      let (value, wanted) = (try #require(found["value"] as? Double), try #require(first["value"] as? Double))
      #expect(abs(value - wanted) <= 1e-6 * abs(wanted))
      let (low, high) = (try #require(found["low"] as? Double), try #require(found["high"] as? Double))
      #expect(low < high && found["bootstrap"] as? Int == 20 && found["real"] as? Int == 120 && found["columns"] as? Int == 24)
    }
    let score = try place.run("evaluate", "is", "--fake", Self.golden("logits"), "--parts", "10", "--json").json()
    let wanted = try #require(expected["is"]?.last?["mean"] as? Double)
    #expect(abs(try #require(score["value"] as? Double) - wanted) < 1e-6 && score["low"] == nil && score["parts"] as? Int == 10)
    let text = try place.run("evaluate", "kid", "--real", Self.golden("a"), "--fake", Self.golden("c"), "--bootstrap", "0")
    #expect(text.lines == ["kid       0.1656", "real      120 pictures", "fake      64 pictures", "features  24"])
  }

  private static let clip = URL(fileURLWithPath: goldens).deletingLastPathComponent().appendingPathComponent("extractors/clip").path

  @Test func precisionRecall() throws {
    let place = try Workplace()
    let json = try place.run(
      "evaluate", "precision-recall", "--real", Self.golden("a"), "--fake", Self.golden("b"), "--bootstrap", "10", "--json"
    ).json()
    let (precision, recall) = (json["precision"] as? [String: Double], json["recall"] as? [String: Double])
    #expect(abs((precision?["value"] ?? 0) - 29.0 / 120) < 1e-9 && abs((recall?["value"] ?? 0) - 82.0 / 120) < 1e-9)
    #expect((recall?["low"] ?? 1) < 82.0 / 120 && json["neighbours"] as? Int == 3)
    expectError(
      try place.run("evaluate", "precision-recall", "--real", Self.golden("a"), "--fake", Self.golden("b"), "--neighbors", "0"), 64,
      "1 to 100")
  }

  /// Folders of pictures, through CLIP: the same numbers as from the features that `evaluate features` writes.
  @Test func folders() throws {
    let place = try Workplace()
    for (name, seed) in [("real", 1), ("fake", 2)] {
      let made = try place.run("scenes", "--count", "6", "--seed", "\(seed)", "--out", name, "-q")
      #expect(made.code == 0, "\(made.errors)")
    }
    // Pictures lie in a folder of their own beside captions and masks.
    let pictures = try ["real", "fake"].map { name -> String in
      let files = try FileManager.default.subpathsOfDirectory(atPath: place.url(name).path).filter {
        $0.hasSuffix(".png") && !$0.contains("mask")
      }
      let first = try #require(files.first)
      return place.url(name).appendingPathComponent(first).deletingLastPathComponent().path
    }
    let options = ["--extractor", "clip", "--extractor-weights", Self.clip]
    for (folder, name) in zip(pictures, ["r", "f"]) {
      let result = try place.run(["evaluate", "features", folder, "-o", "\(name).npy", "--json"] + options)
      #expect(result.code == 0, "\(result.errors)")
      #expect(try result.json()["columns"] as? Int == 12)
    }
    let whole = try place.run(["evaluate", "kid", "--real", pictures[0], "--fake", pictures[1], "--bootstrap", "0", "--json"] + options)
      .json()
    let parts = try place.run("evaluate", "kid", "--real", "r.npy", "--fake", "f.npy", "--bootstrap", "0", "--json").json()
    #expect(whole["value"] as? Double == parts["value"] as? Double && whole["columns"] as? Int == 12 && whole["real"] as? Int == 6)
    // The judge of scenes needs no weights of anybody's.
    let scenes = try place.run(
      "evaluate", "fid", "--real", pictures[0], "--fake", pictures[0], "--extractor", "scenes", "--bootstrap", "0", "--json", "-q"
    ).json()
    #expect(abs(scenes["value"] as? Double ?? 1) < 1e-3 && scenes["columns"] as? Int == 96)
    let spread = try place.run("evaluate", "is", "--fake", pictures[0], "--extractor", "scenes", "--bootstrap", "0", "--json", "-q").json()
    #expect((1...16).contains(spread["value"] as? Double ?? 0) && spread["columns"] as? Int == 16)
    expectError(try place.run(["evaluate", "kid", "--real", "r.npy", "--fake", "f.npy"] + options), 64, "both sets are features already")
    expectError(try place.run(["evaluate", "is", "--fake", pictures[0]] + options), 64, "it has no classes")
    expectError(
      try place.run("evaluate", "fid", "--real", pictures[0], "--fake", pictures[1], "--extractor-weights", "none.pth"), 66, "none.pth")
    try Data().write(to: place.url("weights.pth"))
    expectError(
      try place.run("evaluate", "fid", "--real", pictures[0], "--fake", pictures[1], "--extractor-weights", "weights.pth"), 65,
      "weights.pth")
    try FileManager.default.createDirectory(at: place.url("empty"), withIntermediateDirectories: true)
    expectError(try place.run(["evaluate", "fid", "--real", "empty", "--fake", "f.npy"] + options), 65, "empty: holds no pictures")
  }

  @Test func clipScore() throws {
    let place = try Workplace()
    try FileManager.default.createDirectory(at: place.url("made"), withIntermediateDirectories: true)
    for prompt in ["a red house", "a blue boat"] {
      let made = try place.run("generate", prompt, "--steps", "1", "-o", "made/", "-q")
      #expect(made.code == 0, "\(made.errors)")
    }
    // Prompts from the pictures' own metadata, then from text files, which come first.
    let own = try place.run("evaluate", "clip-score", "made", "--clip", Self.clip, "--json").json()
    let pairs = try #require(own["pictures"] as? [[String: Any]])
    #expect(Set(pairs.compactMap { $0["prompt"] as? String }) == ["a red house", "a blue boat"])
    let mean = pairs.reduce(0.0) { $0 + ($1["score"] as? Double ?? .nan) } / 2
    #expect(abs((own["value"] as? Double ?? 0) - mean) < 1e-9)
    for pair in pairs {
      let name = try #require(pair["file"] as? String)
      try Data("a star".utf8).write(to: place.url("made/\(name.dropLast(4)).txt"))
    }
    let other = try place.run("evaluate", "clip-score", "made", "--clip", Self.clip, "--json").json()
    #expect((other["pictures"] as? [[String: Any]])?.allSatisfy { $0["prompt"] as? String == "a star" } == true)
    #expect(try place.run("evaluate", "clip-score", "made", "--clip", Self.clip).output.contains("highest"))
    expectError(try place.run("evaluate", "clip-score", "nowhere", "--clip", Self.clip), 66, "nowhere")
    expectError(try place.run("evaluate", "clip-score", "made", "--clip", Self.goldens), 66, "not a CLIP model")
  }

  /// Pictures and prompts in one map.
  @Test func clipSpace() throws {
    let place = try Workplace()
    let made = try place.run("generate", "a red house", "--steps", "1", "--count", "3", "-o", "a.png", "-q")
    #expect(made.code == 0, "\(made.errors)")
    let result = try place.run(
      "project", "--space", "clip", "--clip", Self.clip, "a-42.png", "a-43.png", "a-44.png", "a red house", "a boat", "-o", "map.npy",
      "--figure",
      "map.png", "--json", "-q")
    #expect(result.code == 0, "\(result.errors)")
    let json = try result.json()
    #expect(json["n"] as? Int == 5 && json["coordinates"] as? Int == 12)
    #expect(try Npy.read(place.url("map.npy")).shape == [5, 2])
    expectError(try place.run("project", "--space", "clip", "--clip", Self.clip, "a-42.png", "--site", "latents"), 64, "--site")
    expectError(
      try place.run("project", "--space", "clip", "--clip", Self.clip, "a-42.png", "a boat", "--thumbnails", "--figure", "m.png"), 64,
      "prompts have no pictures")
  }

  @Test func refusals() throws {
    let place = try Workplace()
    let a = Self.golden("a")
    expectError(try place.run("evaluate", "fid", "--real", a, "--fake", "none.npy"), 66, "none.npy")
    expectError(try place.run("evaluate", "fid", "--real", a, "--fake", Self.golden("logits")), 65, "24 and 10 columns")
    expectError(try place.run("evaluate", "kid", "--real", a, "--fake", a, "--bootstrap", "1"), 64, "--bootstrap 1")
    expectError(try place.run("evaluate", "is", "--fake", a, "--probabilities"), 65, "row 0 is no distribution")
    expectError(try place.run("evaluate", "is", "--fake", a, "--parts", "1000"), 64, "1000 parts of 120 pictures")
    try Npy.write([1, .nan, 2, 3], shape: [2, 2], to: place.url("nan.npy"))
    expectError(try place.run("evaluate", "fid", "--real", "nan.npy", "--fake", "nan.npy"), 65, "nan.npy", "row 0, column 1")
    try Npy.write([1, 2, 3], shape: [3], to: place.url("flat.npy"))
    expectError(try place.run("evaluate", "kid", "--real", "flat.npy", "--fake", "flat.npy"), 65, "flat.npy", "a picture a row")
    try Npy.write([1, 2, 3, 5, 8, 9], shape: [2, 3], to: place.url("few.npy"))
    let few = try place.run("evaluate", "fid", "--real", "few.npy", "--fake", "few.npy", "--bootstrap", "0")
    #expect(few.code == 0 && few.errors.contains("warning") && few.errors.contains("2 pictures for 3 features"))
  }
}
