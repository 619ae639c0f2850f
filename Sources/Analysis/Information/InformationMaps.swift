import Engine
import Foundation

/// How much a condition says about each place of a picture, in nats: i(x; y) = 1/2 the integral over logSNR of an expectation over noise.
///
/// Source: Kong et al., "Interpretable Diffusion via Information Decomposition", ICLR 2024. With x_a = sqrt(sigmoid(a)) x + sqrt(sigmoid(-a)) eps there are two
/// integrands, both sums over the channels of a place:
/// - `orthogonal`, the published code's default: |eps^(x_a) - eps^(x_a | y)|^2, never negative;
/// - `standard`: |eps - eps^(x_a)|^2 - |eps - eps^(x_a | y)|^2, which is log p(x | y) / p(x) and may be negative; much noisier.
/// Averaged over pictures both are the mutual information when the network is the best possible denoiser; of one picture they differ.
/// The same noise is shown to every condition.
public struct InformationMaps: Sendable {
  public enum Estimator: String, CaseIterable, Sendable {
    case orthogonal
    case standard
  }

  /// What one condition says beyond another.
  public struct Estimate: Sendable {
    /// Nats, `[h, w]`.
    public let map: [Float]
    /// Sum over the places.
    public let total: Double
    /// Standard error of `total` over the samples of noise level and noise.
    public let standardError: Double
    public var bits: Double { total / log(2) }
  }

  public let size: MapSize
  public let samples: Int
  /// One for each contrast.
  public let orthogonal: [Estimate]
  public let standard: [Estimate]

  public func estimates(_ estimator: Estimator) -> [Estimate] { estimator == .orthogonal ? orthogonal : standard }

  /// One noise for each level.
  /// - Parameters:
  ///   - latents: x, `[1, h, w, c]`.
  ///   - contrasts: indices of conditions; what `given` says beyond `without`.
  ///   - noise: of the k-th sample, in the latents' shape.
  ///   - denoise: the noise that the network sees in x_a under each condition, each in the latents' shape.
  ///   - each: called after every sample with the number done.
  /// - Throws: `InputError` (badData) when a prediction is not a number.
  public init(
    latents: Tensor, levels: [LogSNRSampling.Level], contrasts: [(given: Int, without: Int)], noise: (Int) -> Tensor,
    denoise: (_ noisy: Tensor, _ level: LogSNRSampling.Level) throws -> [Tensor], each: (Int) -> Void = { _ in }
  ) throws {
    let size = MapSize(height: latents.shape[1], width: latents.shape[2])
    var sums = contrasts.map { _ in (Sums(size.count), Sums(size.count)) }
    let channels = latents.shape[3]
    for (k, level) in levels.enumerated() {
      let eps = noise(k)
      let noisy = Tensor.combination((level.signal.squareRoot(), latents), (level.noise.squareRoot(), eps))
      let predictions = try denoise(noisy, level).map(\.array)
      guard predictions.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
        throw InputError(.badData, "the network's prediction at logSNR \(level.logSNR) is not a number", hint: "the model is damaged")
      }
      let truth = eps.array
      for (index, contrast) in contrasts.enumerated() {
        let (with, without) = (predictions[contrast.given], predictions[contrast.without])
        var orthogonal = [Double](repeating: 0, count: size.count)
        var standard = orthogonal
        for i in truth.indices {
          let (a, b, e) = (Double(without[i]), Double(with[i]), Double(truth[i]))
          orthogonal[i / channels] += 0.5 * level.weight * (a - b) * (a - b)
          standard[i / channels] += 0.5 * level.weight * ((e - a) * (e - a) - (e - b) * (e - b))
        }
        sums[index].0.add(orthogonal)
        sums[index].1.add(standard)
      }
      each(k + 1)
    }
    self.size = size
    samples = levels.count
    orthogonal = sums.map { $0.0.estimate }
    standard = sums.map { $0.1.estimate }
  }

  private struct Sums {
    var map: [Double]
    /// Of the totals: number, mean and sum of squared distances from it (Welford 1962).
    var n = 0.0
    var mean = 0.0
    var squares = 0.0

    init(_ count: Int) { map = [Double](repeating: 0, count: count) }

    mutating func add(_ values: [Double]) {
      for i in values.indices { map[i] += values[i] }
      let total = values.reduce(0, +)
      n += 1
      let before = mean
      mean += (total - mean) / n
      squares += (total - before) * (total - mean)
    }

    var estimate: Estimate {
      Estimate(
        map: map.map { Float($0 / max(n, 1)) }, total: mean,
        standardError: n > 1 ? (squares / (n - 1) / n).squareRoot() : .nan)
    }
  }
}

extension InformationMaps {
  /// Latent positions that go through the UNet at the same time, over all rows.
  private static let positionsAtOnce = 8192

  /// Of a model, for prompts: the noise levels and noises come from one generator, first all levels, then the noises in their order.
  ///
  /// The network knows whole timesteps only: it is asked about the one nearest to each logSNR, as in the published code; the picture is noised to the exact one.
  /// - Parameters:
  ///   - conditions: embeddings `[1, tokens, width]` of one length.
  ///   - prediction: what the output means; nil for the model's own setting.
  /// - Throws: `InputError` (usage) for models that need more than a noised picture.
  public init(
    _ model: StableDiffusion, latents: Tensor, conditions: [Tensor], contrasts: [(given: Int, without: Int)], samples: Int, seed: UInt64,
    sampling: LogSNRSampling = .init(), prediction: PredictionType? = nil, each: (Int) -> Void = { _ in }
  ) throws {
    var random = TorchRandom(seed: seed)
    let levels = random.uniform(count: samples).map { sampling.level(Double($0)) }
    try self.init(
      latents: latents, levels: levels, contrasts: contrasts, noise: { _ in random.normal(nhwc: latents.shape) },
      denoise: try Self.denoiser(model, conditions, prediction), each: each)
  }

  /// Asks a model about one noisy picture under every condition. Equal conditions are asked about once, so that their contrast is exactly 0: rows of
  /// a batch agree to rounding only.
  static func denoiser(
    _ model: StableDiffusion, _ conditions: [Tensor], _ prediction: PredictionType? = nil
  ) throws -> (_ noisy: Tensor, _ level: LogSNRSampling.Level) throws -> [Tensor] {
    let schedule = try NoisedPicture.schedule(of: model)
    let meaning = prediction ?? schedule.prediction
    var distinct: [Tensor] = []
    let places = conditions.map { condition in
      if let found = distinct.firstIndex(where: { $0.shape == condition.shape && $0.array == condition.array }) { return found }
      distinct.append(condition)
      return distinct.count - 1
    }
    let asked = distinct
    return { noisy, level in
      let rows = max(1, positionsAtOnce / max(1, noisy.shape[1] * noisy.shape[2]))
      let t = Double(schedule.timestep(logSNR: level.logSNR))
      var out: [Tensor] = []
      for start in stride(from: 0, to: asked.count, by: rows) {
        let part = Array(asked[start..<min(start + rows, asked.count)])
        let x = Tensor.concatenated(Array(repeating: noisy, count: part.count))
        let answers = try model.unet(x, timesteps: [t], text: .concatenated(part))
        for i in part.indices {
          let (alpha, sigma) = (Float(level.signal.squareRoot()), Float(level.noise.squareRoot()))
          out.append(meaning.noise(answers.slice(i..<i + 1), noisy, alpha: alpha, sigma: sigma))
        }
      }
      return places.map { out[$0] }
    }
  }
}
