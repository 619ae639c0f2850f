import Engine
import Foundation
import TestSupport
import Testing

@testable import Training

/// What a training can be made to look at: some timesteps, high noise, pairs of objects, words that had become one.
@Suite struct EmphasisTests {
  private static let model = Result { try StableDiffusion(Golden.folder.appendingPathComponent("tiny/v1").path) }

  private func networks() throws -> Parameters {
    let all = try Parameters(Self.model.get().source.weights)
    return Parameters(zip(all.names, all.values).filter { !$0.0.hasPrefix("vae.") }.map { ($0, $1) })
  }

  /// The loss of one step at these settings.
  private func loss(_ settings: DenoisingObjective.Settings) throws -> Double {
    let model = try Self.model.get()
    let empty = try model.tokenize("").chunks[0].ids
    var random = TorchRandom(seed: 1)
    let latents = random.normal(nhwc: [3, 8, 8, model.vae.config.latentChannels])
    let objective = try DenoisingObjective(model, settings, seed: 3)
    let frozen = try networks().recorded { _ in false }
    return Double(try objective.loss(frozen, latents: latents, ids: [empty, empty, empty], empty: empty, step: 0).array[0])
  }

  /// At a single timestep the weight is known: 1 without weighting and where weights are raised and divided by their mean, gamma / SNR otherwise.
  @Test func aSingleTimestep() throws {
    let schedule = try NoiseSchedule(Self.model.get().source.schedulerConfig)
    let abar = Double(schedule.alphasCumprod[20])
    let snr = abar / (1 - abar)
    #expect(snr > 5)
    let plain = try loss(.init(snrGamma: 0, timesteps: 20...20))
    #expect(abs(try loss(.init(timesteps: 20...20)) / plain - 5 / snr) < 1e-4)
    #expect(abs(try loss(.init(timesteps: 20...20, highNoise: 8)) / plain - 1) < 1e-5)
    #expect(abs(try loss(.init(snrGamma: 0, timesteps: 21...21)) / plain - 1) > 1e-6)
  }

  /// Between two timesteps of which one has nearly no signal the weights are as 1 / alpha-bar to 1 / alpha-bar, up to the limit, and their mean is 1.
  @Test func highNoiseIsRaised() throws {
    let schedule = try NoiseSchedule(Self.model.get().source.schedulerConfig)
    let last = schedule.trainSteps - 1
    let plain = try loss(.init(snrGamma: 0, timesteps: 0...last))
    let little = try loss(.init(snrGamma: 0, timesteps: 0...last, highNoise: 1))
    #expect(abs(little / plain - 1) < 1e-5, "a limit of 1 raises nothing")
    #expect(abs(try loss(.init(snrGamma: 0, timesteps: 0...last, highNoise: 50)) / plain - 1) > 1e-3)
    for timesteps in [0...last + 1, -1...5] {
      #expect(throws: InputError.self) { try loss(.init(timesteps: timesteps)) }
    }
  }

  @Test(arguments: [0, 0.3, 1]) func shareOfPairs(_ share: Double) {
    let source = SceneSource(seed: 5, count: 400, pairs: share)
    let pairs = (0..<400).filter { source.scene($0).objects.count == 2 }.count
    // Three standard deviations.
    #expect(abs(Double(pairs) / 400 - share) <= 3 * (share * (1 - share) / 400).squareRoot())
    #expect(source.scene(17) == SceneSource(seed: 5, count: 400, pairs: share).scene(17))
  }

  /// Only the rows of these tokens change, each to one of its own, four times as long as the table's on average.
  @Test func freshWords() throws {
    let name = "text_encoder.text_model.embeddings.token_embedding.weight"
    let old = try networks()
    let new = old.redrawingTokens([3, 8], seed: 1)
    let (before, after) = (try #require(old[name]), try #require(new[name]))
    let width = before.shape[1]
    func row(_ x: Tensor, _ i: Int) -> [Float] { Array(x.array[i * width..<(i + 1) * width]) }
    func length(_ values: [Float]) -> Double { (values.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(values.count)).squareRoot() }
    for i in 0..<before.shape[0] { #expect((row(before, i) == row(after, i)) == ![3, 8].contains(i), "token \(i)") }
    #expect(row(after, 3) != row(after, 8))
    let ratio = length(row(after, 3) + row(after, 8)) / length(before.array)
    #expect(ratio > 2 && ratio < 6, "\(ratio)")
    for (other, (a, b)) in zip(old.names, zip(old.values, new.values)) where other != name { #expect(a.array == b.array) }
  }
}
