import Engine
import Foundation
import TestSupport
import Testing

@testable import Training

/// The 1,024 reference scenes, drawn by the specification in Python: drawn anew from their factors, they come out the same.
@Suite struct SceneReferenceTests {
  private struct Reference {
    let scenes: [Scene]
    let captions: [String]
    let sheet: Picture
    let masks: Picture

    init() throws {
      let folder = try Resources.url("scenes-reference")
      let lines = try String(contentsOf: folder.appendingPathComponent("scenes.jsonl"), encoding: .utf8).split(separator: "\n")
      scenes = try lines.enumerated().map { try Scene(json: $1, place: "line \($0 + 1)") }
      struct Line: Decodable { let caption: String }
      captions = try lines.map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)).caption }
      sheet = try Picture(url: folder.appendingPathComponent("scenes.png"))
      masks = try Picture(url: folder.appendingPathComponent("scenes_masks.png"))
    }

    /// Red, green, blue of tile `index`.
    static func tile(_ sheet: Picture, _ index: Int) -> [UInt8] {
      let (left, top) = (index % 32 * 64, index / 32 * 64)
      var out: [UInt8] = []
      for y in top..<top + 64 {
        let start = 3 * (y * sheet.width + left)
        out += sheet.pixels[start..<start + 3 * 64]
      }
      return out
    }
  }

  @Test func pixelsAndMasks() throws {
    let reference = try Reference()
    #expect(reference.scenes.count == 1024)
    for (i, scene) in reference.scenes.enumerated() {
      let drawn = try scene.rendered()
      let expected = Reference.tile(reference.sheet, i)
      let largest = zip(drawn.picture.pixels, expected).map { abs(Int($0) - Int($1)) }.max() ?? 255
      #expect(largest <= 1, "scene \(i), \(scene.setting), \(scene.objects.map(\.noun))")
      let mask = Reference.tile(reference.masks, i)
      #expect(drawn.labels == stride(from: 0, to: 3 * 4096, by: 3).map { mask[$0] / 100 }, "scene \(i)")
    }
  }

  /// Whoever draws a little wrong is found: one seed, one jitter, one order of drawing, one turn.
  @Test func sabotage() throws {
    let reference = try Reference()
    func difference(_ change: (inout Scene) -> Bool) throws -> Int {
      var largest = 0
      for (i, original) in reference.scenes.enumerated() {
        var scene = original
        guard change(&scene) else { continue }
        let drawn = try scene.render()
        let expected = Reference.tile(reference.sheet, i)
        largest = zip(drawn.pixels, expected).map { abs(Int($0) - Int($1)) }.max() ?? 0
        break
      }
      return largest
    }
    #expect(
      try difference {
        $0.bgseed += 1
        return $0.setting == .night
      } > 20)
    #expect(
      try difference {
        $0.objects[0].jit.swapAt(0, 2)
        return $0.objects[0].noun == .circle && $0.objects[0].colour != .white
      } > 1)
    #expect(
      try difference {
        $0.objects[0].rot = -$0.objects[0].rot
        return $0.objects[0].noun == .square
      } > 20)
    #expect(
      try difference {
        $0.objects[0].flip.toggle()
        return $0.objects[0].noun == .fish
      } > 20)
  }

  @Test func captionsAreOfTheGrammar() throws {
    let reference = try Reference()
    for (scene, caption) in zip(reference.scenes, reference.captions) where scene.objects.count == 1 {
      #expect(scene.captions[caption] != nil, "\(caption)")
    }
    let pair = try #require(reference.scenes.indices.first { reference.scenes[$0].relation == .above })
    #expect(reference.scenes[pair].captions[reference.captions[pair]] != nil)
    #expect(reference.scenes[pair].captions[reference.captions[pair].replacingOccurrences(of: "above", with: "below")] == nil)
  }

  @Test func linesGoThereAndBack() throws {
    let reference = try Reference()
    for scene in reference.scenes.prefix(50) {
      let text = String(decoding: try JSONEncoder().encode(scene), as: UTF8.self)
      #expect(try Scene(json: text, place: "here") == scene)
    }
  }
}
