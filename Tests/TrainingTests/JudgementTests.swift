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
      // A thing is placed by its centre, and judged by the centre of what is seen of it.
      #expect(counted >= (question == .relation ? 0.9 : 1), "\(question.rawValue) \(counted)")
    }
    #expect(renamed.counts[.exactly]?.hits == 0 && renamed.counts[.colour]?.hits == 0)
    #expect(renamed.counts[.setting] == right.counts[.setting])
    #expect(repainted.counts[.colour]?.hits == 0)
    for question in [SceneScores.Question.noun, .exactly, .relation, .setting] {
      #expect(repainted.counts[question] == right.counts[question])
    }
    #expect((right.counts[.noun]?.total ?? 0) == 200 && (right.counts[.relation]?.total ?? 0) > 20)
  }
}
