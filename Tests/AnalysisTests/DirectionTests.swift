import Foundation
import TestSupport
import Testing

@testable import Analysis
@testable import Engine

/// Directions of h-space against numpy's SVD over diffusers' h, edited latents against diffusers with a hook, probes against scikit-learn.
@Suite struct DirectionTests {
  struct File: Decodable, Sendable {
    struct Case: Decodable, Sendable, CustomTestStringConvertible {
      var `case`: String
      var rule: String
      var rows: String
      var strength: Double
      var steps: [Int]?
      var effect: Double
      var testDescription: String { self.case }
    }
    var from: String
    var to: String
    var steps: Int
    var guidance: Double
    var seed: UInt64
    var pictures: Int
    var kept: Int
    var labels: [Bool]
    var cases: [Case]
  }
  static let file = Result { try Golden.json("directions/cases.json", as: File.self) }
  static let cases = (try? file.get().cases) ?? []
  static let model = Result { try StableDiffusion() }

  private func request(_ prompt: String, _ count: Int) throws -> GenerationRequest {
    let f = try Self.file.get()
    return GenerationRequest(prompt: prompt, sampler: .ddim, steps: f.steps, guidance: f.guidance, seed: f.seed, count: count)
  }

  private func hSpace(_ prompt: String, _ count: Int) throws -> (h: HSpace, latents: Tensor) {
    let model = try Self.model.get()
    var steps: [Points] = []
    var shape: [Int] = []
    let probes = try Probes([HSpace.site], sites: model.sites) { _, moment, h in
      let cond = moment.rows.indices.filter { moment.rows[$0].half == .cond }
      shape = Array(h.shape.dimensions.dropFirst())
      steps.append(try Points(cond.map { h.slice($0..<$0 + 1).array }))
      return nil
    }
    let run = try model.denoising(request(prompt, count), probes: probes)
    while try run.next() != nil {}
    return (HSpace(timesteps: run.plan.timesteps, shape: shape, steps: steps), run.latents)
  }

  /// `[steps, c, h, w]` of a golden's values as one channels-last array a step.
  private func channelsLast(_ values: [Float], _ shape: [Int]) -> [[Float]] {
    let (h, w, c) = (shape[0], shape[1], shape[2])
    return (0..<values.count / (c * h * w)).map { i in
      Tensor(Array(values[i * c * h * w..<(i + 1) * c * h * w]), [1, c, h, w]).nhwc().array
    }
  }

  @Test func componentsAsNumpy() throws {
    let f = try Self.file.get()
    let golden = try Golden("directions/directions.safetensors")
    let h = try hSpace(f.from, f.pictures).h
    let found = try PrincipalDirections(h, count: f.kept)
    let (components, variance, ratio) = (
      channelsLast(try golden.values("components"), h.shape), try golden.values("variance"), try golden.values("ratio")
    )
    for s in 0..<f.steps {
      for j in 0..<f.kept {
        let expected = components[s * f.kept + j].map(Double.init)
        #expect(relativeError(found.steps[s].components[j].map { Float($0) }, expected) < 1e-3, "step \(s), component \(j)")
        #expect(abs(found.steps[s].explainedVariance[j] / Double(variance[s * f.kept + j]) - 1) < 1e-3)
        #expect(abs(found.steps[s].explainedVarianceRatio[j] - Double(ratio[s * f.kept + j])) < 1e-4)
      }
    }
    let other = try hSpace(f.to, f.pictures).h
    let difference = try HDirections.difference(from: h, to: other, name: "d")
    #expect(
      relativeError(
        difference.values[0].flatMap { $0 }, channelsLast(try golden.values("difference"), h.shape).flatMap { $0.map(Double.init) }) < 1e-3)
    #expect(throws: InputError.self) { try PrincipalDirections(h, count: f.pictures) }
  }

  private func edited(_ c: File.Case, _ directions: HDirections, strength: Double) throws -> Tensor {
    let model = try Self.model.get()
    let request = try request(Self.file.get().from, 2)
    let edit = HEdit(
      directions, 0, strength: strength, rule: try #require(HEdit.Rule(rawValue: c.rule)), rows: try #require(HEdit.Rows(rawValue: c.rows)),
      steps: c.steps)
    let change = edit.intervention()
    let probes = try change.handler.map { try Probes(change.patterns, sites: model.sites, handler: $0) }
    let original = try change.original.map { try Probes($0.patterns, sites: model.sites, handler: $0.handler) }
    let run = try model.denoising(request, conditioning: model.conditioning(request), probes: probes, original: original)
    while try run.next() != nil {}
    return run.latents
  }

  private func goldenDirection(_ scale: Float = 1) throws -> HDirections {
    let model = try Self.model.get()
    let golden = try Golden("directions/directions.safetensors")
    let s = try golden.shape("difference")
    let plan = try SamplerName.ddim.sampler(model.source.schedulerConfig, steps: s[0]).plan
    let shape = [s[2], s[3], s[1]]
    let values = channelsLast(try golden.values("difference"), shape).map { $0.map { scale * $0 } }
    return HDirections(names: ["d"], timesteps: plan.timesteps, shape: shape, values: [values])
  }

  @Test(arguments: cases) func editedLatentsAsDiffusers(_ c: File.Case) throws {
    let golden = try Golden("directions/directions.safetensors")
    let mine = try edited(c, goldenDirection(), strength: c.strength)
    #expect(relativeError(mine, try golden.nhwc("edited:\(c.case)")) < 1e-3)
    // The change itself, which is smaller than the latents.
    let plain = try golden.nhwc("latents")
    #expect(largestDifference(mine - plain, try golden.nhwc("edited:\(c.case)") - plain) < 1e-2 * c.effect)
  }

  @Test(arguments: cases) func strengthZeroIsThePlainRun(_ c: File.Case) throws {
    let model = try Self.model.get()
    let run = try model.denoising(request(Self.file.get().from, 2))
    while try run.next() != nil {}
    #expect(try edited(c, goldenDirection(), strength: 0).array == run.latents.array)
  }

  @Test func probeAsScikitLearn() throws {
    let labels = try Self.file.get().labels
    let golden = try Golden("directions/directions.safetensors")
    let shape = try golden.shape("probe:points")
    let points = try Points(golden.values("probe:points"), count: shape[0], dimension: shape[1])
    let machine = FoldedRidge(points, fold: LinearProbe.folds(labels, 3), folds: 3, penalty: 0.1)
    let decisions = machine.decisions(labels.map { $0 ? 1 : -1 }).map { Float($0) }
    #expect(relativeError(decisions, try golden.values("probe:decisions").map(Double.init)) < 1e-5)
    let probe = try LinearProbe(points, labels: labels, folds: 3, penalty: 0.1)
    let right = zip(try golden.values("probe:decisions"), labels).count { ($0 > 0) == $1 }
    #expect(probe.accuracy == Double(right) / Double(labels.count) && probe.chance == 16.0 / 25 && probe.count == 25)
  }

  /// h in which one direction, another one at each step, carries a label and everything else is noise.
  private func planted(_ n: Int, _ d: Int, separation: Float) -> (h: HSpace, labels: [Bool], truth: [[Float]]) {
    var random = TorchRandom(seed: 3)
    let labels = (0..<n).map { $0 % 2 == 1 }
    let truth = (0..<3).map { _ -> [Float] in
      let v = random.normal(count: d)
      let length = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return v.map { $0 / length }
    }
    let steps = truth.map { v in
      Points(
        unchecked: labels.flatMap { label in
          let noise = random.normal(count: d)
          return (0..<d).map { noise[$0] * 0.1 + (label ? separation : -separation) * v[$0] + 5 }
        }, count: n, dimension: d)
    }
    return (HSpace(timesteps: [900, 500, 100], shape: [2, 3, d / 6], steps: steps), labels, truth)
  }

  @Test func aPlantedDirectionIsFound() throws {
    let (h, labels, truth) = planted(60, 96, separation: 3)
    func side(_ wanted: Bool) -> HSpace { h.pictures(labels.indices.filter { labels[$0] == wanted }) }
    let difference = try HDirections.difference(from: side(false), to: side(true), name: "label")
    let principal = try PrincipalDirections(h, count: 2)
    for s in 0..<3 {
      // The difference points from false to true; a component's sign means nothing.
      #expect(HDirections.cosine(difference.values[0][s], truth[s]) > 0.99)
      #expect(abs(HDirections.cosine(principal.steps[s].components[0].map { Float($0) }, truth[s])) > 0.99)
      #expect(abs(difference.lengths(0)[s] - 6) < 0.2)
      let probe = try LinearProbe(h.steps[s], labels: labels)
      #expect(probe.accuracy == 1 && probe.chance == 0.5 && abs(probe.shuffledMean - 0.5) < 0.1, "\(probe)")
    }
    #expect(principal.steps.allSatisfy { $0.explainedVarianceRatio[0] > 0.8 })
  }

  @Test func noiseIsNotToldApart() throws {
    let (h, labels, _) = planted(60, 96, separation: 0)
    let scores = try h.steps.map { try LinearProbe($0, labels: labels).accuracy }
    #expect(scores.reduce(0, +) / 3 < 0.68 && scores.reduce(0, +) / 3 > 0.32, "\(scores)")
    #expect(throws: InputError.self) { try LinearProbe(h.steps[0], labels: labels.map { _ in true }) }
    // All points the same: no cut, no trap.
    let same = Points(unchecked: [Float](repeating: 1, count: 20 * 4), count: 20, dimension: 4)
    #expect(try LinearProbe(same, labels: (0..<20).map { $0 % 2 == 0 }).accuracy <= 0.5)
  }

  /// Two axes whose variances change places and whose signs a rule on loadings would turn: the directions stay what they are.
  @Test func directionsKeepTheirMeaning() throws {
    var random = TorchRandom(seed: 9)
    let (a, b): ([Float], [Float]) = ([0.8, -0.6, 0, 0, 0, 0], [0, 0, 0.6, 0.8, 0, 0])
    let turned: ([Float], [Float]) = ([0.59, -0.807, 0, 0, 0, 0], [0, 0, 0.8, 0.6, 0, 0])
    func step(_ u: [Float], _ v: [Float], _ p: Float, _ q: Float) -> Points {
      Points(
        unchecked: (0..<200).flatMap { _ -> [Float] in
          let (x, noise) = (random.normal(count: 2), random.normal(count: 6))
          return (0..<6).map { p * x[0] * u[$0] + q * x[1] * v[$0] + 0.01 * noise[$0] }
        }, count: 200, dimension: 6)
    }
    let h = HSpace(timesteps: [2, 1], shape: [1, 1, 6], steps: [step(a, b, 3, 1), step(turned.0, turned.1, 1, 3)])
    let found = try PrincipalDirections(h, count: 2)
    #expect(found.component == [[0, 1], [1, 0]])
    for j in 0..<2 { #expect(found.directions.continuity(j)[0] > 0.9) }
    #expect(abs(HDirections.cosine(found.directions.values[0][1], turned.0)) > 0.99)
  }

  @Test func strangersAreRefused() throws {
    let c = File.Case(case: "x", rule: "symmetric", rows: "all", strength: 1, steps: nil, effect: 1)
    let d = try goldenDirection()
    #expect(throws: InputError.self) {
      try edited(c, HDirections(names: ["d"], timesteps: d.timesteps.map { $0 + 3 }, shape: d.shape, values: d.values), strength: 1)
    }
    let small = HDirections(names: ["d"], timesteps: d.timesteps, shape: [1, 1, 2], values: [d.timesteps.map { _ in [1, 2] }])
    #expect(throws: InputError.self) { try edited(c, small, strength: 1) }
  }
}
