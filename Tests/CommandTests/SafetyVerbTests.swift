import Engine
import Foundation
import Testing

/// A model folder with a safety checker: scores are kept, and reports hide what is flagged.
@Suite struct SafetyVerbTests {
  private static let goldens = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../Goldens")
    .standardizedFileURL

  /// A tiny model with a tiny checker whose thresholds are all `threshold`: cosines lie in -1...1.
  private static func model(_ place: borrowing Workplace, _ name: String, threshold: Float) throws {
    let manager = FileManager.default
    let folder = place.url(name)
    try manager.copyItem(at: goldens.appendingPathComponent("tiny/v1"), to: folder)
    for part in ["safety_checker", "feature_extractor"] {
      try manager.copyItem(at: goldens.appendingPathComponent("extractors/checked/\(part)"), to: folder.appendingPathComponent(part))
    }
    let file = folder.appendingPathComponent("safety_checker/model.safetensors")
    let tensors = try Safetensors.read(file).tensors.map { stored in
      (
        stored.name,
        Safetensors.Value.tensor(stored.name == "concept_embeds_weights" ? Tensor(repeating: threshold, [17]) : try stored.float32())
      )
    }
    try manager.removeItem(at: file)
    try Safetensors.write(tensors, metadata: ["format": "pt"], to: file)
    try Data("---\nlicense: other\nlicense_name: a-licence\n---\n# A model\n".utf8).write(to: folder.appendingPathComponent("README.md"))
  }

  @Test func flaggedAndNot() throws {
    let place = try Workplace()
    try Self.model(place, "strict", threshold: -2)
    try Self.model(place, "mild", threshold: 2)
    for (name, isFlagged) in [("strict", true), ("mild", false)] {
      let made = try place.run("generate", "a", "-m", name, "--steps", "1", "-o", "\(name).png", "--json")
      #expect(made.code == 0 && made.errors.contains("safety checker flags") == isFlagged, "\(made.errors)")
      let image = try #require((try made.json()["images"] as? [[String: Any]])?.first)
      let safety = try #require(image["safety"] as? [String: Any])
      let scores = try #require(safety["conceptScores"] as? [Double] ?? safety["concept_scores"] as? [Double])
      #expect(scores.count == 17 && scores.allSatisfy { ($0 > 0) == isFlagged })
      // The picture's own record has them, and the picture is made again from it all the same.
      #expect(try place.run("inspect", "\(name).png").output.contains("concept_scores"))
      let again = try place.run("rerun", "\(name).png", "-o", "again-\(name).png", "-q")
      #expect(again.code == 0, "\(again.errors)")
      let traced = try place.run("trace", "a", "-m", name, "--steps", "1", "--runs", "runs-\(name)")
      #expect(traced.code == 0 && traced.errors.contains("safety checker flags") == isFlagged, "\(traced.errors)")
      let run = try #require(traced.lines.last)
      let manifest = try String(contentsOf: place.url("\(run)/manifest.json"), encoding: .utf8)
      #expect(manifest.contains("concept_scores"))
      let report = try place.run("report", run, "--runs", "runs-\(name)", "-o", "\(name).html", "-q")
      #expect(report.code == 0, "\(report.errors)")
      let page = try String(contentsOf: place.url("\(name).html"), encoding: .utf8)
      #expect(page.contains("Show the pictures") == isFlagged && page.contains("id=\"unveil\"") == isFlagged)
    }
    let without = try place.run("generate", "a", "-m", "strict", "--steps", "1", "-o", "c.png", "--no-safety-checker", "--json")
    #expect(without.errors.contains("safety") == false)
    #expect(((try without.json()["images"] as? [[String: Any]])?.first?["safety"]) == nil)
    // Pixels do not depend on whether anybody looked.
    #expect(try Picture(url: place.url("c.png")) == Picture(url: place.url("strict.png")))
    let told = try place.run("inspect", "-m", "strict").output
    #expect(told.contains("a-licence, by") && told.contains("17 concepts"))
    #expect(try place.run("inspect").output.contains("MIT"))
    try FileManager.default.removeItem(at: place.url("mild/safety_checker/model.safetensors"))
    expectError(try place.run("generate", "a", "-m", "mild", "-o", "d.png"), 66, "safety_checker", "no weights")
  }
}
