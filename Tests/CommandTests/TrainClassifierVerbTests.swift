import Engine
import Foundation
import Testing

/// `sdlab train classifier --data DIR`, and what is done with it.
@Suite struct TrainClassifierVerbTests {
  private static let options = [
    "train", "classifier", "--data", "places", "--width", "8", "--side", "32", "--batch", "8", "--steps", "60", "--rate", "1e-2",
    "--warm-up", "5",
    "--average", "0.9", "--checkpoint", "20", "--validation", "0.2", "-q",
  ]

  /// Scenes in a subfolder for each setting; the classes.
  private static func scenes(_ place: borrowing Workplace, _ count: Int, seed: Int) throws -> [String] {
    struct Line: Decodable {
      let file_name: String
      let setting: String
    }
    #expect(try place.run("scenes", "--count", "\(count)", "--seed", "\(seed)", "--out", "all", "-q").code == 0)
    let text = try String(contentsOf: place.url("all/metadata.jsonl"), encoding: .utf8)
    let lines = try text.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    for line in lines {
      try FileManager.default.createDirectory(at: place.url("places/\(line.setting)"), withIntermediateDirectories: true)
      try FileManager.default.copyItem(at: place.url("all/\(line.file_name)"), to: place.url("places/\(line.setting)/\(line.file_name)"))
    }
    return Set(lines.map(\.setting)).sorted()
  }

  /// Names of the pictures of a folder.
  private static func names(_ place: borrowing Workplace, _ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: place.url(folder).path).filter { $0.hasSuffix(".png") }.sorted()
  }

  /// It learns what is to be learnt, is scored on pictures that it has not seen, goes on to the same bits after a kill, and measures sets of pictures.
  @Test func settingsAreLearnt() throws {
    let place = try Workplace()
    let classes = try Self.scenes(place, 240, seed: 4)
    let plan = try place.run(Self.options + ["--out", "whole", "--dry-run"])
    #expect(plan.code == 0 && plan.output.contains("pictures of \(classes.count) classes"), "\(plan.errors)")
    let whole = try place.run(Self.options + ["--out", "whole", "--json"])
    #expect(whole.code == 0 && whole.errors.isEmpty, "\(whole.errors)")
    let rows = try #require(try whole.json()["accuracy_of_classes"] as? [[String: Any]])
    #expect(rows.map { $0["name"] as? String } == ["all"] + classes)
    let (right, n) = (try #require(rows[0]["right"] as? Int), try #require(rows[0]["n"] as? Int))
    #expect(n >= 24 && Double(right) > 0.6 * Double(n), "\(right) of \(n)")
    let card = try String(contentsOf: place.url("whole/model/README.md"), encoding: .utf8)
    #expect(card.contains("| all | ") && classes.allSatisfy { card.contains("| \($0) | ") })

    try place.killedTraining(Self.options, "killed", after: 30)
    #expect(try place.run(Self.options + ["--out", "killed"]).code == 0)
    func weights(_ folder: String) throws -> Data { try Data(contentsOf: place.url("\(folder)/model/model.safetensors")) }
    #expect(try weights("killed") == weights("whole"))
    let other = try place.run(Self.options + ["--out", "whole", "--flip", "0.5"])
    expectError(other, 64, "its flip is none, not 0.5")

    // Pictures of one class are less various than all of them.
    func score(_ folder: String) throws -> Double {
      let result = try place.run(
        "evaluate", "is", "--fake", folder, "--extractor", "classifier", "--extractor-weights", "whole/model", "--bootstrap", "0", "--json",
        "-q")
      #expect(result.code == 0, "\(result.errors)")
      return try #require(try result.json()["value"] as? Double)
    }
    let (one, all) = (try score("places/night"), try score("all"))
    #expect(one > 0.99 && all > 1.3 * one, "\(one), \(all)")
    let features = try place.run(
      "evaluate", "features", "all", "--extractor", "classifier", "--extractor-weights", "whole/model", "-o", "all.npy", "-q")
    #expect(features.code == 0, "\(features.errors)")
    let damaged = place.url("whole/model/config.json")
    try Data(String(contentsOf: damaged, encoding: .utf8).replacingOccurrences(of: "night", with: "sea").utf8).write(to: damaged)
    expectError(
      try place.run("evaluate", "is", "--fake", "all", "--extractor", "classifier", "--extractor-weights", "whole/model", "-q"), 65,
      "classes")
  }

  /// Classes out of metadata.jsonl, words or numbers.
  @Test func classesOfALineEach() throws {
    let place = try Workplace()
    #expect(try place.run("scenes", "--count", "40", "--seed", "5", "--out", "all", "-q").code == 0)
    let names = try Self.names(place, "all")
    let lines = (0..<40).map { "{\"file_name\": \"\(names[$0])\", \"label\": \($0 % 2 == 0 ? "\"even\"" : "7")}" }
    try Data(lines.joined(separator: "\n").utf8).write(to: place.url("all/metadata.jsonl"))
    let options = [
      "train", "classifier", "--data", "all", "--width", "4", "--side", "16", "--batch", "4", "--steps", "2", "--validation", "0.2", "-q",
    ]
    let result = try place.run(options + ["--out", "two", "--json"])
    #expect(result.code == 0, "\(result.errors)")
    let rows = try #require(try result.json()["accuracy_of_classes"] as? [[String: Any]])
    #expect(rows.map { $0["name"] as? String } == ["all", "7", "even"])
    try Data((lines.dropLast() + ["{\"file_name\": \"\(names[39])\", \"text\": \"x\"}"]).joined(separator: "\n").utf8).write(
      to: place.url("all/metadata.jsonl"))
    let broken = try String(contentsOf: place.url("all/metadata.jsonl"), encoding: .utf8)
    expectError(try place.run(options + ["--out", "three"]), 65, "line 40: expected {\"file_name\": …, \"label\": …}")
    try Data(broken.replacingOccurrences(of: "\"text\": \"x\"", with: "\"label\": \" \"").utf8).write(to: place.url("all/metadata.jsonl"))
    expectError(try place.run(options + ["--out", "three"]), 65, "line 40: the label is empty")
  }

  @Test func mistakesComeBeforeWork() throws {
    let place = try Workplace()
    let folder = place.url("shoes/left shoe")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    #expect(try place.run("scenes", "--count", "12", "--out", "few", "-q").code == 0)
    let names = try Self.names(place, "few")
    for i in 0..<12 { try FileManager.default.copyItem(at: place.url("few/\(names[i])"), to: folder.appendingPathComponent("\(i).png")) }
    func trained(_ arguments: String...) throws -> Workplace.Result {
      try place.run(["train", "classifier", "--data", "shoes", "--out", "x", "-q"] + arguments)
    }
    expectError(try trained(), 65, "all 12 pictures are of one class, left shoe")
    try FileManager.default.createDirectory(at: place.url("shoes/sock"), withIntermediateDirectories: true)
    for i in 6..<12 {
      try FileManager.default.moveItem(at: folder.appendingPathComponent("\(i).png"), to: place.url("shoes/sock/\(i).png"))
    }
    expectError(try trained("--flip", "0.5"), 64, "mirrored, left shoe would be right shoe, which is no class")
    expectError(try trained("--side", "20"), 64, "--side 20")
    expectError(try trained("--validation", "0"), 64, "--validation 0")
    expectError(try trained("--validation", "0.01"), 65, "hint: give more pictures")
    try FileManager.default.copyItem(at: place.url("few/\(names[0])"), to: place.url("shoes/loose.png"))
    expectError(try trained(), 65, "shoes/loose.png: is of no class")
    expectError(try place.run("train", "classifier", "--data", "nowhere", "--out", "x", "-q"), 66, "nowhere")
    expectError(try place.run("train", "classifier", "--flip", "0.5", "--out", "x", "-q"), 64, "--data scenes")
    expectError(try place.run("evaluate", "is", "--fake", "few", "--extractor", "classifier", "-q"), 64, "which one?")
    expectError(
      try place.run("evaluate", "is", "--fake", "few", "--extractor", "classifier", "--extractor-weights", "few", "-q"), 66,
      "few/config.json")
    #expect(!FileManager.default.fileExists(atPath: place.url("x").path))
  }
}
