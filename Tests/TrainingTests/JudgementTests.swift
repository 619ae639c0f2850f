import Foundation
import TestSupport
import Testing

@testable import Training

@Suite struct JudgementTests {
  private struct Judged: Decodable {
    struct Case: Decodable {
      let nouns, colours: [[Float]]
      let backdrops: [Float]
      /// Noun, cells, colour, x, y.
      let parts: [[Double]]
      /// Cells of each part's pieces.
      let pieces: [[Int]]
      let backdrop: Int
      /// First, second, then whether left, right, above and below hold.
      let relations: [[Int]]
    }
    let width: Int
    let cases: [Case]
  }

  private static func golden<T: Decodable>(_ name: String) throws -> T {
    try JSONDecoder().decode(T.self, from: Data(contentsOf: Golden.folder.appendingPathComponent("judge/\(name).json")))
  }

  @Test func partsColoursAndRelationsAreThoseOfPyTorch() throws {
    let golden: Judged = try Self.golden("judgements")
    var relations = 0
    for one in golden.cases {
      let judged = Judgement(
        nouns: one.nouns.map { $0.map { $0 / 8 } }, colours: one.colours.map { $0.map { $0 / 8 } }, backdrops: one.backdrops.map { $0 / 8 },
        width: golden.width)
      #expect(judged.backdrop == Judgement.Backdrop.all[one.backdrop])
      try #require(judged.parts.count == one.parts.count)
      #expect(judged.parts.map(\.pieces) == one.pieces)
      for (part, expected) in zip(judged.parts, one.parts) {
        #expect(part.noun == Noun.allCases[Int(expected[0])] && part.cells == Int(expected[1]))
        #expect(part.colour == ObjectColour.allCases[Int(expected[2])])
        #expect(abs(part.x - expected[3]) < 1e-12 && abs(part.y - expected[4]) < 1e-12)
      }
      for row in one.relations {
        let holds = [Relation.left, .right, .above, .below].map { judged.holds($0, Noun.allCases[row[0]], Noun.allCases[row[1]]) }
        #expect(holds == row[2...].map { $0 == 1 })
        relations += 1
      }
    }
    #expect(relations > 10)
  }

  @Test func intervalsAreThoseOfSciPy() throws {
    let golden: [[Double]] = try Self.golden("intervals")
    for row in golden {
      let interval = try #require(Proportion(Int(row[0]), of: Int(row[1])).interval)
      #expect(abs(interval.lowerBound - row[2]) < 1e-12 && abs(interval.upperBound - row[3]) < 1e-12, "\(row)")
    }
    #expect(Proportion(0, of: 0).interval == nil && Proportion(0, of: 0).value == nil)
  }

  /// The labels of a drawn scene as the maps of a network that makes no mistake.
  private static func perfect(_ scene: Scene, _ change: (Int, Int) -> (Int, Int) = { ($0, $1) }) throws -> Judgement {
    let labels = try scene.rendered(size: 64).labels
    var nouns = [[Float]](repeating: [Float](repeating: 0, count: labels.count), count: Noun.allCases.count + 1)
    var colours = [[Float]](repeating: [Float](repeating: 0, count: labels.count), count: ObjectColour.allCases.count + 1)
    for (i, label) in labels.enumerated() {
      let object = label == 0 ? nil : scene.objects[Int(label) - 1]
      var here = (0, 0)
      if let object {
        here = change(Noun.allCases.firstIndex(of: object.noun)! + 1, ObjectColour.allCases.firstIndex(of: object.colour)! + 1)
      }
      nouns[here.0][i] = 9
      colours[here.1][i] = 9
    }
    let seen = Judgement.Backdrop(setting: scene.setting, plain: scene.setting == .plain ? scene.plain : nil)
    return Judgement(nouns: nouns, colours: colours, backdrops: Judgement.Backdrop.all.map { $0 == seen ? 1 : 0 }, width: 64)
  }

  /// Planted: what is drawn is judged right; with one noun taken for another, or all colours for the next, just those questions are answered wrong.
  @Test func plantedMistakesAreFound() throws {
    let source = SceneSource(seed: 5, count: 200, heldOut: .allowed)
    var (right, renamed, repainted) = (SceneScores(), SceneScores(), SceneScores())
    for scene in (0..<200).map(source.scene) {
      right.add(try Self.perfect(scene), asked: scene)
      renamed.add(try Self.perfect(scene) { noun, colour in (noun % Noun.allCases.count + 1, colour) }, asked: scene)
      repainted.add(try Self.perfect(scene) { noun, colour in (noun, colour % ObjectColour.allCases.count + 1) }, asked: scene)
    }
    for question in SceneScores.Question.allCases {
      let counted = try #require(right.counts[question]?.value)
      // A thing is placed by its centre, and judged by the centre of what is seen of it; one that is hidden in part looks small, two of a noun that touch are one piece.
      let least: Double = [.relation: 0.9, .size: 0.85, .exactly: 0.97, .count: 0.97][question] ?? 1
      #expect(counted >= least, "\(question.rawValue) \(counted)")
    }
    #expect(renamed.counts[.exactly]?.hits == 0 && renamed.counts[.colour]?.hits == 0)
    #expect(renamed.counts[.setting] == right.counts[.setting])
    #expect(repainted.counts[.colour]?.hits == 0)
    for question in [SceneScores.Question.noun, .exactly, .relation, .setting, .size, .count] {
      #expect(repainted.counts[question] == right.counts[question])
    }
    #expect((right.counts[.noun]?.total ?? 0) == 200 && (right.counts[.relation]?.total ?? 0) > 20)
  }

  /// The same pictures asked for the opposite: left and right, above and below are told apart.
  @Test func swappedRelationsAreWrong() throws {
    let source = SceneSource(seed: 6, count: 200, objects: 2)
    var (as_, swapped) = (SceneScores(), SceneScores())
    for scene in (0..<200).map(source.scene) {
      let judged = try Self.perfect(scene)
      var other = scene
      other.relation = scene.relation?.inverse
      as_.add(judged, asked: scene)
      swapped.add(judged, asked: other)
    }
    let asked = try #require(as_.counts[.relation])
    #expect(asked.total > 80 && swapped.counts[.relation]?.total == asked.total)
    #expect((asked.value ?? 0) > 0.9 && (swapped.counts[.relation]?.value ?? 1) < 0.05)
    #expect(as_.counts[.noun] == swapped.counts[.noun])
  }

  /// Two copies of what was asked for once: noun and colour are right, "exactly" and the count are not; nor is one where two were asked for.
  @Test func copiesAreCounted() throws {
    var (right, doubled, missing) = (SceneScores(), SceneScores(), SceneScores())
    for two in Scene.copies(60, seed: 8) {
      var one = two
      one.objects.removeLast()
      one.relation = nil
      let (judgedOne, judgedTwo) = (try Self.perfect(one), try Self.perfect(two))
      right.add(judgedOne, asked: one)
      doubled.add(judgedTwo, asked: one)
      missing.add(judgedOne, asked: two)
    }
    #expect(right.counts[.exactly]?.value == 1 && right.counts[.count]?.value == 1)
    #expect(right.counts[.exactly]?.total == 60 && doubled.counts[.exactly]?.hits == 0 && doubled.counts[.count]?.hits == 0)
    #expect(doubled.counts[.noun]?.value == 1 && doubled.counts[.colour]?.value == 1)
    #expect(missing.counts[.exactly]?.hits == 0 && missing.counts[.count]?.hits == 0 && missing.counts[.noun]?.value == 1)
  }

  /// Two of a noun that touch are two when their colours differ, and cannot be told apart when they do not.
  @Test(arguments: [Noun.square, .cat, .mushroom, .fish]) func touchingThings(_ noun: Noun) throws {
    func pieces(_ colours: [ObjectColour]) throws -> Int? {
      var scene = Scene.sample(seed: 3, index: 1, showing: colours.map { (noun, $0) })
      for i in 0..<2 { (scene.objects[i].x, scene.objects[i].y, scene.objects[i].r, scene.objects[i].rot) = (i == 0 ? 23 : 41, 32, 12, 0) }
      return try Self.perfect(scene).part(noun)?.pieces.count
    }
    #expect(try pieces([.blue, .red]) == 2)
    #expect(try pieces([.blue, .blue]) == 1)
  }

  /// The radius comes out of the area for every noun, from the smallest to the largest, and the middle of every range is of its size.
  @Test(arguments: Noun.allCases) func sizesAreReadOffAreas(_ noun: Noun) throws {
    var scene = Scene.sample(seed: 9, index: 0, showing: [(noun, .red)])
    (scene.objects[0].x, scene.objects[0].y, scene.objects[0].rot) = (32, 32, 0)
    for radius in stride(from: 8.5, through: 26, by: 2.5) {
      scene.objects[0].r = radius
      let area = try scene.rendered(size: 64).labels.filter { $0 > 0 }.count
      #expect(abs(noun.radius(filling: Double(area) / 4096) - radius) < 0.6, "\(radius)")
    }
    for alone in [true, false] {
      for size in ObjectSize.allCases {
        let radii = size.radii(alone: alone)
        #expect(ObjectSize(radius: (radii.lowerBound + radii.upperBound) / 2, alone: alone) == size)
      }
    }
    #expect(ObjectSize(radius: 14, alone: true) == .small && ObjectSize(radius: 14, alone: false) == .large)
  }

  /// What a caption tells is what its words say.
  @Test func toldIsWhatTheWordsSay() throws {
    var open = 0
    for i in 0..<400 {
      let scene = Scene.sample(seed: 10, index: i, heldOut: .allowed)
      if scene.objects.count == 2, scene.objects[0].noun == scene.objects[1].noun { continue }
      let (caption, told) = (" \(scene.caption(variant: 3)) ", scene.told(variant: 3))
      for (k, o) in scene.objects.enumerated() {
        let words = "\(o.colour.rawValue) \(o.noun.rawValue) "
        #expect(caption.contains(words) == told.colours[k], "\(caption)")
        let (bare, full) = (" \(o.size.rawValue) \(o.noun.rawValue) ", " \(o.size.rawValue) \(words)")
        let saysSize = caption.contains(bare) || caption.contains(full)
        #expect(told.sizes[k] == saysSize, "\(caption)")
      }
      let places = ["meadow", "grass", "night", "sea", "beach", "snow", "winter", "desert", " on "]
      #expect(places.contains { caption.contains($0) } == told.setting, "\(caption)")
      let between = ["left of", "right of", "above", "over", "below", "under", "next to", "beside"]
      #expect(between.contains { caption.contains($0) } == told.relation, "\(caption)")
      if told.colours.contains(false) || !told.setting { open += 1 }
      // What is not told is not asked.
      var scores = SceneScores()
      scores.add(try Self.perfect(scene), asked: scene, told: told)
      #expect((scores.counts[.setting] != nil) == told.setting)
      #expect((scores.counts[.size] != nil) == told.sizes.contains(true))
    }
    #expect(open > 30)
  }
}
