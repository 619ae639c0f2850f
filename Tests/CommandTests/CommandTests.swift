import Engine
import Foundation
import Testing

/// Runs the built `sdlab` as a person does, in a folder that goes away afterwards.
struct Workplace: ~Copyable {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-\(UInt64.random(in: 0...UInt64.max))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  struct Result {
    let code: Int32
    let output: String
    let errors: String
    var lines: [String] { output.split(separator: "\n").map(String.init) }
    func json() throws -> [String: Any] { try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]) }
  }

  /// The executable lies beside the test bundle.
  static let executable: URL = {
    var buffer = [CChar](repeating: 0, count: 4096)
    let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let test = URL(fileURLWithPath: String(decoding: buffer[..<max(0, length)].map(UInt8.init(bitPattern:)), as: UTF8.self))
    let beside = test.deletingLastPathComponent().appendingPathComponent("sdlab")
    if FileManager.default.isExecutableFile(atPath: beside.path) { return beside }
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return package.appendingPathComponent(".build/release/sdlab")
  }()

  func start(_ arguments: [String], output: Any? = nil, errors: Any? = nil, environment: [String: String] = [:]) throws -> Process {
    let process = Process()
    process.executableURL = Self.executable
    process.arguments = arguments
    process.currentDirectoryURL = folder
    var all = ProcessInfo.processInfo.environment
    all["XDG_CACHE_HOME"] = folder.appendingPathComponent("cache").path
    all["SDLAB_LOG"] = folder.appendingPathComponent("cache/log.jsonl").path
    all["SDLAB_RESOURCES"] = try Resources.embeddedModel().deletingLastPathComponent().path
    process.environment = all.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output ?? FileHandle.nullDevice
    process.standardError = errors ?? FileHandle.nullDevice
    try process.run()
    return process
  }

  func run(_ arguments: String..., environment: [String: String] = [:]) throws -> Result {
    try run(arguments, environment: environment)
  }

  func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Result {
    // Files, not pipes: nothing can fill up.
    let out = folder.appendingPathComponent(".stdout")
    let err = folder.appendingPathComponent(".stderr")
    for url in [out, err] { try Data().write(to: url) }
    let process = try start(
      arguments, output: FileHandle(forWritingTo: out), errors: FileHandle(forWritingTo: err), environment: environment)
    process.waitUntilExit()
    let result = Result(
      code: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus,
      output: try String(contentsOf: out, encoding: .utf8), errors: try String(contentsOf: err, encoding: .utf8))
    for url in [out, err] { try FileManager.default.removeItem(at: url) }
    return result
  }

  func url(_ name: String) -> URL { folder.appendingPathComponent(name) }

  /// Names in the folder but for the cache.
  func files() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0 != "cache" }.sorted() }
}

/// An error is one line and perhaps a hint.
func expectError(_ result: Workplace.Result, _ code: Int32, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(result.code == code, "\(result.errors)", sourceLocation: sourceLocation)
  #expect(result.output.isEmpty, sourceLocation: sourceLocation)
  let lines = result.errors.split(separator: "\n")
  #expect(lines.first?.hasPrefix("sdlab: error: ") == true, "\(result.errors)", sourceLocation: sourceLocation)
  #expect(lines.count == 1 || (lines.count == 2 && lines[1].hasPrefix("hint: ")), "\(result.errors)", sourceLocation: sourceLocation)
  for word in words { #expect(result.errors.contains(word), "\(result.errors)", sourceLocation: sourceLocation) }
}

@Suite struct GenerateTests {
  @Test func writesAPictureWithItsParameters() throws {
    let place = try Workplace()
    let result = try place.run("generate", "a red house, at night!", "--steps", "2")
    #expect(result.code == 0, "\(result.errors)")
    #expect(result.lines == ["a-red-house-at-night-42.png"])
    #expect(try place.files() == ["a-red-house-at-night-42.png"])
    // No terminal: a line a tenth, at most.
    #expect(result.errors.split(separator: "\n").count == 2 && result.errors.contains("sampling: 100%|"))
    let url = place.url("a-red-house-at-night-42.png")
    let picture = try Picture(url: url)
    #expect(picture.width == 64 && picture.height == 64)
    let metadata = try ImageMetadata.read(url: url)
    #expect(metadata.text("parameters")?.hasPrefix("a red house, at night!\nSteps: 2, Sampler: DDPM") == true)
    #expect(metadata.xmp?.contains("trainedAlgorithmicMedia") == true)
    guard case .sdlab(let parameters) = try metadata.origin(name: "x") else {
      Issue.record("no sdlab record")
      return
    }
    #expect(parameters.prompt == "a red house, at night!" && parameters.seed == 42 && parameters.guidance == 8)
    #expect(parameters.model.name == "embedded" && parameters.model.sha256?.count == 64)
  }

  @Test func severalPicturesHaveTheirSeedsInTheirNames() throws {
    let place = try Workplace()
    let result = try place.run(
      "generate", "a blue boat", "--steps", "2", "--count", "3", "--batch", "2", "--seed", "7", "-o", "boat.png", "--latents-out",
      "boat.safetensors", "-q", "--json")
    #expect(result.code == 0 && result.errors.isEmpty, "\(result.errors)")
    let json = try result.json()
    let images = try #require(json["images"] as? [[String: Any]])
    #expect(images.map { $0["path"] as? String } == ["boat-7.png", "boat-8.png", "boat-9.png"])
    #expect(images.map { $0["seed"] as? Int } == [7, 8, 9])
    let (all, sampling) = (try #require(json["seconds"] as? Double), try #require(json["seconds_sampling"] as? Double))
    #expect(sampling > 0 && sampling < all, "the steps are a part of the whole, which decoding belongs to as well")
    let start = try #require(json["seconds_before_first_step"] as? Double)
    #expect(start > 0 && start < 3600, "from the start of this process, not of the machine")
    #expect(try place.files() == ["boat-7.png", "boat-8.png", "boat-9.png", "boat.safetensors"])
    let stored = try #require(try Safetensors.read(place.url("boat.safetensors")).tensors.first)
    #expect(stored.name == "latents" && stored.dtype == .float32 && stored.shape == [3, 4, 16, 16])
    // The same noise alone: equal but for rounding.
    #expect(try place.run("generate", "a blue boat", "--steps", "2", "--seed", "8", "-o", "alone.png", "-q").code == 0)
    let (a, b) = (try Picture(url: place.url("boat-8.png")), try Picture(url: place.url("alone.png")))
    #expect(zip(a.pixels, b.pixels).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
  }

  @Test func startsFromPicturesMasksAndLatents() throws {
    let place = try Workplace()
    #expect(try place.run("generate", "a house", "--steps", "2", "-o", "first.png", "-q").code == 0)
    let large = try Picture(url: place.url("first.png")).resized(width: 70, height: 101)
    try large.writePNG(to: place.url("large.png"))
    try Picture(width: 8, height: 8, colour: (255, 255, 255)).writePNG(to: place.url("white.png"))
    #expect(
      try place.run("generate", "a tree", "--steps", "4", "--init-image", "large.png", "--strength", "0.5", "-o", "image.png", "-q").code
        == 0)
    let picture = try Picture(url: place.url("image.png"))
    #expect(picture.width == 68 && picture.height == 100)
    #expect(
      try place.run(
        "generate", "a tree", "--steps", "2", "--init-image", "large.png", "--mask", "white.png", "-W", "64", "-H", "64", "-o", "mask.png",
        "-q"
      )
      .code == 0)
    #expect(try Picture(url: place.url("mask.png")).width == 64)
    // What was drawn from seed 42, given as a file, makes the same picture.
    var random = TorchRandom(seed: 42)
    try Safetensors.write([("latents", random.normal(nhwc: [1, 16, 16, 4]).nchw())], to: place.url("noise.safetensors"))
    #expect(
      try place.run("generate", "a house", "--steps", "2", "--init-latents", "noise.safetensors", "--sampler", "ddim", "-o", "a.png", "-q")
        .code == 0)
    #expect(try place.run("generate", "a house", "--steps", "2", "--sampler", "ddim", "-o", "b.png", "-q").code == 0)
    #expect(try Picture(url: place.url("a.png")) == Picture(url: place.url("b.png")))
  }

  @Test func dryRunWritesNothing() throws {
    let place = try Workplace()
    let result = try place.run("generate", "a house", "--dry-run", "--json", "--steps", "10", "--count", "2")
    let estimate = try #require(try result.json()["estimate"] as? [String: Any])
    #expect(estimate["passes"] as? Int == 10 && estimate["rows"] as? Int == 4)
    #expect((estimate["flops"] as? Double ?? 0) > 1e9)
    #expect(try place.files().isEmpty)
    #expect(try place.run("generate", "a house", "--dry-run").output.contains("would write"))
  }
}

@Suite struct OtherVerbsTests {
  @Test func tokenizePrintsPaddedIds() throws {
    let place = try Workplace()
    let json = try place.run("tokenize", "a red house", "--json").json()
    let ids = try #require(json["ids"] as? [Int])
    #expect(ids.count == 32 && ids.prefix(5) == [678, 320, 563, 590, 679])
    #expect((json["tokens"] as? [String])?.prefix(4) == ["<|startoftext|>", "a</w>", "red</w>", "house</w>"])
    let words = try #require(json["words"] as? [[String: Any]])
    #expect(words.map { $0["text"] as? String } == ["a", "red", "house"])
    #expect(words.map { $0["positions"] as? [Int] } == [[1], [2], [3]])
    let long = String(repeating: "red house ", count: 40)
    let cut = try place.run("tokenize", long, "--json")
    #expect(cut.code == 0 && cut.errors.contains("warning"))
    #expect((try place.run("tokenize", long, "--json", "--long-prompt", "chunk").json()["ids"] as? [Int])?.count == 96)
  }

  @Test func encodeAndDecodeGoThereAndBack() throws {
    let place = try Workplace()
    #expect(
      try place.run(
        "generate", "a red house", "--sampler", "dpmpp-2m", "--steps", "20", "-o", "a.png", "--latents-out", "a.safetensors", "-q"
      ).code == 0)
    // The same latents through the same decoder, with the same record.
    #expect(try place.run("decode", "a.safetensors", "-o", "b.png", "-q").lines == ["b.png"])
    #expect(try Data(contentsOf: place.url("a.png")) == Data(contentsOf: place.url("b.png")))
    let encoded = try place.run("encode", "a.png", "--latents-out", "c.safetensors", "--json").json()
    #expect(encoded["shape"] as? [Int] == [1, 4, 16, 16])
    #expect(try place.run("decode", "c.safetensors", "-q").lines == ["c.png"])
    let (a, c) = (try Picture(url: place.url("a.png")), try Picture(url: place.url("c.png")))
    let error = zip(a.pixels, c.pixels).map { abs(Double($0) - Double($1)) }.reduce(0, +) / Double(a.pixels.count)
    #expect(error < 8)
    #expect(try ImageMetadata.read(url: place.url("c.png")).xmp != nil)
    #expect(try place.run("encode", "a.png", "--sample", "--seed", "1", "--latents-out", "d.safetensors").code == 0)
    #expect(try Data(contentsOf: place.url("c.safetensors")) != Data(contentsOf: place.url("d.safetensors")))
  }

  @Test func inspectTellsOfModelsAndPictures() throws {
    let place = try Workplace()
    let json = try place.run("inspect", "--json", "--modules", "--sites").json()
    let networks = try #require(json["networks"] as? [[String: Any]])
    #expect(networks.map { $0["parameters"] as? Int } == [686_208, 8_788_228, 1_524_703])
    #expect(
      (json["sites"] as? [[String: Any]])?.contains {
        $0["path"] as? String == "unet.mid_block.attentions.0.transformer_blocks.0.attn2.probs"
      } == true)
    #expect((json["modules"] as? [[String: Any]])?.first { $0["path"] as? String == "unet" }?["parameters"] as? Int == 8_788_228)
    #expect(try place.run("inspect").output.contains("8,788,228"))
    #expect(try place.run("inspect", "--modules").output.contains("weight [64, 4, 3, 3] F16"))
    #expect(try place.run("inspect", "--sites").output.contains("unet.conv_in"))
    try Picture(width: 3, height: 2, colour: (1, 2, 3)).writePNG(to: place.url("plain.png"))
    let image = try place.run("inspect", "plain.png", "--json").json()
    #expect(image["kind"] as? String == "image" && image["width"] as? Int == 3)
  }

  @Test func sheetOfPromptsAndSeeds() throws {
    let place = try Workplace()
    let result = try place.run("sheet", "a red house", "a blue boat", "--seeds", "2", "--steps", "2", "-q")
    #expect(result.lines == ["sheet-42.png"], "\(result.errors)")
    #expect(try Picture(url: place.url("sheet-42.png")).width > 300)
    let json = try place.run("sheet", "a tree", "--seeds", "1", "--steps", "1", "-o", "b.png", "--json").json()
    #expect(json["sheet"] as? String == "b.png")
  }
}

@Suite struct RerunTests {
  @Test func makesTheSamePictureAgain() throws {
    let place = try Workplace()
    #expect(
      try place.run(
        "generate", "a (red:1.3) house", "--emphasis", "a1111", "--steps", "3", "--count", "3", "--seed", "5", "-o", "a.png", "-q"
      ).code == 0)
    let result = try place.run("rerun", "a-6.png", "-o", "again.png")
    #expect(result.code == 0 && result.errors.contains("the same picture, pixel for pixel"), "\(result.errors)")
    #expect(try Data(contentsOf: place.url("a-6.png")) == Data(contentsOf: place.url("again.png")))
    #expect(try place.run("rerun", "a-6.png", "--dry-run", "--json").json()["files"] as? [String] == ["a-6-rerun.png"])
  }

  @Test func refusesOtherInputsAndModels() throws {
    let place = try Workplace()
    let first = Picture(width: 64, height: 64, colour: (200, 20, 20))
    try first.writePNG(to: place.url("in.png"))
    #expect(try place.run("generate", "a tree", "--steps", "2", "--init-image", "in.png", "-o", "a.png", "-q").code == 0)
    #expect(try place.run("rerun", "a.png", "-q").lines == ["a-rerun.png"])
    try Picture(width: 64, height: 64, colour: (0, 20, 20)).writePNG(to: place.url("in.png"))
    expectError(try place.run("rerun", "a.png", "-f"), 65, "in.png", "another file", "--init-image")
    try first.writePNG(to: place.url("moved.png"))
    #expect(try place.run("rerun", "a.png", "-f", "-q", "--init-image", "moved.png").code == 0)

    // The same model but for one byte of its weights.
    let other = place.url("other")
    try FileManager.default.copyItem(at: Resources.embeddedModel(), to: other)
    let weights = other.appendingPathComponent("unet/diffusion_pytorch_model.safetensors")
    var bytes = try Data(contentsOf: weights)
    bytes[bytes.count - 2] ^= 1
    try bytes.write(to: weights)
    expectError(try place.run("rerun", "a.png", "-f", "--init-image", "moved.png", "--model", "other"), 65, "another model", "--model")
    expectError(try place.run("rerun", "in.png"), 65, "does not say")
  }

  @Test func followsA1111AsFarAsItGoes() throws {
    let place = try Workplace()
    var metadata = PictureMetadata()
    try metadata.add(
      "a red house\nNegative prompt: night\nSteps: 3, Sampler: Euler, Schedule type: Uniform, CFG scale: 5, Seed: 9, Size: 64x64, RNG: CPU, Version: v1.10.1",
      keyword: "parameters")
    try Picture(width: 64, height: 64, colour: (0, 0, 0)).writePNG(to: place.url("theirs.png"), metadata: metadata)
    expectError(try place.run("rerun", "theirs.png"), 64, "--model")
    let model = try Resources.embeddedModel().path
    let json = try place.run("rerun", "theirs.png", "--model", model, "-q", "--json").json()
    let parameters = try #require(json["parameters"] as? [String: Any])
    #expect(parameters["sampler"] as? String == "euler" && parameters["seed"] as? Int == 9 && parameters["emphasis"] as? String == "a1111")
    #expect(
      try place.run(
        "generate", "a red house", "--negative", "night", "--steps", "3", "--sampler", "euler", "--guidance", "5", "--seed", "9", "-o",
        "ours.png", "-q"
      ).code == 0)
    #expect(try Picture(url: place.url("ours.png")) == Picture(url: place.url("theirs-rerun.png")))
  }
}

@Suite struct ErrorTests {
  @Test func usageIs64() throws {
    let place = try Workplace()
    expectError(try place.run("generate", "x", "--stepz", "3"), 64, "--steps")
    expectError(try place.run("generate"), 64)
    expectError(try place.run("generate", "x", "--sampler", "nope"), 64, "euler-a")
    expectError(try place.run("paint", "x"), 64)
    expectError(try place.run("generate", "x", "--width", "63"), 64, "the nearest is 64")
    expectError(try place.run("generate", "x", "--width", "-9223372036854775808"), 64)
    expectError(try place.run("generate", "x", "--steps", "0"), 64, "1 to 1000")
    expectError(try place.run("generate", "x", "--guidance", "nan"), 64)
    expectError(try place.run("generate", "x", "--count", "0"), 64)
    expectError(try place.run("generate", "x", "--batch", "0"), 64)
    expectError(try place.run("generate", "x", "--mask", "a.png"), 64, "--init-image")
    expectError(try place.run("generate", "x", "--sampler", "ddim", "--karras"), 64, "Karras")
    expectError(try place.run("generate", "x", "-o", "x.jpg"), 64, "PNG")
    expectError(try place.run("generate", "x", "-o", "x.png", "--latents-out", "x.png"), 64, "x.png")
    #expect(try place.files().isEmpty)
  }

  @Test func badDataIs65AndMissingIs66() throws {
    let place = try Workplace()
    try Data("not a picture".utf8).write(to: place.url("bad.png"))
    try Data([0, 1, 2]).write(to: place.url("bad.safetensors"))
    try Safetensors.write([("other", Tensor.zeros([1, 4, 2, 2]))], to: place.url("other.safetensors"))
    try Safetensors.write([("latents", Tensor.zeros([1, 7, 2, 2]))], to: place.url("seven.safetensors"))
    expectError(try place.run("generate", "x", "--init-image", "bad.png"), 65, "bad.png")
    expectError(try place.run("decode", "bad.safetensors"), 65, "bad.safetensors")
    expectError(try place.run("decode", "other.safetensors"), 65, "latents")
    expectError(try place.run("decode", "seven.safetensors"), 65, "7 channels")
    expectError(try place.run("generate", "x", "--model", "bad.safetensors"), 65)
    expectError(try place.run("generate", "x", "--model", "no/such-model"), 66)
    expectError(try place.run("inspect", "nothing.here"), 66)
    expectError(try place.run("encode", "nothing.png"), 66)
    expectError(try place.run("rerun", "nothing.png"), 66)
    expectError(try place.run("tokenize", "x", environment: ["SDLAB_RESOURCES": "/nonexistent"]), 66, "SDLAB_RESOURCES")
  }

  @Test func nothingIsOverwrittenUnasked() throws {
    let place = try Workplace()
    try Data("mine".utf8).write(to: place.url("x-42.png"))
    try Data("mine".utf8).write(to: place.url("l.safetensors"))
    expectError(try place.run("generate", "x", "--steps", "1"), 73, "x-42.png", "-f")
    expectError(try place.run("generate", "x", "--steps", "1", "-o", "new.png", "--latents-out", "l.safetensors"), 73, "l.safetensors")
    #expect(try Data(contentsOf: place.url("x-42.png")) == Data("mine".utf8))
    #expect(try place.run("generate", "x", "--steps", "1", "-f", "-q").code == 0)
    #expect(try Picture(url: place.url("x-42.png")).width == 64)
    expectError(try place.run("generate", "x", "-o", "no/such/folder/x.png"), 73, "mkdir")
    #expect(try place.files() == ["l.safetensors", "x-42.png"])
  }

  @Test func aFullDiskLeavesNothing() throws {
    let place = try Workplace()
    expectError(try place.run("generate", "x", "--steps", "1", "-q", "-o", "/dev/full"), 73, "No space left")
    let kind = try FileManager.default.attributesOfItem(atPath: "/dev/full")[.type] as? FileAttributeType
    #expect(kind == .typeCharacterSpecial)
    let full = try #require(FileHandle(forWritingAtPath: "/dev/full"))
    let process = try place.start(["tokenize", "x"], output: full)
    process.waitUntilExit()
    #expect(process.terminationStatus == 73)
    #expect(try place.files().isEmpty)
  }

  @Test func aReaderThatHasGoneIsNoError() throws {
    let place = try Workplace()
    let pipe = Pipe()
    try pipe.fileHandleForReading.close()
    let process = try place.start(["inspect", "--sites"], output: pipe.fileHandleForWriting)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 0)
  }

  @Test(arguments: [SIGINT, SIGTERM]) func interruptionStopsAtOnce(signal: Int32) throws {
    let place = try Workplace()
    let process = try place.start([
      "generate", "x", "-W", "512", "-H", "512", "--steps", "500", "-o", "x.png", "--latents-out", "x.safetensors",
    ])
    Thread.sleep(forTimeInterval: 1)
    let start = ContinuousClock.now
    kill(process.processIdentifier, signal)
    // Should it not stop, the test shall.
    let deadline = ContinuousClock.now + .seconds(20)
    while process.isRunning, ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.01) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 128 + signal)
    #expect(ContinuousClock.now - start < .seconds(5))
    #expect(try place.files().isEmpty)
  }

  @Test func helpAndVersionGoToStandardOutput() throws {
    let place = try Workplace()
    for arguments in [["--help"], ["generate", "--help"], ["help", "rerun"], ["--version"], []] {
      let process = try place.start(arguments)
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
    }
    #expect(try place.run("--version").output == "0.1.0\n")
    #expect(try place.run("generate", "--help").output.contains("USAGE: sdlab generate"))
  }
}
