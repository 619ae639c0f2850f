import Engine
import Foundation

/// The loss of a latent diffusion model: the squared error of what the network predicts for noised latents, weighted by minimum SNR.
///
/// Source: Ho et al. 2020 (noise), Salimans and Ho 2022 (velocity), Hang et al. 2023 (weights). Timesteps of a batch are stratified: one from each of as many
/// equal parts of the schedule, which makes the loss less noisy than independent ones.
public struct DenoisingObjective: Sendable {
  public struct Settings: Codable, Equatable, Sendable {
    /// Chance that a caption is replaced by the empty one, so that guidance has something to guide away from.
    public var unconditional: Double
    /// Signal-to-noise ratios above it count no more; 0 weighs all timesteps alike.
    public var snrGamma: Double
    /// Timesteps that are noised to; nil takes the whole schedule. Where things stand is decided in its last third.
    public var timesteps: ClosedRange<Int>?
    /// Weights are multiplied by min(1 / alpha-bar, this), and then all divided by their mean over the timesteps; nil leaves them. The squared error of the noise is
    /// small where nearly everything is noise, though there it is decided what stands where: 1 / alpha-bar turns it into that of the velocity.
    public var highNoise: Double?
    /// The text encoder is trained too.
    public var trainsText: Bool
    /// Keep only what goes in and out of blocks, and compute their inside again on the way back: less memory, a third more time.
    public var recomputes: Bool

    public init(
      unconditional: Double = 0.1, snrGamma: Double = 5, timesteps: ClosedRange<Int>? = nil, highNoise: Double? = nil,
      trainsText: Bool = false, recomputes: Bool = false
    ) {
      (self.unconditional, self.snrGamma, self.timesteps, self.highNoise) = (unconditional, snrGamma, timesteps, highNoise)
      (self.trainsText, self.recomputes) = (trainsText, recomputes)
    }
  }

  /// What of a model is trained.
  public enum Part: Sendable {
    /// The networks' own weights: the UNet's, and the text encoder's where the settings say so.
    case networks
    /// What is added to them.
    case lowRank(LowRankModules)
    /// The vectors of a word that stands behind the vocabulary (`TextualInversion.parameter`).
    case word
  }

  public let settings: Settings
  public let part: Part
  private let unet: UNetConfig
  private let text: CLIPTextConfig
  private let schedule: NoiseSchedule
  /// Of the schedule's timesteps, those that are trained.
  private let timesteps: ClosedRange<Int>
  /// Of each of them.
  private let weights: [Float]
  private let seed: UInt64

  /// - Parameter model: whose networks and schedule it is.
  /// - Throws: `InputError` for models whose UNet takes more than noisy latents, and for timesteps outside their schedule.
  public init(_ model: StableDiffusion, _ settings: Settings, _ part: Part = .networks, seed: UInt64) throws {
    guard !model.isInpaintingModel, model.unet.config.timeCondProjDim == nil else {
      throw InputError(
        .usage, "\(model.source.displayName): inpainting and latent consistency models are not trained", hint: "give another --model")
    }
    (self.settings, self.part) = (settings, part)
    (unet, text) = (model.unet.config, model.text.config)
    let schedule = try NoiseSchedule(model.source.schedulerConfig)
    let timesteps = settings.timesteps ?? 0...schedule.trainSteps - 1
    guard timesteps.lowerBound >= 0, timesteps.upperBound < schedule.trainSteps else {
      throw InputError(
        .usage, "--timesteps \(timesteps.lowerBound)-\(timesteps.upperBound): the schedule has timesteps 0 to \(schedule.trainSteps - 1)")
    }
    (self.schedule, self.timesteps, self.seed) = (schedule, timesteps, seed)
    weights = Self.weights(settings, schedule, timesteps)
  }

  /// True for what is trained.
  public func isTrained(_ name: String) -> Bool {
    switch part {
    case .networks: name.hasPrefix("unet.") || (settings.trainsText && name.hasPrefix("text_encoder."))
    case .lowRank: LowRankModules.isPart(name)
    case .word: name == TextualInversion.parameter
    }
  }

  /// The loss of one step, `[1]`.
  /// - Parameters:
  ///   - parameters: of the UNet and the text encoder, and those of the part.
  ///   - latents: clean, `[n, h, w, c]`.
  ///   - ids: tokens of each caption, and those of the empty one, all of one length.
  ///   - step: decides timesteps, noises and which captions are dropped, together with the seed.
  public func loss(_ parameters: RecordedParameters, latents: Tensor, ids: [[Int]], empty: [Int], step: Int) throws -> Tensor {
    let n = latents.shape[0]
    precondition(ids.count == n, "\(ids.count) captions for \(latents.shape)")
    var random = NumPyRandom(seed: seed, UInt64(step), 0x5d1a)
    let told = ids.map { random.unit() < settings.unconditional ? empty : $0 }
    let strata = random.permutation(n)
    let range = self.timesteps
    let timesteps = strata.map { part in
      min(range.upperBound, range.lowerBound + Int((Double(part) + random.unit()) / Double(n) * Double(range.count)))
    }
    var noises = TorchRandom(seed: random.bits64())
    let eps = noises.normal(nhwc: latents.shape)
    let (noisy, target) = mixed(latents, eps, timesteps)
    let context = ForwardContext(recomputes: settings.recomputes)
    let (encoder, network) = networks(parameters)
    let out = try network(noisy, timesteps: timesteps.map(Double.init), text: encoder(told, context).lastHiddenState, context)
    return out.meanSquaredError(target, weights: timesteps.map { weights[$0 - range.lowerBound] })
  }

  private static func weights(_ settings: Settings, _ schedule: NoiseSchedule, _ timesteps: ClosedRange<Int>) -> [Float] {
    let weighting = SNRWeighting(gamma: settings.snrGamma)
    let plain = timesteps.map { t in
      settings.snrGamma > 0 ? weighting(alphaBar: Double(schedule.alphasCumprod[t]), schedule.prediction) : 1
    }
    guard let limit = settings.highNoise else { return plain.map { Float($0) } }
    let raised = zip(timesteps, plain).map { t, weight in weight * min(1 / Double(schedule.alphasCumprod[t]), limit) }
    let mean = raised.reduce(0, +) / Double(raised.count)
    return raised.map { Float($0 / mean) }
  }

  private func networks(_ parameters: RecordedParameters) -> (CLIPText, UNet) {
    let store = if case .lowRank(let modules) = part { modules.store(parameters) } else { parameters.store }
    var encoder = CLIPText(store["text_encoder"]["text_model"], text)
    if case .word = part, let vectors = parameters[TextualInversion.parameter] { encoder.add(vectors) }
    return (encoder, UNet(store["unet"], unet))
  }

  /// x_t of each row, and what the network should answer.
  private func mixed(_ x: Tensor, _ eps: Tensor, _ timesteps: [Int]) -> (noisy: Tensor, target: Tensor) {
    let rows = timesteps.indices.map { i -> (Tensor, Tensor) in
      let (clean, noise) = (x.slice(i..<i + 1), eps.slice(i..<i + 1))
      let abar = Double(schedule.alphasCumprod[timesteps[i]])
      let (signal, sigma) = (abar.squareRoot(), (1 - abar).squareRoot())
      let noisy = Tensor.combination((signal, clean), (sigma, noise))
      return switch schedule.prediction {
      case .epsilon: (noisy, noise)
      case .vPrediction: (noisy, Tensor.combination((signal, noise), (-sigma, clean)))
      case .sample: (noisy, clean)
      }
    }
    return (.concatenated(rows.map(\.0)), .concatenated(rows.map(\.1)))
  }
}
