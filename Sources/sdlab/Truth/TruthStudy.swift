import Analysis
import Engine
import Foundation
import Plots
import Training

/// Scenes looked at by a model, and all that was found.
struct TruthStudy {
  static let nouns = Noun.allCases.map(\.rawValue)

  let verb: Truth
  let settings: TruthMaps.Settings
  let source: ModelSource
  let size: MapSize
  let league: League
  /// The choice for the project's own method.
  let layers: OutputLayers
  let shown: [Shown]
  let audits: [Space]
  private(set) var timings: [(part: String, seconds: Double)] = []

  /// A test scene of the gallery.
  struct Shown {
    let prompt: String
    let picture: Picture
    let word: String
    let mask: [Bool]
    let maps: [(name: String, map: [Float], iou: Double)]
  }

  /// What can be read off one space.
  struct Space {
    let name: String
    let audits: [FactorAudit]
    let disentanglement: Disentanglement
  }

  /// The methods of the gallery.
  static let galleryMethods = ["DAAM", "sdlab", "OVAM, whole prompt", "knock-out", "information"]
  private static let galleryRows = 8

  init(_ verb: Truth, _ model: StableDiffusion, _ settings: TruthMaps.Settings) throws {
    self.verb = verb
    self.settings = settings
    source = model.source
    let native = model.nativeSize
    guard native.width == native.height else {
      throw InputError(.usage, "\(source.displayName): its pictures are \(native.width)x\(native.height), scenes are square")
    }
    size = MapSize(height: native.height / model.vae.config.factor, width: native.width / model.vae.config.factor)
    // A schedule or a model that does not fit is said before anything long.
    _ = try NoisedPicture.schedule(of: model)

    var clock = ContinuousClock.now
    func lap() -> Double {
      defer { clock = .now }
      return seconds(.now - clock)
    }
    let (seen, seenLatents) = try Self.scenes(verb.validation, seed: verb.seed &* 2, side: native.width, size, model)
    let (tested, latents) = try Self.scenes(verb.scenes, seed: verb.seed &* 2 &+ 1, side: native.width, size, model)
    timings.append(("drawing and encoding scenes", lap()))

    var bar = ProgressBar("choosing", total: seen.count, quiet: verb.report.quiet)
    var validation: [Explanation: [Localisation]] = [:]
    var candidates: [(maps: TruthMaps, masks: [[Bool]])] = []
    for (i, scene) in seen.enumerated() {
      let maps = try TruthMaps(scene.labelled, latents: seenLatents.slice(i..<i + 1), model, settings)
      candidates.append((maps, scene.labelled.objects.map(\.mask)))
      for (object, found) in zip(scene.labelled.objects, maps.objects) {
        for (name, map) in found { validation[name, default: []].append(Localisation(map, object.mask)) }
      }
      bar.advance()
    }
    let layers = OutputLayers(choosingOn: candidates)
    validation[TruthMaps.own] = candidates.flatMap { maps, masks in zip(layers.maps(maps), masks).map { Localisation($0, $1) } }
    candidates = []
    timings.append(("looking at the scenes to choose on", lap()))

    bar = ProgressBar("scoring", total: tested.count, quiet: verb.report.quiet)
    var test: [Explanation: [Localisation]] = [:]
    var cases: [League.Case] = []
    var kept: [(scene: Int, object: Int, maps: [Explanation: [Float]])] = []
    for (i, scene) in tested.enumerated() {
      let maps = try TruthMaps(scene.labelled, latents: latents.slice(i..<i + 1), model, settings)
      let own = layers.maps(maps)
      for (k, object) in scene.labelled.objects.enumerated() {
        var found = maps.objects[k]
        found[TruthMaps.own] = own[k]
        for (name, map) in found { test[name, default: []].append(Localisation(map, object.mask)) }
        cases.append(.init(picture: i, word: object.word, size: object.size, company: scene.labelled.objects.count))
        if kept.count < Self.galleryRows, i % max(1, tested.count / Self.galleryRows) == 0, k == 0 {
          kept.append((i, cases.count - 1, found))
        }
      }
      bar.advance()
    }
    timings.append(("looking at the scenes to score on", lap()))
    // A word that is absent from one prompt only would make lists of different lengths.
    let complete = test.keys.filter { test[$0]?.count == cases.count && validation[$0] != nil }
    let order = complete.sorted { ($0.kind.rawValue, $0.name) < ($1.kind.rawValue, $1.name) }
    let league = League(
      cases: cases, scores: order.map { ($0, validation[$0] ?? [], test[$0] ?? []) }, seed: verb.seed)
    shown = kept.map { scene, object, maps in
      let labelled = tested[scene].labelled
      return Shown(
        prompt: labelled.prompt, picture: labelled.picture, word: labelled.objects[0].word, mask: labelled.objects[0].mask,
        maps: Self.galleryMethods.compactMap { name in
          let explanation = Explanation(.method, name)
          guard let map = maps[explanation], let entry = league.entry(explanation) else { return nil }
          return (name, map, entry.iou[object])
        })
    }
    self.league = league
    self.layers = layers
    timings.append(("scores and intervals", lap()))
    audits = try Self.audits(
      seen.map(\.scene) + tested.map(\.scene), prompts: (seen + tested).map(\.labelled.prompt), .concatenated([seenLatents, latents]),
      model,
      seed: verb.seed)
    timings.append(("factor audits", lap()))
  }

  /// The project's own method beside DAAM: mean IoU more, on the same objects.
  var lead: MetricEstimate? {
    guard let own = league.entry(TruthMaps.own), let daam = league.entry(TruthMaps.daam) else { return nil }
    return league.difference(own, daam)
  }

  var baseline: League.Standing? { league.standings(.baseline).first }

  var summary: String {
    let top = league.standings(.method).prefix(3).map { "\($0.explanation.name) \(decimal($0.iou.value, 3))" }.joined(separator: ", ")
    return "mean IoU on \(verb.scenes) scenes: \(top); the best that has not looked \(decimal(baseline?.iou.value ?? 0, 3))"
  }

  func evidence() throws -> TruthEvidence {
    TruthEvidence(
      modelSha256: try ModelDigest.of(source, quiet: verb.report.quiet), scenes: verb.scenes, outputLayers: layers.paths,
      baseline: baseline?.iou.value ?? 0,
      methods: league.standings(.method).compactMap { standing in
        guard let entry = league.entry(standing.explanation) else { return nil }
        return TruthEvidence.Method(
          name: standing.explanation.name, iou: standing.iou.value, low: standing.iou.interval?.lowerBound ?? standing.iou.value,
          high: standing.iou.interval?.upperBound ?? standing.iou.value,
          words: league.groups(entry, by: \.word).map { group in
            .init(
              word: group.name, count: group.count, iou: group.iou.value, low: group.iou.interval?.lowerBound ?? group.iou.value,
              high: group.iou.interval?.upperBound ?? group.iou.value, auc: group.auc, inverted: group.inverted)
          })
      })
  }
}

extension TruthStudy {
  private typealias Drawn = (scene: Training.Scene, labelled: LabelledPicture)

  /// Scenes of one series, the first half with one object, the others with two, and their latents. Left out: two things of one noun, which a word
  /// cannot tell apart, and things that hide behind others until fewer than two places are left of them.
  private static func scenes(
    _ count: Int, seed: UInt64, side: Int, _ size: MapSize, _ model: StableDiffusion
  ) throws -> (scenes: [Drawn], latents: Tensor) {
    let renderer = try SceneRenderer(size: side)
    var out: [Drawn] = []
    var latents: [Tensor] = []
    var index = 0
    while out.count < count {
      defer { index += 1 }
      let scene = Training.Scene.sample(seed: seed, index: index, objects: out.count < count / 2 ? 1 : 2)
      guard Set(scene.objects.map(\.noun)).count == scene.objects.count else { continue }
      let drawn = try renderer.render(scene)
      let objects = zip(scene.objects, drawn.masks).map { object, cover in
        LabelledPicture.Object(
          word: object.noun.rawValue, size: object.size.rawValue, mask: LabelledPicture.Object.mask(cover: cover, side: side, size: size))
      }
      guard objects.allSatisfy({ object in (2..<size.count).contains(object.mask.count { $0 }) }) else { continue }
      let labelled = LabelledPicture(prompt: scene.caption(), picture: drawn.picture, objects: objects)
      latents.append(try model.encode(drawn.picture.tensor))
      out.append((scene, labelled))
    }
    return (out, .concatenated(latents))
  }

  private static func audits(
    _ scenes: [Training.Scene], prompts: [String], _ latents: Tensor, _ model: StableDiffusion, seed: UInt64
  ) throws -> [Space] {
    let features = try LatentFeatures.of(latents, prompts: prompts, model: model)
    func classes<T: CaseIterable & RawRepresentable & Equatable>(
      _ name: String, _ value: (Training.Scene) -> T?
    ) -> KnownFactor where T.RawValue == String {
      let all = Array(T.allCases)
      let found = scenes.map { scene in value(scene).flatMap { v in all.firstIndex(of: v) } }
      let members = found.indices.filter { found[$0] != nil }
      return KnownFactor(name, .classes(members.map { found[$0] ?? 0 }, names: all.map(\.rawValue)), members: members)
    }
    func numbers(_ name: String, _ value: (Training.Scene) -> Double) -> KnownFactor { KnownFactor(name, .numbers(scenes.map(value))) }
    let common = [
      classes("setting") { $0.setting }, classes("noun of the first object") { $0.objects[0].noun },
      classes("colour of the first object") { $0.objects[0].colour }, classes("size of the first object") { $0.objects[0].size },
      KnownFactor("number of objects", .classes(scenes.map { $0.objects.count - 1 }, names: ["1", "2"])),
      numbers("x of the first object") { $0.objects[0].x }, numbers("y of the first object") { $0.objects[0].y },
      numbers("radius of the first object") { $0.objects[0].r }, numbers("horizon") { $0.horizon },
    ]
    // A relation that no two scenes have cannot be folded.
    let relation = classes("relation") { $0.relation }
    let all = common + (relation.members.count >= 2 * FactorAudit.folds ? [relation] : [])
    let spaces: [(String, (LatentFeatures) -> [Float])] = [("latents", { $0.latents }), ("h-space", { $0.h })]
    return try spaces.flatMap { name, value -> [Space] in
      let points = try Points(features.map(value), name: name)
      let pca = try PCA(points, components: min(10, min(points.count, points.dimension)))
      let codes = try pca.transform(points)
      let disentanglement = Disentanglement(codes, common)
      return [
        Space(name: name, audits: try all.map { try FactorAudit(points, $0, seed: seed) }, disentanglement: disentanglement),
        Space(
          name: "\(name), first \(codes.dimension) principal components", audits: try all.map { try FactorAudit(codes, $0, seed: seed) },
          disentanglement: disentanglement),
      ]
    }
  }
}
