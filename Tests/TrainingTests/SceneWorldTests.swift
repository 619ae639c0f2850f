import Engine
import Foundation
import TestSupport
import Testing

@testable import Training

/// The world beside its specification: distributions of all factors, areas and colours, captions.
@Suite struct SceneWorldTests {
  private struct Statistics: Decodable {
    struct Summary: Decodable {
      let n: Int
      let mean: Double
      let sd: Double
    }
    let count: Int
    let counts: [String: [String: Int]]
    let histograms: [String: [Int]]
    let areas: [String: Summary]
    let colours: [String: Summary]
  }

  private static let scenes: [Scene] = (0..<20_000).map { Scene.sample(seed: 11, index: $0) }

  /// Pearson's statistic of two samples, as a multiple of the value that chance exceeds once in a million (Wilson and Hilferty's cube root).
  private static func surprise(_ a: [Int], _ b: [Int]) -> Double {
    let (n, m) = (Double(a.reduce(0, +)), Double(b.reduce(0, +)))
    guard n > 0, m > 0 else { return .infinity }
    var statistic = 0.0
    var cells = 0
    var rest = (0, 0)
    func add(_ x: Int, _ y: Int) {
      let difference = Double(x) * (m / n).squareRoot() - Double(y) * (n / m).squareRoot()
      statistic += difference * difference / Double(x + y)
      cells += 1
    }
    // Cells with few are put together: the approximation does not hold for them.
    for (x, y) in zip(a, b) { if x + y >= 20 { add(x, y) } else { rest = (rest.0 + x, rest.1 + y) } }
    if rest.0 + rest.1 > 0 { add(rest.0, rest.1) }
    let k = Double(max(1, cells - 1))
    let bound = k * pow(1 - 2 / (9 * k) + 4.753 * (2 / (9 * k)).squareRoot(), 3)
    return statistic / bound
  }

  private static func counted(_ scenes: [Scene]) -> (counts: [String: [String: Int]], numbers: [String: [Double]]) {
    var counts: [String: [String: Int]] = [:]
    var numbers: [String: [Double]] = [:]
    func count(_ name: String, _ value: String) { counts[name, default: [:]][value, default: 0] += 1 }
    for scene in scenes {
      let n = scene.objects.count
      count("setting", scene.setting.rawValue)
      count("objects", "\(n)")
      if let plain = scene.plain { count("plain", plain.rawValue) }
      if let relation = scene.relation { count("relation", relation.rawValue) }
      numbers["horizon 35 46", default: []].append(scene.horizon)
      for o in scene.objects {
        count("pair", "\(o.noun.rawValue) \(o.colour.rawValue)")
        count("size", o.size.rawValue)
        count("flip", "\(o.flip)")
        numbers["rot -0.13 0.13", default: []].append(o.rot)
        numbers["jit -0.03 0.03", default: []] += o.jit
        numbers["r \(n) 8 27", default: []].append(o.r)
        numbers["x \(n) 0 64", default: []].append(o.x)
        if n == 1 {
          let home = o.noun.home == .water ? o.noun.rawValue : "\(o.noun.home)"
          let place = scene.setting == .plain || scene.setting == .sea ? scene.setting.rawValue : "land"
          numbers["y \(home) \(place) 0 64", default: []].append(o.y)
        }
      }
      if let relation = scene.relation {
        let (a, b) = (scene.objects[0], scene.objects[1])
        numbers["dx \(relation.rawValue) -48 48", default: []].append(b.x - a.x)
        numbers["dy \(relation.rawValue) -48 48", default: []].append(b.y - a.y)
        count("same noun", "\(a.noun == b.noun)")
      }
    }
    return (counts, numbers)
  }

  private static func histogram(_ values: [Double], _ name: String) -> [Int] {
    let bounds = name.split(separator: " ").suffix(2).compactMap { Double($0) }
    var bins = [Int](repeating: 0, count: 12)
    for v in values { bins[min(11, max(0, Int((v - bounds[0]) / (bounds[1] - bounds[0]) * 12)))] += 1 }
    return bins
  }

  @Test func factorsAreDistributedAsSpecified() throws {
    let expected = try Golden.json("scenes/statistics.json", as: Statistics.self)
    let (counts, numbers) = Self.counted(Self.scenes)
    #expect(Set(counts.keys) == Set(expected.counts.keys) && Set(numbers.keys) == Set(expected.histograms.keys))
    for (name, theirs) in expected.counts {
      let ours = counts[name] ?? [:]
      let keys = Set(ours.keys).union(theirs.keys).sorted()
      #expect(Self.surprise(keys.map { ours[$0] ?? 0 }, keys.map { theirs[$0] ?? 0 }) < 1, "\(name)")
    }
    for (name, theirs) in expected.histograms {
      #expect(Self.surprise(Self.histogram(numbers[name] ?? [], name), theirs) < 1, "\(name)")
    }
  }

  /// The same test sees what is a little wrong: other weights, a mirrored relation, objects of pairs as large as single ones.
  @Test func wrongDistributionsAreSeen() throws {
    let expected = try Golden.json("scenes/statistics.json", as: Statistics.self)
    var random = NumPyRandom(seed: 1)
    let settings = (0..<20_000).map { _ in random.pick(Setting.allCases).rawValue }
    let names = Setting.allCases.map(\.rawValue)
    #expect(
      Self.surprise(names.map { name in settings.filter { $0 == name }.count }, names.map { expected.counts["setting"]?[$0] ?? 0 }) > 2)
    let (_, numbers) = Self.counted(Self.scenes)
    let left = try #require(numbers["dx left -48 48"]).map { -$0 }
    #expect(Self.surprise(Self.histogram(left, "dx left -48 48"), try #require(expected.histograms["dx left -48 48"])) > 2)
    let sky = try #require(numbers["y sky land 0 64"])
    #expect(Self.surprise(Self.histogram(sky, "y ground land 0 64"), try #require(expected.histograms["y ground land 0 64"])) > 2)
  }

  @Test func areasAndColoursAreThoseOfTheSpecification() throws {
    let expected = try Golden.json("scenes/statistics.json", as: Statistics.self)
    let renderer = try SceneRenderer(size: 64)
    var areas: [String: [Double]] = [:]
    var colours: [String: [Double]] = [:]
    for scene in Self.scenes.prefix(4000) {
      let drawn = try renderer.render(scene)
      for (o, mask) in zip(scene.objects, drawn.masks) {
        areas["\(o.noun.rawValue) \(scene.objects.count)", default: []].append(Double(mask.reduce(0) { $0 + Int($1) }) / 255 / (o.r * o.r))
      }
      for (c, name) in ["r", "g", "b"].enumerated() {
        let sum = stride(from: c, to: 3 * 4096, by: 3).reduce(0) { $0 + Int(drawn.picture.pixels[$1]) }
        colours["\(scene.setting.rawValue) \(name)", default: []].append(Double(sum) / 4096)
      }
    }
    for (expected, found) in [(expected.areas, areas), (expected.colours, colours)] {
      #expect(Set(expected.keys) == Set(found.keys))
      for (name, theirs) in expected {
        let ours = found[name] ?? []
        let mean = ours.reduce(0, +) / Double(ours.count)
        let error = theirs.sd * (1 / Double(ours.count) + 1 / Double(theirs.n)).squareRoot()
        #expect(abs(mean - theirs.mean) < 5 * error + 1e-6, "\(name): \(mean), expected \(theirs.mean) ± \(error)")
      }
    }
  }

  @Test func heldOutPairsAppearOnlyWhenAsked() {
    func pairs(_ rule: HeldOut.Rule) -> [Bool] {
      (0..<3000).flatMap { Scene.sample(seed: 5, index: $0, heldOut: rule).objects.map { HeldOut.contains($0.noun, $0.colour) } }
    }
    #expect(!Self.scenes.contains { $0.objects.contains { HeldOut.contains($0.noun, $0.colour) } })
    #expect(pairs(.only).allSatisfy { $0 })
    let share = Double(pairs(.allowed).filter { $0 }.count) / Double(pairs(.allowed).count)
    #expect(abs(share - 1.0 / 9) < 0.02)
    // No two objects of one scene are alike, whatever may appear.
    for i in 0..<2000 {
      let scene = Scene.sample(seed: 6, index: i, objects: 2, heldOut: .only)
      #expect(scene.objects[0].noun != scene.objects[1].noun)
    }
    // One colour a noun, and those that the specification holds out.
    let held = Set(Noun.allCases.map { "\($0) \(HeldOut.colour(of: $0))" })
    #expect(
      held == [
        "circle brown", "square pink", "triangle white", "star green", "heart blue", "tree purple", "house orange", "flower red",
        "boat yellow", "fish pink", "balloon white", "mushroom green", "car purple", "moon red", "cloud orange", "cat blue",
      ])
  }

  // MARK: Captions

  @Test func captionsAreTheGrammarsWithItsProbabilities() throws {
    struct Case: Decodable {
      let scene: Scene
      let captions: [String: Double]
    }
    let cases = try Golden.json("scenes/captions.json", as: [Case].self)
    #expect(cases.count == 4)
    for expected in cases {
      let ours = expected.scene.captions
      #expect(Set(ours.keys) == Set(expected.captions.keys))
      for (text, probability) in expected.captions {
        #expect(abs((ours[text] ?? 0) - probability) < 1e-8, "\(text)")
      }
      // What is drawn is of the grammar, as often as it says.
      var counts: [String: Int] = [:]
      for variant in 0..<20_000 { counts[expected.scene.caption(variant: variant), default: 0] += 1 }
      #expect(Set(counts.keys).isSubset(of: ours.keys))
      let likely = ours.filter { $0.value > 0.002 }
      let statistic = likely.reduce(0) { sum, entry in
        let mean = 20_000 * entry.value
        return sum + pow(Double(counts[entry.key] ?? 0) - mean, 2) / mean
      }
      let k = Double(likely.count)
      #expect(statistic < k + 6 * (2 * k).squareRoot(), "\(statistic) of \(k)")
    }
  }

  // MARK: Reproducibility

  @Test func numbersAreNumPys() {
    for (seed, units, integers, last) in NumPyGolden.draws {
      var random = NumPyRandom(words: seed)
      #expect([random.unit(), random.unit()] == units)
      #expect((0..<3).map { _ in random.below(10) } == integers)
      #expect(random.unit() == last)
    }
  }

  @Test func sameSeedSameScene() throws {
    for i in [0, 1, 999_999] {
      let scene = Scene.sample(seed: 3, index: i)
      #expect(
        scene == Scene.sample(seed: 3, index: i) && scene != Scene.sample(seed: 4, index: i) && scene != Scene.sample(seed: 3, index: i + 1)
      )
      #expect(scene.caption(variant: 2) == scene.caption(variant: 2))
    }
    // Many threads draw what one draws.
    let scenes = Array(Self.scenes.prefix(64))
    let alone = try scenes.map { try $0.rendered() }
    let together = Results(count: scenes.count)
    DispatchQueue.concurrentPerform(iterations: scenes.count) { i in together.set(i, try? scenes[i].rendered()) }
    #expect(together.all == alone)
    // A canvas that was used before draws as a new one.
    let used = try SceneRenderer(size: 64)
    #expect(try scenes.map { try used.render($0) } == alone)
  }

  private final class Results: @unchecked Sendable {
    private let lock = NSLock()
    private var values: [RenderedScene?]
    init(count: Int) { values = Array(repeating: nil, count: count) }
    func set(_ i: Int, _ value: RenderedScene?) { lock.withLock { values[i] = value } }
    var all: [RenderedScene?] { lock.withLock { values } }
  }

  // MARK: Sizes

  /// A larger picture shows the same: averaged down, it is close to the small one, and masks cover the same share.
  @Test func anySize() throws {
    for scene in Self.scenes.prefix(40) {
      let small = try scene.rendered(size: 64)
      for size in [96, 256] {
        let large = try scene.rendered(size: size)
        #expect(large.picture.width == size && large.masks.allSatisfy { $0.count == size * size })
        let shrunk = large.picture.resized(width: 64, height: 64, filter: .box)
        let off = zip(shrunk.pixels, small.picture.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
        #expect(Double(off) / Double(3 * 4096) < 3.5, "\(scene.setting) \(scene.objects.map(\.noun)) at \(size)")
        for (a, b) in zip(small.masks, large.masks) {
          let share = [a, b].map { mask in Double(mask.reduce(0) { $0 + Int($1) }) / Double(mask.count) / 255 }
          #expect(abs(share[0] - share[1]) < 0.003)
        }
      }
    }
    #expect(throws: InputError.self) { try Scene.sample(seed: 1, index: 0).render(size: 7) }
    #expect(throws: InputError.self) { try Scene.sample(seed: 1, index: 0).render(size: 5000) }
  }

  /// The hidden part of an object is not in its mask; together the masks never cover more than everything.
  @Test func occlusion() throws {
    var scene = Scene.sample(seed: 1, index: 0, showing: [(.circle, .red), (.square, .blue)])
    for i in 0..<2 {
      scene.objects[i].x = 32
      scene.objects[i].y = 32
      scene.objects[i].r = i == 0 ? 8 : 20
    }
    let hidden = try scene.rendered()
    // The square's lower edge is lower: it is nearer, and hides the circle.
    #expect(hidden.masks[0].allSatisfy { $0 == 0 } && hidden.masks[1].contains(255))
    scene.objects[0].y = 50
    let shown = try scene.rendered()
    #expect(shown.masks[0].contains(255))
    for (a, b) in zip(shown.masks[0], shown.masks[1]) { #expect(Int(a) + Int(b) <= 256) }
    #expect(shown.labels[50 * 64 + 32] == 1 && shown.labels[20 * 64 + 32] == 2 && shown.labels[0] == 0)
  }

  @Test(arguments: [
    ("{}", "setting is missing"), ("nothing", "not JSON"), ("[]", "has another type"),
    (SceneWorldTests.line { $0.replacingOccurrences(of: "\"cat\"", with: "\"dog\"") }, "objects.0.noun has an unknown value"),
    (SceneWorldTests.line { $0.replacingOccurrences(of: "\"y\":30", with: "\"y\":3e9") }, "too far outside"),
    (SceneWorldTests.line { $0.replacingOccurrences(of: "[0,0,0]", with: "[0]") }, "three values of jit"),
    (SceneWorldTests.line { $0.replacingOccurrences(of: "null", with: "\"red\"") }, "plain has an unknown value"),
    (SceneWorldTests.line { $0.replacingOccurrences(of: "\"relation\":null", with: "\"relation\":\"left\"") }, "belongs to two objects"),
  ])
  func badLines(_ line: String, _ reason: String) {
    let error = #expect(throws: InputError.self) { try Scene(json: line, place: "scenes.jsonl: line 3") }
    #expect(
      error?.description.contains(reason) == true && error?.message.hasPrefix("scenes.jsonl: line 3") == true, "\(error?.description ?? "")"
    )
  }

  private static func line(_ change: (String) -> String) -> String {
    change(
      #"{"setting":"snow","plain":null,"horizon":40,"bgseed":1,"relation":null,"objects":["#
        + #"{"noun":"cat","colour":"red","size":"small","r":12,"rot":0,"flip":false,"jit":[0,0,0],"x":30,"y":30}]}"#)
  }
}
