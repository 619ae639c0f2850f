import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

/// Scores against known masks, the maps that are scored, and what has been planted so that the right answer is known.
@Suite struct TruthTests {
  private struct Case: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let prompt: String
    let word: String
    let timesteps: [Int]
    let seed: UInt64
    let layers: [String]
    var testDescription: String { name }
  }
  private struct Cases: Decodable { let cases: [Case] }
  private static let cases = (try? Golden.json("truth/cases.json", as: Cases.self).cases) ?? []

  /// Where words are written, and what they change, against torch and diffusers.
  @Test(arguments: cases) private func mapsAsTorch(_ c: Case) throws {
    let golden = try Golden("truth/maps.safetensors")
    let model = try HeatmapTests.model.get()
    let latents = try golden.nhwc("\(c.name):latents")
    let size = MapSize(height: latents.shape[1], width: latents.shape[2])
    let prompt = try model.tokenize(c.prompt)
    let text = try model.embedding(prompt)
    let places = try prompt.positions(of: c.word).flatMap { $0 }.map(\.index)
    let recorder = OutputMapsRecorder(levels: model.unet.config.blockOutChannels.count, latents: size)
    try NoisedPicture.pass(model, latents: latents, text: text, timesteps: c.timesteps, seed: c.seed, probes: recorder.probes(model))
    #expect(recorder.level.count <= 1024)
    func maps(_ refinement: Float, _ isWanted: ((AttentionPlace, MapSize) -> Bool)? = nil) throws -> [Float] {
      let maps = try OutputMaps(recorder, image: 0, where: isWanted, refinement: refinement)
      return try TokenMaps(size: maps.size, tokens: maps.tokens, values: maps.maps).word(c.word, places).values
    }
    let some: (AttentionPlace, MapSize) -> Bool = { place, _ in c.layers.contains { place.path.hasPrefix("unet.\($0)") } }
    for (name, found) in [("all", try maps(0.5)), ("some", try maps(0.5, some)), ("unrefined", try maps(0, some))] {
      let expected = try golden.values("\(c.name):\(name)").map(Double.init)
      #expect(relativeError(found, expected) < 1e-3, "\(name)")
    }
    // What must not go unseen.
    let unrefined = try golden.values("\(c.name):unrefined").map(Double.init)
    #expect(relativeError(try maps(0.5, some), unrefined) > 1e-2)

    let t = try #require(c.timesteps.last)
    let schedule = try NoisedPicture.schedule(of: model)
    var random = TorchRandom(seed: c.seed)
    let noisy = try NoisedPicture.noised(latents, random.normal(nhwc: latents.shape), timestep: t, schedule)
    let padding = try model.embedding(model.tokenize(""))
    let without = WordKnockOut.replaced(text, rows: places, length: prompt.length, padding: padding)
    let change = try #require(try WordChange.of(model, noisy: noisy, timestep: Double(t), text: text, without: [without]).first)
    #expect(relativeError(change.knockOut, try golden.values("\(c.name):knockout").map(Double.init)) < 1e-3)
    #expect(relativeError(change.gradient, try golden.values("\(c.name):gradient").map(Double.init)) < 5e-3)
    let activation = try #require(
      try GradCAM.maps(
        model, noisy: noisy, timestep: Double(t), text: text, without: [without], site: "unet.up_blocks.1.resnets.1.out"
      ).first)
    let expected = try golden.values("\(c.name):gradcam").map(Double.init)
    #expect(relativeError(activation.values, expected) < 1e-3 && activation.values.max() ?? 0 > 0)
  }

  /// Shares of words against torch's autograd; completeness; a region counts alone.
  @Test func attributionAsTorch() throws {
    let golden = try Golden("truth/maps.safetensors")
    let model = try HeatmapTests.model.get()
    let latents = try golden.nhwc("picture:latents")
    let (h, w) = (latents.shape[1], latents.shape[2])
    let text = try model.embedding(model.tokenize("a red circle on a green meadow"))
    let empty = try model.embedding(model.tokenize(""))
    let region = (0..<h * w).map { (4..<12).contains($0 / w) && (2..<10).contains($0 % w) ? Float(1) : 0 }
    func found(_ method: WordAttribution.Method, points: Int = 4, _ region: [Float]) throws -> WordAttribution {
      try WordAttribution(
        model, latents: latents, text: text, baseline: empty, region: region, timesteps: [200, 500], method: method, points: points, seed: 9
      )
    }
    let totals = try golden.values("attribution:totals").map(Double.init)
    for method in WordAttribution.Method.allCases {
      let own = try found(method, region)
      let expected = try golden.values("attribution:\(method.rawValue)").map(Double.init)
      #expect(relativeError(own.values.flatMap { $0 }.map { Float($0) }, expected) < 1e-3, "\(method)")
      #expect(relativeError(own.totals.map { Float($0) }, totals) < 1e-3)
    }
    // More points, nearer to the whole.
    let (few, many) = (try found(.integrated, points: 2, region), try found(.integrated, points: 32, region))
    #expect(abs(many.completeness - 1) < 0.02 && abs(many.completeness - 1) < abs(few.completeness - 1))
    // Twice the weight, the same shares; another region, others.
    let twice = try found(.integrated, region.map { 2 * $0 })
    let once = try found(.integrated, region)
    #expect(zip(twice.shares, once.shares).allSatisfy { abs($0 - $1) < 1e-4 })
    let other = try found(.integrated, region.map { 1 - $0 })
    #expect(zip(other.shares, once.shares).contains { abs($0 - $1) > 0.01 })
    // The beginning is the same in both prompts: it has no share.
    #expect(once.shares[0] == 0)
  }

  private struct Scored: Decodable {
    let kind: String
    let map: [Float]
    let mask: [Int]
    let iou: [Double]
    let auc: Double
    let pointing: Double
    let mass: Double
  }
  private struct ScoredCases: Decodable { let cases: [Scored] }

  @Test func scoresAsScikitLearn() throws {
    let cases = try Golden.json("truth/localisation.json", as: ScoredCases.self).cases
    #expect(cases.count == 6)
    for c in cases {
      let found = Localisation(c.map, c.mask.map { $0 == 1 })
      #expect(zip(found.iou, c.iou).allSatisfy { abs($0 - $1) < 1e-12 }, "\(c.kind)")
      #expect(abs(found.auc - c.auc) < 1e-12 && abs(found.pointing - c.pointing) < 1e-12 && abs(found.mass - c.mass) < 1e-6, "\(c.kind)")
    }
  }

  private struct Codes: Decodable {
    let codes: [Float]
    let dimension: Int
    let colour: [Int]
    let place: [Double]
    let mixed: [Int]
    let information: [Double]
    let mig: Double
    let disentanglement: Double
    let completeness: Double
  }

  @Test func disentanglementAsScikitLearn() throws {
    let c = try Golden.json("truth/disentanglement.json", as: Codes.self)
    let points = try Points(c.codes, count: c.colour.count, dimension: c.dimension)
    let factors = [
      KnownFactor("colour", .classes(c.colour, names: ["a", "b", "c"])), KnownFactor("place", .numbers(c.place)),
      KnownFactor("mixed", .classes(c.mixed, names: ["no", "yes"])),
    ]
    let found = Disentanglement(points, factors)
    #expect(zip(found.information.flatMap { $0 }, c.information).allSatisfy { abs($0 - $1) < 1e-9 })
    #expect(abs(found.mig - c.mig) < 1e-9)
    #expect(abs(found.disentanglement - c.disentanglement) < 1e-9 && abs(found.completeness - c.completeness) < 1e-9)
    // Turned by 45 degrees, no code stands for one factor any more.
    let turned = try Points(
      (0..<points.count).flatMap { i -> [Float] in
        let p = Array(points[i])
        return [p[0] + p[1], p[0] - p[1], p[2] + p[4], p[2] - p[4], p[3]]
      }, count: points.count, dimension: 5)
    #expect(Disentanglement(turned, factors).mig < found.mig / 2)
  }

  /// A factor that lies on a line is read off, one that has nothing to do with the points is not.
  @Test func audits() throws {
    var random = TorchRandom(seed: 3)
    let values = random.normal(count: 300 * 12)
    let points = try Points(values, count: 300, dimension: 12)
    let line = (0..<300).map { i in Double(points[i].prefix(3).reduce(0, +)) }
    let noise = random.normal(count: 300).map(Double.init)
    let read = try FactorAudit(points, KnownFactor("line", .numbers(line)))
    #expect(read.score > 0.95 && !read.isAccuracy && read.shuffled < 0.1 && read.count == 300)
    #expect(try FactorAudit(points, KnownFactor("noise", .numbers(noise))).score < 0.1)
    let classes = line.map { $0 < -0.8 ? 0 : $0 < 0.8 ? 1 : 2 }
    let told = try FactorAudit(points, KnownFactor("class", .classes(classes, names: ["l", "m", "h"])))
    #expect(told.isAccuracy && told.score > told.chance + 0.2 && told.shuffled < told.chance + 0.1)
    // Of the points that have it only.
    let some = (0..<300).filter { $0 % 3 == 0 }
    let part = try FactorAudit(points, KnownFactor("line", .numbers(some.map { line[$0] }), members: some))
    #expect(part.count == 100 && part.score > 0.8)
  }

  /// A disc somewhere in 16x16 places.
  private func disc(_ i: Int) -> [Bool] {
    let (x, y) = (4 + i * 5 % 9, 4 + i * 7 % 9)
    return (0..<256).map { p in (p % 16 - x) * (p % 16 - x) + (p / 16 - y) * (p / 16 - y) <= 9 }
  }

  /// One head that looks at the mask among many that look anywhere: it comes first with nearly 1, the others stay where blind maps are.
  @Test func plantedHead() throws {
    let model = try HeatmapTests.model.get()
    let size = MapSize(height: 16, width: 16)
    let sites = model.sites.filter { $0.path.hasSuffix(".attn2.probs") && $0.path.hasPrefix("unet.") && !$0.path.contains("mid_block") }
    let planted = try #require(sites.last)
    let (heads, tokens, word) = (4, 8, 3)
    var random = TorchRandom(seed: 9)
    func scores(_ from: Int) throws -> [Explanation: [Localisation]] {
      var out: [Explanation: [Localisation]] = [:]
      for i in from..<from + 12 {
        let mask = disc(i)
        let recorder = CrossAttentionRecorder(levels: 3, latents: size)
        for site in sites {
          let pixels = site == planted ? 256 : 64
          var p = random.uniform(count: heads * pixels * tokens).map { 0.2 * $0 }
          if site == planted { for k in 0..<256 where mask[k] { p[(2 * 256 + k) * tokens + word] = 0.8 } }
          try recorder.record(
            site, Moment(step: 0, timestep: 300, rows: [RowLabel(image: 0, half: .cond)]), Tensor(p, [1, heads, pixels, tokens]))
        }
        var maps = TruthMaps.inside(recorder, [word], size)
        for (name, map) in TruthMaps.blind(size, seed: UInt64(i)) { maps[Explanation(.baseline, name)] = map }
        for (name, map) in maps { out[name, default: []].append(Localisation(map, mask)) }
      }
      return out
    }
    let (validation, test) = (try scores(0), try scores(12))
    let league = League(
      cases: (0..<12).map { League.Case(picture: $0, word: "disc", size: "small", company: 1) },
      scores: test.map { ($0.key, validation[$0.key] ?? [], $0.value) })
    let ranked = league.standings(.head)
    let name = try #require(AttentionPlace(planted)).shortName + " head 2"
    #expect(ranked[0].explanation.name == name && ranked[0].iou.value > 0.99 && ranked[0].auc.value > 0.999 && ranked[0].inverted == 0)
    let blind = try #require(league.standings(.baseline).first).iou.value
    #expect(ranked[1].iou.value < blind + 0.1, "\(ranked[1].explanation.name): \(ranked[1].iou.value), blind \(blind)")
    // The lead over the second is sure, and that of a method over itself is nothing.
    let (first, second) = (try #require(league.entry(ranked[0].explanation)), try #require(league.entry(ranked[1].explanation)))
    #expect(try #require(league.difference(first, second).interval).lowerBound > 0.4)
    #expect(league.difference(first, first).value == 0)
  }

  /// An inverted map overlaps with nothing and is called inverted.
  @Test func inverted() {
    let mask = disc(1)
    let right = Localisation(mask.map { $0 ? 1 : 0 }, mask)
    #expect(right.iou.allSatisfy { $0 == 1 } && right.auc == 1 && right.pointing == 1 && right.mass == 1)
    let wrong = Localisation(mask.map { $0 ? 0 : 1 }, mask)
    #expect(wrong.iou.allSatisfy { $0 == 0 } && wrong.auc == 0 && wrong.pointing == 0 && wrong.mass == 0)
  }

  @Test func masksFromCover() {
    var cover = [UInt8](repeating: 0, count: 16)
    for i in [0, 1, 4] { cover[i] = 255 }
    cover[10] = 255
    let mask = LabelledPicture.Object.mask(cover: cover, side: 4, size: MapSize(height: 2, width: 2))
    #expect(mask == [true, false, false, false])
  }

  /// The layers that know are found, and no others are added.
  @Test func layersAreChosen() throws {
    let model = try HeatmapTests.model.get()
    // Real maps of a few scenes, of the reference set's pictures without masks: a mask that is the map of one layer must lead to that layer alone.
    let latents = try Golden("truth/maps.safetensors").nhwc("picture:latents")
    let picture = LabelledPicture(
      prompt: "a red circle on a green meadow", picture: Picture(width: 1, height: 1, pixels: [0, 0, 0]),
      objects: [.init(word: "circle", size: "medium", mask: disc(0))])
    let maps = try TruthMaps(picture, latents: latents, model, .init(timesteps: [300], informationSamples: 0, absent: ["tree", "circle"]))
    #expect(maps.objects.count == 1 && maps.objects[0][Explanation(.baseline, "absent word")] != nil)
    for layer in [0, 4] {
      let known = maps.written(layers: [layer], refinement: OutputMaps.refinement)[0]
      // Half the way from the lowest to the highest value, one of the places where maps are cut.
      let (low, high) = try (#require(known.min()), #require(known.max()))
      let choice = OutputLayers(choosingOn: [(maps, [known.map { Double($0) - Double(low) > (Double(high) - Double(low)) * 0.5 }])])
      #expect(choice.paths == [maps.outputLayers[layer].path] && choice.iou == 1)
    }
  }
}
