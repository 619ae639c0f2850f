import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

@Suite struct InformationTests {
  struct Case: Decodable {
    struct Numbers: Decodable {
      var totals: [Double]
      var errors: [Double]
    }
    var prompts: [String]
    var contrasts: [[Int]]
    var samples: Int
    var seed: UInt64
    var logsnr: [Double]
    var weights: [Double]
    var timesteps: [Int]
    var orthogonal: Numbers
    var standard: Numbers
  }

  private func levels(_ samples: Int, seed: UInt64, _ sampling: LogSNRSampling = .init()) -> [LogSNRSampling.Level] {
    var random = TorchRandom(seed: seed)
    return random.uniform(count: samples).map { sampling.level(Double($0)) }
  }

  /// Levels, weights and timesteps as torch has them; without the truncation's share in the weight they are 10 % off.
  @Test func noiseLevels() throws {
    let c = try Golden.json("information/case.json", as: Case.self)
    let schedule = try NoiseSchedule(HeatmapTests.model.get().source.schedulerConfig)
    let found = levels(c.samples, seed: c.seed)
    for (i, level) in found.enumerated() {
      #expect(abs(level.logSNR - c.logsnr[i]) < 1e-9 && abs(level.weight / c.weights[i] - 1) < 1e-9)
      #expect(schedule.timestep(logSNR: level.logSNR) == c.timesteps[i])
      #expect(abs(level.signal + level.noise - 1) < 1e-15)
    }
    var wider = LogSNRSampling()
    wider.clip = 4
    #expect(abs(levels(c.samples, seed: c.seed, wider)[0].weight / c.weights[0] - 1) > 0.02)
    let range = LogSNRSampling().range
    #expect(range == -5...7)
    let many = levels(20_000, seed: 1)
    #expect(many.allSatisfy { range.contains($0.logSNR) })
    // The mean weight is the integral of 1: the length of the range.
    #expect(abs(many.reduce(0) { $0 + $1.weight } / 20_000 / 12 - 1) < 0.02)
    #expect(abs((many.map(\.logSNR).max() ?? 0) - 7) < 0.02 && abs((many.map(\.logSNR).min() ?? 0) + 5) < 0.02)
  }

  /// Maps, totals and standard errors of three contrasts and both estimators against torch and diffusers; the second model answers v instead of the noise.
  @Test(arguments: ["", "-v"]) func asDiffusers(_ which: String) throws {
    let c = try Golden.json("information/case\(which).json", as: Case.self)
    let golden = try Golden("information/information\(which).safetensors")
    let model = try which.isEmpty ? HeatmapTests.model.get() : StableDiffusion(Golden.folder.appendingPathComponent("tiny/v2").path)
    let latents = try golden.nhwc("latents")
    let conditions = try c.prompts.map { try model.embedding(model.tokenize($0)) }
    let contrasts = c.contrasts.map { (given: $0[0], without: $0[1]) }
    func maps(_ seed: UInt64, _ contrasts: [(given: Int, without: Int)]) throws -> InformationMaps {
      try InformationMaps(model, latents: latents, conditions: conditions, contrasts: contrasts, samples: c.samples, seed: seed)
    }
    let found = try maps(c.seed, contrasts)
    for (estimator, numbers) in [(InformationMaps.Estimator.orthogonal, c.orthogonal), (.standard, c.standard)] {
      let expected = try golden.values(estimator.rawValue)
      for (i, estimate) in found.estimates(estimator).enumerated() {
        let map = expected[i * 256..<(i + 1) * 256].map(Double.init)
        #expect(relativeError(estimate.map, map) < 1e-3, "\(estimator) \(i)")
        #expect(abs(estimate.total - numbers.totals[i]) < 1e-3 * abs(numbers.totals[i]) + 1e-3, "\(estimator) \(i)")
        #expect(abs(estimate.standardError / numbers.errors[i] - 1) < 1e-3, "\(estimator) \(i)")
        #expect(abs(estimate.bits - estimate.total / 0.693147180559945) < 1e-9)
      }
    }
    // Another noise, or the contrast of another word, misses by far.
    let expected = try golden.values("orthogonal")[256..<512].map(Double.init)
    #expect(relativeError(try maps(c.seed + 1, contrasts).orthogonal[1].map, expected) > 0.05)
    #expect(relativeError(found.orthogonal[2].map, expected) > 0.05)
    #expect(relativeError(found.orthogonal[0].map, expected) > 0.05)
    // Read as another kind of answer it misses too.
    let misread = try InformationMaps(
      model, latents: latents, conditions: conditions, contrasts: contrasts, samples: c.samples, seed: c.seed,
      prediction: which.isEmpty ? .vPrediction : .epsilon)
    #expect(relativeError(misread.orthogonal[1].map, expected) > 0.01)
  }

  /// A Gaussian world of known mutual information: y ~ N(0, s^2), x = y + N(0, t^2) on the left half; on the right x does not depend on y. The best denoisers are
  /// linear. Both estimators give the exact expectation for these x and y within their standard errors, and 1/2 log(1 + s^2 / t^2) a place on average.
  @Test func mutualInformationOfAGaussianWorld() throws {
    let (side, s2, t2) = (24, 0.75, 0.25)
    let total = s2 + t2
    var random = TorchRandom(seed: 11)
    let (a, b) = (random.normal(count: side * side), random.normal(count: side * side))
    func isLeft(_ i: Int) -> Bool { i % side < side / 2 }
    let y = (0..<side * side).map { isLeft($0) ? Float(s2.squareRoot()) * a[$0] : 0 }
    let x = (0..<side * side).map { isLeft($0) ? y[$0] + Float(t2.squareRoot()) * b[$0] : Float(total.squareRoot()) * b[$0] }
    // eps^ = E[eps | z]: sigma (z - alpha mean) / (alpha^2 variance + sigma^2).
    func guess(_ z: Float, _ level: LogSNRSampling.Level, mean: Double, variance: Double) -> Float {
      Float(level.noise.squareRoot() * (Double(z) - level.signal.squareRoot() * mean) / (level.signal * variance + level.noise))
    }
    let samples = 4000
    var noise = TorchRandom(seed: 12)
    let shape: Shape = [1, side, side, 1]
    let found = try InformationMaps(
      latents: Tensor(x, shape), levels: levels(samples, seed: 13), contrasts: [(1, 0), (0, 0), (0, 1)],
      noise: { _ in noise.normal(nhwc: shape) },
      denoise: { z, level in
        let v = z.array
        return [
          Tensor(v.map { guess($0, level, mean: 0, variance: total) }, shape),
          Tensor(
            v.enumerated().map { i, z in
              isLeft(i) ? guess(z, level, mean: Double(y[i]), variance: t2) : guess(z, level, mean: 0, variance: total)
            }, shape),
        ]
      })
    // The expectation over noise in closed form, the integral over logSNR by the trapezoidal rule.
    var exact = (orthogonal: 0.0, standard: 0.0, average: 0.0)
    let steps = 4000
    for k in 0...steps {
      let level = LogSNRSampling.Level(logSNR: -5 + 12 * Double(k) / Double(steps), weight: 1)
      let width = 12 / Double(steps) * (k == 0 || k == steps ? 0.5 : 1)
      let (alpha, sigma) = (level.signal.squareRoot(), level.noise.squareRoot())
      let (p, q) = (sigma / (level.signal * total + level.noise), sigma / (level.signal * t2 + level.noise))
      for i in 0..<side * side where isLeft(i) {
        let (x, y) = (Double(x[i]), Double(y[i]))
        // eps^ = p (alpha x + sigma eps), eps^(y) = q (alpha (x - y) + sigma eps).
        let (m, n) = (p * alpha * x, q * alpha * (x - y))
        exact.orthogonal += 0.5 * width * ((m - n) * (m - n) + (p - q) * (p - q) * sigma * sigma)
        exact.standard += 0.5 * width * (m * m + (1 - p * sigma) * (1 - p * sigma) - n * n - (1 - q * sigma) * (1 - q * sigma))
        exact.average += 0.5 * width * (1 / (1 + exp(-level.logSNR) / total) - 1 / (1 + exp(-level.logSNR) / t2))
      }
    }
    let (o, s) = (found.orthogonal[0], found.standard[0])
    #expect(
      abs(o.total - exact.orthogonal) < 4 * o.standardError && o.standardError < 0.03 * o.total, "\(o.total) ± \(o.standardError), \(exact)"
    )
    #expect(
      abs(s.total - exact.standard) < 4 * s.standardError && s.standardError < 0.06 * s.total, "\(s.total) ± \(s.standardError), \(exact)")
    // Mutual information of half the places, each 1/2 log(1 + s^2 / t^2); these x and y are a sample of 288.
    let known = Double(side * side / 2) * 0.5 * log(1 + s2 / t2)
    #expect(abs(exact.average / known - 1) < 0.01 && abs(o.total / known - 1) < 0.15, "\(o.total), known \(known)")
    // log p(x | y) / p(x) of these very x and y.
    let pointwise = (0..<side * side).filter(isLeft).reduce(0.0) { sum, i in
      let (x, n) = (Double(x[i]), Double(x[i] - y[i]))
      return sum + 0.5 * (log(total / t2) + x * x / total - n * n / t2)
    }
    #expect(abs(s.total - pointwise) < 4 * s.standardError + 0.02 * pointwise, "\(s.total) ± \(s.standardError), \(pointwise)")
    // Where x does not depend on y there is exactly nothing, and so there is between a condition and itself.
    for estimator in InformationMaps.Estimator.allCases {
      let estimates = found.estimates(estimator)
      #expect((0..<side * side).allSatisfy { isLeft($0) || estimates[0].map[$0] == 0 })
      #expect(estimates[1].total == 0 && estimates[1].map.allSatisfy { $0 == 0 } && estimates[1].standardError == 0)
    }
    #expect(found.orthogonal[2].total == found.orthogonal[0].total && found.standard[2].total == -found.standard[0].total)
  }

  /// A word in place of itself says exactly nothing; one that matters says something, and the same seed says it again.
  @Test func aWordInPlaceOfItselfSaysNothing() throws {
    let model = try HeatmapTests.model.get()
    let prompt = try model.tokenize("a red house next to a green tree")
    let same = try PromptContrast.text(prompt, without: "house", replacement: "house")
    let without = try PromptContrast.text(prompt, without: "house")
    #expect(same == prompt.text && without == "a red next to a green tree")
    let conditions = try [prompt.text, same, without].map { try model.embedding(model.tokenize($0)) }
    var random = TorchRandom(seed: 1)
    let latents = random.normal(nhwc: [1, 16, 16, 4])
    func maps() throws -> InformationMaps {
      try InformationMaps(model, latents: latents, conditions: conditions, contrasts: [(0, 1), (0, 2)], samples: 3, seed: 2)
    }
    let found = try maps()
    #expect(found.orthogonal[0].map.allSatisfy { $0 == 0 } && found.standard[0].total == 0)
    #expect(found.orthogonal[1].total > 1 && found.orthogonal[1].map.allSatisfy { $0 >= 0 })
    #expect(try maps().orthogonal[1].map == found.orthogonal[1].map)
  }

  @Test(arguments: [
    ("a red house", "red", "", "a house"), ("red", "red", "", ""), ("a Red house, red boat", "red", "", "a house, boat"),
    ("a red house", "a red", "", "house"), ("a red house", "house", "boat", "a red boat"), ("a red  house", "red", "", "a house"),
    ("a house at night", "night", "", "a house at"), ("the cat's house", "cat's", "dog's", "the dog's house"),
  ])
  func wordsTakenOut(prompt: String, words: String, replacement: String, expected: String) throws {
    let model = try HeatmapTests.model.get()
    #expect(try PromptContrast.text(model.tokenize(prompt), without: words, replacement: replacement) == expected)
  }

  /// Of a prompt with emphasis: the weights of the words that stay are what they were.
  @Test(arguments: [
    ("a (red:1.3) house", "red", "", "a (:1.3) house"), ("a ((red house)) [tree]", "house", "", "a ((red )) [tree]"),
    ("a (red:1.3) house", "red", "blue", "a (blue:1.3) house"), ("a (red:1.3) house", "house", "", "a (red:1.3)"),
    ("(red:0.5)", "red", "", "(:0.5)"), ("a \\(red\\) house", "(", "", "a red\\) house"),
  ])
  func wordsTakenOutOfEmphasis(prompt: String, words: String, replacement: String, expected: String) throws {
    let model = try HeatmapTests.model.get()
    let whole = try model.tokenize(prompt, emphasis: .a1111)
    let text = try PromptContrast.text(whole, without: words, replacement: replacement)
    #expect(text == expected)
    let rest = try model.tokenize(text, emphasis: .a1111)
    func weights(_ p: TokenizedPrompt) -> [String: [Float]] {
      Dictionary(uniqueKeysWithValues: p.words.map { w in (w.text, w.positions.map { p.chunks[$0.chunk].weights[$0.index] }) })
    }
    var left = weights(whole)
    let taken = left.removeValue(forKey: words)
    if !replacement.isEmpty { left[replacement] = taken }
    #expect(weights(rest) == left)
  }

  @Test func refusals() throws {
    let model = try HeatmapTests.model.get()
    #expect(throws: InputError.self) { try PromptContrast.text(model.tokenize("a red house"), without: "boat") }
    #expect(throws: InputError.self) { try PromptContrast.text(model.tokenize("a (red) house", emphasis: .a1111), without: "red house") }
    // Brackets whose weights cancel stand within one word here; without it one of them would be left open.
    #expect(throws: InputError.self) { try PromptContrast.text(model.tokenize("(re:1)d house", emphasis: .a1111), without: "red") }
    #expect(throws: InputError.self) {
      try InformationMaps(
        latents: .zeros([1, 1, 1, 1]), levels: levels(1, seed: 0), contrasts: [(0, 0)], noise: { _ in .zeros([1, 1, 1, 1]) },
        denoise: { z, _ in [z.map { _ in .nan }] })
    }
  }
}
