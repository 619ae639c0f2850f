import Engine
import Foundation
import Testing

@testable import Training

/// A text encoder that learns to tell where things stand.
@Suite struct RelationTests {
  private static let model = Result { try StableDiffusion() }

  private func caption(_ text: String) throws -> RelationCaption { RelationCaption(try Self.model.get().tokenize(text)) }

  private func words(_ text: String) throws -> (relation: Relation, first: String, words: String, second: String)? {
    let model = try Self.model.get()
    let caption = try caption(text)
    guard let told = caption.told else { return nil }
    func spelled(_ range: Range<Int>) -> String {
      range.map { (model.tokenizer.token(caption.ids[$0]) ?? "").replacing("</w>", with: "") }.joined(separator: " ")
    }
    return (told.relation, spelled(told.first..<told.first + 1), spelled(told.words), spelled(told.second))
  }

  @Test func whichTokens() throws {
    let a = try #require(try words("a small yellow star to the left of an orange heart at night"))
    #expect(a == (.left, "star", "to the left of", "an orange heart"))
    let b = try #require(try words("in a meadow, red car under large blue house"))
    #expect(b == (.below, "car", "under", "large blue house"))
    let c = try #require(try words("a picture of a cat over a tree on a plain pink background"))
    #expect(c == (.above, "cat", "over", "a tree"))
    for text in ["a red house in the snow", "a cat and a dog", "a cat next to a tree", "a cat beside a green tree by the sea", ""] {
      #expect(try words(text) == nil, "\(text)")
    }
  }

  /// Every caption that the grammar makes: its relation is found where it is told, and is the scene's.
  @Test func everyCaptionOfTheGrammar() throws {
    var told = 0
    for i in 0..<400 {
      let scene = Scene.sample(seed: 5, index: i, objects: 2)
      let text = scene.caption(variant: i)
      let found = try caption(text).told
      #expect((found != nil) == (scene.told(variant: i).relation && scene.relation?.direction != nil), "\(text)")
      // Which of two of a kind comes first is not seen.
      guard let found, let relation = scene.relation, scene.objects[0].noun != scene.objects[1].noun else { continue }
      told += 1
      let parts = try #require(try words(text))
      // The caption may begin with the scene's second object.
      let isTurned = scene.objects[0].noun.rawValue != parts.first
      #expect(found.relation == (isTurned ? relation.inverse : relation), "\(text)")
      #expect(parts.second.hasSuffix(scene.objects[isTurned ? 0 : 1].noun.rawValue), "\(text)")
    }
    #expect(told > 200)
  }

  private func objective(_ captions: [RelationCaption], strength: Double = 1.5) throws -> RelationObjective {
    try RelationObjective(Self.model.get().text, .init(strength: strength), captions: captions, seed: 42)
  }

  /// What states shall become: the code where something is told, the opposite at the second object, the rest as it is.
  @Test func targets() throws {
    let model = try Self.model.get()
    let captions = try [
      "a star left of a heart", "a star to the right of a heart", "a star above a heart", "a star under a heart", "a red star",
    ].map(caption)
    let objective = try objective(captions)
    let (before, after) = (try model.text(captions.map(\.ids)).lastHiddenState, try objective.targets(captions))
    let (length, width) = (before.shape[1], before.shape[2])
    func state(_ x: Tensor, _ row: Int, _ place: Int) -> [Float] {
      let values = x.array
      return Array(values[(row * length + place) * width..<(row * length + place + 1) * width])
    }
    func moved(_ row: Int, _ place: Int, from other: Int) -> [Float] {
      zip(state(after, row, place), state(before, row, other)).map { $0 - $1 }
    }
    func near(_ a: [Float], _ b: [Float]) -> Bool { zip(a, b).allSatisfy { abs($0 - $1) < 1e-4 } }
    let codes = try (0..<4).map { row in
      let told = try #require(captions[row].told)
      let code = moved(row, told.words.lowerBound, from: told.first)
      for place in told.words { #expect(near(moved(row, place, from: told.first), code)) }
      for place in told.second { #expect(near(moved(row, place, from: place).map { -$0 }, code)) }
      for place in 0..<length where !told.words.contains(place) && !told.second.contains(place) {
        #expect(moved(row, place, from: place).allSatisfy { $0 == 0 })
      }
      return code
    }
    #expect(near(codes[0], codes[1].map { -$0 }) && near(codes[2], codes[3].map { -$0 }))
    func dot(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    #expect(abs(dot(codes[0], codes[2])) < 1e-4 * dot(codes[0], codes[0]), "the two axes are orthogonal")
    #expect(moved(4, 3, from: 3).allSatisfy { $0 == 0 })
  }

  /// Words whose meaning was taken away learn it, and it holds for captions that were not among those of the training.
  @Test func isLearnt() throws {
    let model = try Self.model.get()
    let source = SceneSource(seed: 9, count: 4096, pairs: 0.9)
    func captions(_ range: Range<Int>) throws -> [RelationCaption] { try range.map { try caption(source.caption($0, epoch: 0)) } }
    let unseen = try captions(4000..<4096)
    let tokens = try ["left", "right", "above", "over", "below", "under"].map { try model.tokenize($0).ids[1] }
    let all = try Parameters(model.source.weights).redrawingTokens(Set(tokens), seed: 1)
    let untold = try objective(captions(0..<64)).encoder(all)
    let objective = try RelationObjective(untold, .init(strength: 1.5), captions: captions(0..<64), seed: 42)
    func share(_ encoder: CLIPText) throws -> Double {
      let right = try objective.isRight(encoder, unseen)
      return Double(right.count { $0 }) / Double(right.count)
    }
    let before = try share(untold)
    #expect(before < 0.6, "\(before)")
    var trainer = Trainer(
      Parameters(zip(all.names, all.values).filter { objective.isTrained($0.0) }.map { ($0, $1) }),
      TrainerSettings(steps: 120, batch: 24, rate: 3e-3, warmUp: 10, average: 0))
    var losses: [Double] = []
    while !trainer.isDone {
      losses.append(try trainer.advance { try objective.loss($0, captions($1 * 24..<($1 + 1) * 24)) }.loss)
    }
    #expect(losses[119] < 0.7 * losses[0], "\(losses)")
    #expect(try share(objective.encoder(trainer.parameters)) > 0.8)
  }
}
