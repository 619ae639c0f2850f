import Engine
import Foundation
import Testing

/// `sdlab project` as a person calls it.
@Suite struct ProjectTests {
  /// Two groups of 30 points in 5 dimensions, far from each other.
  private static let values: [Float] = {
    var out: [Float] = []
    // Knuth's generator: points that repeat would make clusters of their own.
    var state: UInt64 = 1
    for i in 0..<60 {
      for _ in 0..<5 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        out.append((i % 2 == 0 ? 0 : 50) + Float(state >> 40) / Float(1 << 24))
      }
    }
    return out
  }()

  private func write(_ place: borrowing Workplace, _ name: String = "x.npy") throws {
    try Npy.write(Self.values, shape: [60, 5], to: place.url(name))
  }

  @Test(arguments: ["pca", "tsne", "umap"]) func printsJSONAndWritesTheMap(method: String) throws {
    let place = try Workplace()
    try write(place)
    let result = try place.run(
      "project", "x.npy", "--method", method, "--perplexity", "5", "--neighbours", "6", "--seed", "9", "--output", "y.npy", "--json", "-q")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    #expect(json["n"] as? Int == 60 && json["dimensions"] as? Int == 2 && json["seed"] as? Int == 9)
    #expect(json["method"] as? String == method && json["output"] as? String == "y.npy")
    #expect(try #require(json["seconds"] as? Double) > 0)
    #expect((0.8...1).contains(try #require(json["trustworthiness"] as? Double)))
    #expect((0.8...1).contains(try #require(json["continuity"] as? Double)))
    #expect(try #require(json["kl_divergence"] as? Double) > 0)
    let ratio = json["explained_variance_ratio"] as? [Double]
    #expect((method == "pca") == (ratio?.count == 2))
    if let ratio { #expect(ratio[0] > 0.99 && ratio[0] + ratio[1] <= 1.0001) }
    let map = try Npy.read(place.url("y.npy"))
    #expect(map.shape == [60, 2])
    // The two groups lie on two sides of a line between their centres.
    let y = try map.float32()
    func centre(_ group: Int, _ axis: Int) -> Float {
      var sum: Float = 0
      for i in stride(from: group, to: 60, by: 2) { sum += y[2 * i + axis] }
      return sum / 30
    }
    let (dx, dy) = (centre(1, 0) - centre(0, 0), centre(1, 1) - centre(0, 1))
    let (mx, my) = ((centre(1, 0) + centre(0, 0)) / 2, (centre(1, 1) + centre(0, 1)) / 2)
    for i in 0..<60 { #expect(((y[2 * i] - mx) * dx + (y[2 * i + 1] - my) * dy > 0) == (i % 2 == 1), "\(i)") }
  }

  @Test func aSeedRepeatsTheFile() throws {
    let place = try Workplace()
    try write(place)
    for name in ["a.npy", "b.npy"] {
      #expect(try place.run("project", "x.npy", "--method", "tsne", "--perplexity", "5", "-o", name, "-q").code == 0)
    }
    #expect(try place.run("project", "x.npy", "--method", "tsne", "--perplexity", "5", "-o", "c.npy", "-q", "--seed", "1").code == 0)
    let maps = try ["a.npy", "b.npy", "c.npy"].map { try Data(contentsOf: place.url($0)) }
    #expect(maps[0] == maps[1] && maps[0] != maps[2])
  }

  /// The threads share the work differently; the map is the same to the bit.
  @Test(arguments: ["tsne", "umap"]) func threadsDoNotMatter(method: String) throws {
    let place = try Workplace()
    try write(place)
    for threads in ["1", "2", "5"] {
      let result = try place.run(
        "project", "x.npy", "--method", method, "--perplexity", "5", "-o", "\(threads).npy", "-q", environment: ["SDLAB_THREADS": threads])
      #expect(result.code == 0, "\(result.errors)")
    }
    let maps = try ["1", "2", "5"].map { try Data(contentsOf: place.url("\($0).npy")) }
    #expect(maps[0] == maps[1] && maps[0] == maps[2])
  }

  @Test func textForPeopleAndProgress() throws {
    let place = try Workplace()
    try write(place)
    let result = try place.run("project", "x.npy", "--method", "tsne", "--perplexity", "5")
    #expect(result.code == 0)
    #expect(result.output.contains("trustworthiness") && result.output.contains("60 x 5"))
    #expect(result.errors.contains("t-SNE: 100%|") && result.errors.contains("carry no meaning"))
    #expect(try place.files() == ["x.npy"])
  }

  @Test func arraysByNameAndSeveralFiles() throws {
    let place = try Workplace()
    try write(place)
    let cube = Tensor(Self.values, [60, 1, 1, 5])
    let other = Tensor(Array(Self.values.prefix(20)), [4, 5])
    try Safetensors.write([("latents", cube), ("other", other)], to: place.url("x.safetensors"))
    let named = try place.run("project", "x.safetensors:latents", "x.npy", "--json", "-q")
    #expect(named.code == 0, "\(named.errors)")
    #expect(try named.json()["n"] as? Int == 120)
    expectError(try place.run("project", "x.safetensors"), 64, "holds 2 arrays, which one?", "x.safetensors:NAME", "latents")
    expectError(try place.run("project", "x.safetensors:latent"), 66, "there is no array latent", "latents")
    expectError(try place.run("project", "x.npy:a"), 64, "holds one array without a name")
  }

  @Test func tensorBoard() throws {
    let place = try Workplace()
    try write(place)
    try FileManager.default.createDirectory(at: place.url("board"), withIntermediateDirectories: true)
    let result = try place.run("project", "x.npy", "--dimensions", "3", "--tensorboard", "board", "-q")
    #expect(result.code == 0, "\(result.errors)")
    func lines(_ name: String) throws -> [Substring] {
      try String(contentsOf: place.url("board/\(name)"), encoding: .utf8).split(separator: "\n")
    }
    func widths(_ name: String) throws -> Set<Int> { Set(try lines(name).map { $0.split(separator: "\t").compactMap { Float($0) }.count }) }
    #expect(try lines("vectors.tsv").count == 60 && widths("vectors.tsv") == [5])
    #expect(try lines("map.tsv").count == 60 && widths("map.tsv") == [3])
    let metadata = try lines("metadata.tsv")
    #expect(metadata.count == 61 && metadata[0] == "file\trow" && metadata[60] == "x.npy\t59")
    let config = try String(contentsOf: place.url("board/projector_config.pbtxt"), encoding: .utf8)
    #expect(config.contains("tensor_path: \"vectors.tsv\"") && config.contains("tensor_path: \"map.tsv\"") && !config.contains("sprite"))
    expectError(try place.run("project", "x.npy", "--tensorboard", "board"), 73, "is there already")
  }

  @Test func figuresAndLabels() throws {
    let place = try Workplace()
    try write(place)
    try Data((0..<60).map { $0 % 2 == 0 ? "near\n" : "far\n" }.joined().utf8).write(to: place.url("labels.txt"))
    let result = try place.run("project", "x.npy", "--labels", "labels.txt", "--figure", "map.svg", "-q", "--json")
    #expect(result.code == 0, "\(result.errors)")
    #expect(try result.json()["figure"] as? String == "map.svg")
    // As a text with its letters as shapes: what can be seen is that two groups have two colours.
    let two = try String(contentsOf: place.url("map.svg"), encoding: .utf8)
    #expect(try place.run("project", "x.npy", "--figure", "one.svg", "--colour", "file", "-q").code == 0)
    #expect(try String(contentsOf: place.url("one.svg"), encoding: .utf8) != two)
    #expect(try place.run("project", "x.npy", "--figure", "rows.png", "--colour", "row", "-q").code == 0)
    expectError(
      try place.run("project", "x.npy", "--figure", "a.png", "--colour", "rov"), 64, "the points have no 'rov'", "did you mean row?")
    expectError(try place.run("project", "x.npy", "--figure", "a.gif"), 64, "figures are written as")
    expectError(try place.run("project", "x.npy", "--colour", "row"), 64, "give --figure FILE")
    expectError(try place.run("project", "x.npy", "--site", "latents"), 64, "--site is for runs")
    try Data("one\n".utf8).write(to: place.url("short.txt"))
    expectError(try place.run("project", "x.npy", "--labels", "short.txt"), 65, "1 labels, expected 60")
    #expect(try place.files() == ["labels.txt", "map.svg", "one.svg", "rows.png", "short.txt", "x.npy"])
  }

  /// A captured site of two runs on one map, with its pictures for the projector.
  @Test func runs() throws {
    let place = try Workplace()
    var runs: [String] = []
    for seed in ["1", "2"] {
      let made = try place.run(
        "trace", "a red house", "--steps", "3", "--seed", seed, "--sites", "unet.mid_block.out", "--count", "2", "-q")
      #expect(made.code == 0, "\(made.errors)")
      runs.append(try #require(made.lines.first))
    }
    try FileManager.default.createDirectory(at: place.url("board"), withIntermediateDirectories: true)
    let result = try place.run(
      ["project"] + runs + [
        "--site", "unet.mid_block.out", "--figure", "h.png", "--colour", "step", "--thumbnails", "--tensorboard", "board", "-o", "y.npy",
        "--json", "-q",
      ])
    #expect(result.code == 0, "\(result.errors)")
    // Two runs, three steps, two images, the conditional half.
    #expect(try result.json()["n"] as? Int == 12)
    let metadata = try String(contentsOf: place.url("board/metadata.tsv"), encoding: .utf8).split(separator: "\n").map {
      $0.split(separator: "\t")
    }
    let names = metadata[0].map(String.init)
    func column(_ name: String) throws -> [Substring] {
      let k = try #require(names.firstIndex(of: name)); return metadata.dropFirst().map { $0[k] }
    }
    #expect(try column("step") == ["0", "0", "1", "1", "2", "2", "0", "0", "1", "1", "2", "2"])
    #expect(try column("seed") == ["1", "2", "1", "2", "1", "2", "2", "3", "2", "3", "2", "3"])
    // Seed 2 is the second image of one run and the first of the other: the same picture, the same point.
    let map = try Npy.read(place.url("y.npy")).float32()
    for step in 0..<3 {
      let (a, b) = (2 * step + 1, 6 + 2 * step)
      for k in 0..<2 { #expect(abs(map[2 * a + k] - map[2 * b + k]) < 1e-2 * (1 + abs(map[2 * a + k])), "step \(step)") }
    }
    let sprite = try Picture(url: place.url("board/sprite.png"))
    #expect(sprite.width == 4 * 64 && sprite.height == 4 * 64)
    #expect(try String(contentsOf: place.url("board/projector_config.pbtxt"), encoding: .utf8).contains("single_image_dim: 64"))
    let latents = try place.run("project", runs[0], "--site", "latents", "--at-steps", "1-2", "--json", "-q")
    #expect(try latents.json()["n"] as? Int == 4 && latents.json()["coordinates"] as? Int == 4 * 16 * 16)
    #expect(try place.run("project", runs[0], runs[1], "--json", "-q").json()["n"] as? Int == 4)
    expectError(try place.run("project", runs[0], "--site", "unet.mid_block.ou"), 64, "has not captured", "did you mean unet.mid_block.out")
    expectError(try place.run("project", runs[0], "--site", "unet.mid_block.out", "--rows", "uncond"), 64, "no uncond rows")
    expectError(try place.run("project", runs[0], "--site", "latents", "--at-steps", "7"), 64, "expected 0 to 2")
    expectError(try place.run("project", "runs/nothing"), 66, "runs/nothing")
  }

  @Test func errors() throws {
    let place = try Workplace()
    try write(place)
    try Npy.write([1, 2, .nan, 4], shape: [2, 2], to: place.url("nan.npy"))
    try Npy.write([1, 2, 3, 4], shape: [4], to: place.url("vector.npy"))
    try Npy.write([1, 2, 3, 4], shape: [2, 2], to: place.url("narrow.npy"))
    try Data("x".utf8).write(to: place.url("y.txt"))
    try Data([0x93]).write(to: place.url("short.npy"))
    expectError(try place.run("project", "none.npy"), 66, "none.npy: No such file or directory")
    expectError(try place.run("project", "nan.npy"), 65, "nan.npy: row 1, column 0 is nan, expected finite numbers")
    expectError(try place.run("project", "vector.npy"), 65, "shape [4], expected a matrix")
    expectError(try place.run("project", "short.npy"), 65, "does not start like an .npy file")
    expectError(try place.run("project", "y.txt"), 64, "expected a matrix in an .npy, .npz or .safetensors file")
    expectError(try place.run("project", "x.npy", "narrow.npy"), 65, "narrow.npy: 2 coordinates, expected 5")
    expectError(try place.run("project", "x.npy", "--method", "tsne", "--perplexity", "60"), 64, "60 points are too few for perplexity 60")
    expectError(try place.run("project", "x.npy", "--method", "tsne", "--perplexity", "nan"), 64, "perplexity nan")
    expectError(try place.run("project", "x.npy", "--method", "umap", "--neighbours", "61"), 64, "too few for 61 neighbours")
    expectError(try place.run("project", "x.npy", "--method", "umap", "--min-dist", "2"), 64, "expected 0 to 1")
    expectError(try place.run("project", "x.npy", "--method", "som"), 64, "som")
    expectError(try place.run("project", "x.npy", "--dimensions", "6"), 64, "expected 1 to 5")
    expectError(try place.run("project"), 64, "missing")
    expectError(try place.run("project", "x.npy", "-o", "map.png"), 64, "written as an .npy file")
    expectError(try place.run("project", "x.npy", "-o", "x.npy"), 73, "is there already")
    #expect(try place.run("project", "narrow.npy", "--dimensions", "1", "-o", "x.npy", "-f", "-q").code == 0)
    #expect(try Npy.read(place.url("x.npy")).shape == [2, 1])
  }
}
