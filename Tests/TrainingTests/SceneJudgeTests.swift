import Engine
import Foundation
import TestSupport
import Testing

@testable import Training

@Suite struct SceneJudgeTests {
  private static let small = SceneJudge.config(width: 8)

  private static func drawn(_ config: SegmentationNetConfig, seed: UInt64 = 1) -> Parameters {
    SegmentationNet.parameters(config).initialised(seed: seed)
  }

  /// - Parameter shift: pictures show the scene so many places further, which is none of what they are asked for.
  private static func scores(_ judge: SceneJudge, count: Int, seed: UInt64, shift: Int = 0) throws -> SceneTable {
    var table = SceneTable()
    let scenes = (0..<count).map { Scene.balanced(seed: seed, index: $0) }
    let pictures = Tensor.concatenated(try scenes.map { try $0.render(size: 64).tensor })
    let judged = judge.judgements(of: pictures)
    for (i, scene) in scenes.enumerated() { table.add(judged[(i + shift) % count], asked: scene) }
    return table
  }

  /// The judge that comes with the program is nearly always right about drawn scenes. Asked whether they show other scenes, it answers at chance; and one that has learnt
  /// nothing knows neither settings nor what is there and what is not.
  @Test func trainedAndUntrained() throws {
    let judge = try SceneJudge.embedded()
    let right = try Self.scores(judge, count: 200, seed: 77)
    let others = try Self.scores(judge, count: 200, seed: 77, shift: 4)
    let none = try Self.scores(SceneJudge(Self.drawn(judge.config), judge.config), count: 200, seed: 77)
    for group in SceneTable.Group.allCases {
      for question in [SceneScores.Question.noun, .colour, .setting] {
        #expect((right[group, question].value ?? 0) >= 0.94, "\(group.words) \(question.rawValue)")
        // A sixteenth of nouns, of both of two far less; a fifth of settings.
        #expect((others[group, question].value ?? 1) < 0.35, "\(group.words) \(question.rawValue)")
      }
      #expect((right[group, .exactly].value ?? 0) >= 0.85)
      #expect((none[group, .exactly].value ?? 1) < 0.1 && (none[group, .setting].value ?? 1) < 0.4)
    }
    let pairs = SceneTable.Group(objects: 2, isHeldOut: false)
    #expect((right[pairs, .relation].value ?? 0) > 0.9 && (others[pairs, .relation].value ?? 1) < 0.2)
  }

  /// Two copies in a picture that was asked for one, seen by the judge itself.
  @Test func copiesAreSeen() throws {
    let judge = try SceneJudge.embedded()
    var (one, two) = (SceneScores(), SceneScores())
    for pair in Scene.copies(48, seed: 18) {
      var single = pair
      single.objects.removeLast()
      single.relation = nil
      one.add(judge.judgements(of: try single.render(size: 64).tensor)[0], asked: single)
      two.add(judge.judgements(of: try pair.render(size: 64).tensor)[0], asked: single)
    }
    #expect((one.counts[.exactly]?.value ?? 0) > 0.85 && (two.counts[.exactly]?.value ?? 1) < 0.25)
    #expect((two.counts[.noun]?.value ?? 0) > 0.9)
  }

  @Test func featuresAndLogits() throws {
    let judge = try SceneJudge.embedded()
    let scenes = (0..<40).map { Scene.sample(seed: 3, index: $0, objects: 1) }
    let pictures = Tensor.concatenated(try scenes.map { try $0.render(size: 64).tensor })
    let features = judge.features(of: pictures)
    #expect(features.shape == [40, 4 * judge.config.width] && features.array.allSatisfy(\.isFinite))
    // Batches do not matter.
    #expect(largestDifference(judge.features(of: pictures.slice(35..<36)), features.slice(35..<36)) < 1e-4)
    let logits = judge.logits(of: pictures)
    #expect(logits.shape == [40, 16])
    let right = scenes.indices.filter { i in
      let row = logits.slice(i..<i + 1).array
      return Noun.allCases[row.indices.max { row[$0] < row[$1] } ?? 0] == scenes[i].objects[0].noun
    }
    #expect(right.count >= 39)
  }

  /// Written and read again, whole and rounded; other folders are refused.
  @Test func filesAndRefusals() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let weights = Self.drawn(Self.small)
    let picture = try Scene.sample(seed: 1, index: 1).render(size: 64).tensor
    let before = SceneJudge(weights, Self.small).features(of: picture)
    try SceneJudge.write(weights, Self.small, half: false, to: folder)
    let same = try SceneJudge(folder: folder)
    #expect(same.config == Self.small && same.features(of: picture).array == before.array)
    try SceneJudge.write(weights, Self.small, half: true, to: folder)
    let rounded = try SceneJudge(folder: folder).features(of: picture)
    #expect(rounded.array != before.array && largestDifference(rounded, before) < 1e-2)
    func refused(_ words: String) {
      #expect { try SceneJudge(folder: folder) } throws: { "\($0)".contains(words) }
    }
    let config = folder.appendingPathComponent(SceneJudge.configFile)
    let text = try String(contentsOf: config, encoding: .utf8)
    for (old, new, words) in [
      ("SceneJudge", "UNet", "_class_name"), ("\"cat\"", "\"dog\"", "nouns"), ("\"width\": 8", "\"width\": 16", "tensors are not as"),
    ] {
      try Data(text.replacingOccurrences(of: old, with: new).utf8).write(to: config)
      refused(words)
    }
    try FileManager.default.removeItem(at: config)
    refused("no such file")
  }

  /// Labels lie where the things are, examples are a function of their step, and some steps of training bring the loss down.
  @Test func training() throws {
    let vae = try StableDiffusion().vae
    let objective = JudgeObjective(Self.small, vae: vae, seed: 5)
    let (a, again, next) = (
      try objective.examples(step: 2, batch: 6), try objective.examples(step: 2, batch: 6), try objective.examples(step: 3, batch: 6)
    )
    #expect(a.pictures.array == again.pictures.array && a.nouns == again.nouns && a.pictures.array != next.pictures.array)
    // Half of the pictures have been through the autoencoder, the others are the same as without it.
    func rows(decoded: Double) throws -> [[Float]] {
      let pictures = try JudgeObjective(Self.small, .init(decoded: decoded), vae: vae, seed: 5).examples(step: 0, batch: 24).pictures
      return (0..<24).map { pictures.slice($0..<$0 + 1).array }
    }
    let (none, half, all) = (try rows(decoded: 0), try rows(decoded: 0.5), try rows(decoded: 1))
    #expect(zip(none, all).allSatisfy { $0 != $1 })
    let (drawn, back) = (zip(half, none).count { $0 == $1 }, zip(half, all).count { $0 == $1 })
    #expect(drawn + back == 24 && (6...18).contains(back), "\(drawn), \(back)")
    for i in 0..<6 {
      let scene = Scene.sample(seed: 5, index: 12 + i, heldOut: .allowed)
      let cells = Set(a.nouns[i * 1024..<(i + 1) * 1024])
      let expected = Set([0] + scene.objects.map { (Noun.allCases.firstIndex(of: $0.noun) ?? -1) + 1 })
      #expect(cells == expected)
      #expect(Judgement.Backdrop.all[a.backdrops[i]].setting == scene.setting)
      let object = scene.objects[scene.objects.count - 1]
      if object.noun != .moon, scene.objects.count == 1 {
        let cell = i * 1024 + Int(object.y / 2) * 32 + Int(object.x / 2)
        #expect(ObjectColour.allCases[a.colours[cell] - 1] == object.colour)
      }
    }
    var trainer = Trainer(Self.drawn(Self.small), TrainerSettings(steps: 40, batch: 8, rate: 5e-3, warmUp: 5))
    var losses: [Double] = []
    while !trainer.isDone { losses.append(try trainer.advance { try objective.loss($0, step: $1, batch: 8) }.loss) }
    let (first, last) = (losses.prefix(5).reduce(0, +), losses.suffix(5).reduce(0, +))
    #expect(last < 0.8 * first, "\(losses)")
  }
}

extension Scene {
  /// Two of the same noun and colour, far enough from each other to be told apart.
  static func copies(_ count: Int, seed: UInt64) -> [Scene] {
    var found: [Scene] = []
    for i in 0..<100 * count where found.count < count {
      let noun = Noun.allCases[found.count % Noun.allCases.count]
      let pair = Scene.sample(seed: seed, index: i, showing: [(noun, .blue), (noun, .blue)])
      let (a, b) = (pair.objects[0], pair.objects[1])
      let (dx, dy) = (b.x - a.x, b.y - a.y)
      if (dx * dx + dy * dy).squareRoot() > 1.3 * (a.r + b.r) { found.append(pair) }
    }
    return found
  }
}
