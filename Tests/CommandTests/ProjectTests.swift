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
    let vectors = try String(contentsOf: place.url("board/vectors.tsv"), encoding: .utf8).split(separator: "\n")
    let metadata = try String(contentsOf: place.url("board/metadata.tsv"), encoding: .utf8).split(separator: "\n")
    #expect(vectors.count == 60 && vectors.allSatisfy { $0.split(separator: "\t").compactMap { Float($0) }.count == 3 })
    #expect(metadata.count == 61 && metadata[0] == "file\trow" && metadata[60] == "x.npy\t59")
    expectError(try place.run("project", "x.npy", "--tensorboard", "board"), 73, "is there already")
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
