import Foundation
import TestSupport
import Testing

@testable import Engine

/// Networks that look at pictures, against transformers', diffusers' and torch-fidelity's (Tests/Goldens/make/extractors.py).
@Suite struct ExtractorTests {
  static let folder = Golden.folder.appendingPathComponent("extractors")
  static let bar = 1e-4

  /// The pictures of the golden's script.
  static func picture(_ width: Int, _ height: Int, _ shift: Int = 0) -> Picture {
    var pixels: [UInt8] = []
    for y in 0..<height {
      for x in 0..<width { for c in 0..<3 { pixels.append(UInt8((x * 7 + y * 13 + c * 29 + x * y / 5 + shift) % 256)) } }
    }
    return Picture(width: width, height: height, pixels: pixels)
  }
  static let pictures = [(31, 23), (20, 20), (17, 40)].enumerated().map { picture($1.0, $1.1, $0) }
  static let prompts = ["a red house", "", "a blue boat on the sea at night"]

  @Test func clip() throws {
    let golden = try Golden("extractors/clip.safetensors")
    let clip = try CLIP(Self.folder.appendingPathComponent("clip").path)
    let pixels = clip.preprocessing(Self.pictures)
    #expect(relativeError(pixels, try golden.nhwc("pixels")) < 1e-6)
    let vision = try clip.vision(pixels)
    #expect(relativeError(vision.lastHiddenState, try golden.tensor("vision.last")) < Self.bar)
    #expect(relativeError(vision.pooled, try golden.tensor("vision.pooled")) < Self.bar)
    #expect(relativeError(try clip.text.pooled(golden.integers("ids")), try golden.tensor("text.pooled")) < Self.bar)
    #expect(relativeError(try clip.embeddings(Self.pictures), try golden.tensor("images")) < Self.bar)
    #expect(relativeError(try clip.embeddings(Self.prompts), try golden.tensor("texts")) < Self.bar)
    // A batch is its pictures: the second alone is what it was among the others.
    #expect(relativeError(try clip.embeddings([Self.pictures[1]]), try golden.tensor("images").slice(1..<2)) < Self.bar)
  }

  /// Old configs name token 2 as the end: there the highest id counts.
  @Test func endOfText() throws {
    let clip = try CLIP(Self.folder.appendingPathComponent("clip").path)
    let ids = try Golden("extractors/clip.safetensors").integers("ids")
    var config = clip.text.config
    config.eosTokenID = 2
    let store = WeightStore(inMemory: try Self.tensors("clip/model.safetensors"))
    let old = CLIPText(store["text_model"], config)
    #expect(relativeError(try old.pooled(ids), try clip.text.pooled(ids)) == 0)
  }

  static func tensors(_ file: String) throws -> [String: Tensor] {
    let stored = try Safetensors.read(folder.appendingPathComponent(file)).tensors
    return Dictionary(uniqueKeysWithValues: try stored.filter { $0.name != "logit_scale" }.map { ($0.name, try $0.float32()) })
  }

  @Test func refusals() throws {
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-clip-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: place) }
    try FileManager.default.copyItem(at: Self.folder.appendingPathComponent("clip"), to: place)
    expectRefusal(["a Stable Diffusion folder has the text tower alone"]) {
      _ = try CLIP(Golden.folder.appendingPathComponent("tiny/v1/text_encoder").path)
    }
    expectRefusal(["config.json is missing"], .missing) { _ = try CLIP(Golden.folder.appendingPathComponent("tiny/v1").path) }
    try Data(#"{"size": 20, "crop_size": 21}"#.utf8).write(to: place.appendingPathComponent("preprocessor_config.json"))
    expectRefusal(["crop_size: expected 20, the side of the pictures that the network sees"]) { _ = try CLIP(place.path) }
    #expect(try SafetyChecker(model: place) == nil)
  }

  @Test func safetyChecker() throws {
    struct Expected: Decodable {
      let special: [[Double]]
      let concepts: [[Double]]
      let flagged: [Bool]
    }
    let expected = try Golden.json("extractors/checked.json", as: Expected.self)
    let checker = try #require(try SafetyChecker(model: Self.folder.appendingPathComponent("checked")))
    let pictures = [(31, 23), (20, 20), (17, 40), (25, 25)].enumerated().map { Self.picture($1.0, $1.1, 40 * $0) }
    let verdicts = try checker.check(pictures)
    #expect(verdicts.map(\.isFlagged) == expected.flagged)
    // Rounded to 3 digits: the last may differ.
    for (verdict, (special, concepts)) in zip(verdicts, zip(expected.special, expected.concepts)) {
      #expect(zip(verdict.specialScores, special).allSatisfy { abs($0 - $1) < 0.0011 }, "\(verdict.specialScores), not \(special)")
      #expect(zip(verdict.conceptScores, concepts).allSatisfy { abs($0 - $1) < 0.0011 }, "\(verdict.conceptScores), not \(concepts)")
      #expect(verdict.specialScores.count == 3 && verdict.conceptScores.count == 17)
    }
  }

  /// The tensors of pytorch-fid's file, drawn as the golden's script draws them: each from its own seed.
  static func inceptionWeights() throws -> [String: Tensor] {
    struct Layout: Decodable {
      let tensors: [Entry]
      struct Entry: Decodable {
        let name: String
        let shape: [Int]
      }
    }
    var out: [String: Tensor] = [:]
    for (seed, entry) in try Golden.json("extractors/inception.json", as: Layout.self).tensors.enumerated() where !entry.shape.isEmpty {
      let (name, count) = (entry.name, entry.shape.reduce(1, *))
      var random = TorchRandom(seed: UInt64(seed))
      let drawn = random.normal(count: count)
      let values: [Float] =
        if name.hasSuffix("conv.weight") {
          drawn.map { $0 * Float((2 / Double(count / entry.shape[0])).squareRoot()) }
        } else if name.hasSuffix("running_var") {
          drawn.map { 1 + 0.1 * abs($0) }
        } else if name.hasSuffix("bn.weight") {
          drawn.map { 1 + 0.1 * $0 }
        } else if name == "fc.weight" {
          drawn.map { $0 / Float(2048).squareRoot() }
        } else {
          drawn.map { 0.1 * $0 }
        }
      out["inception." + name] = Tensor(values, Shape(entry.shape))
    }
    return out
  }

  @Test func inception() throws {
    let golden = try Golden("extractors/inception.safetensors")
    let network = try InceptionV3(WeightStore(inMemory: Self.inceptionWeights()))
    let pixels = Tensor(
      [Self.picture(299, 299), Self.picture(299, 299, 101)].flatMap { $0.pixels.map(Float.init) }, [2, 299, 299, 3])
    let output = network(pixels)
    #expect(relativeError(output.features, try golden.tensor("features")) < 1e-3)
    #expect(relativeError(output.logits, try golden.tensor("logits")) < 1e-3)
    // Two pictures that differ, not one answer twice.
    #expect(relativeError(output.features.slice(0..<1), output.features.slice(1..<2)) > 0.005)
    // At the network's own size nothing is resized.
    #expect(network([Self.picture(299, 299)]).features.array == network(pixels.slice(0..<1)).features.array)
    expectRefusal(["471 tensors are not as the config says"]) { _ = try InceptionV3(WeightStore(inMemory: [:])) }
  }

  @Test func bicubic() throws {
    let golden = try Golden("extractors/inception.safetensors")
    #expect(largestDifference(Self.picture(41, 30).bicubic(width: 26, height: 52).array, try golden.tensor("resized").array) < 1e-4)
    #expect(largestDifference(Self.picture(12, 90).bicubic(width: 30, height: 21).array, try golden.tensor("resizedTall").array) < 1e-4)
  }
}
