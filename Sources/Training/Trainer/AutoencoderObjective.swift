import Engine
import Foundation

/// The loss of an autoencoder (AutoencoderKL) on pictures x in [-1, 1]:
///
///     mean |y - x| + mean (y - x)^2 + edges * e(y - x) + kl * D / (pixels * channels of a picture)
///
/// y is decoded from a sample z = mean + deviation * noise of the encoder's distribution. e is `Tensor.meanEdgeError`, D the distribution's divergence from the standard normal one,
/// summed over a picture's latents (`VAE.Distribution.divergence`).
///
/// `kl` has the unit of Stable Diffusion's 1e-6: `LPIPSWithDiscriminator` of CompVis (taming-transformers and stable-diffusion, kl-f8) adds the absolute error summed over all values of a
/// picture to kl_weight times D; the mean in place of the sum divides both by the number of values. Its perceptual and adversarial parts need networks with weights of their own and are not here: the squared
/// error and the edges stand in their place.
public struct AutoencoderObjective: Sendable {
  public struct Settings: Codable, Equatable, Sendable {
    public var kl: Double
    public var edges: Double
    /// The encoder stays as it is, and with it the latents.
    public var decoderOnly: Bool
    /// Keep only what goes in and out of blocks, and compute their inside again on the way back: less memory, more time.
    public var recomputes: Bool

    public init(kl: Double = 1e-6, edges: Double = 0.5, decoderOnly: Bool = false, recomputes: Bool = false) {
      (self.kl, self.edges, self.decoderOnly, self.recomputes) = (kl, edges, decoderOnly, recomputes)
    }
  }

  public let settings: Settings
  public let config: VAEConfig
  private let seed: UInt64

  public init(_ config: VAEConfig, _ settings: Settings = .init(), seed: UInt64) {
    (self.config, self.settings, self.seed) = (config, settings, seed)
  }

  /// True for what is trained.
  public func isTrained(_ name: String) -> Bool {
    if settings.decoderOnly { return name.hasPrefix("vae.decoder.") || name.hasPrefix("vae.post_quant_conv.") }
    return name.hasPrefix("vae.")
  }

  /// The loss of one step, `[1]`.
  /// - Parameters:
  ///   - parameters: of the autoencoder, `vae.…`.
  ///   - pictures: `[n, h, w, 3]`; sides are multiples of `config.factor`.
  ///   - step: decides the noise, together with the seed.
  public func loss(_ parameters: RecordedParameters, pictures: Tensor, step: Int) throws -> Tensor {
    var random = NumPyRandom(seed: seed, UInt64(step), 0x7ae1)
    var noises = TorchRandom(seed: random.bits64())
    let shape = pictures.shape
    return try loss(
      parameters, pictures: pictures,
      noise: noises.normal(nhwc: [shape[0], shape[1] / config.factor, shape[2] / config.factor, config.latentChannels]))
  }

  func loss(_ parameters: RecordedParameters, pictures x: Tensor, noise: Tensor) throws -> Tensor {
    let context = ForwardContext(recomputes: settings.recomputes)
    let vae = vae(parameters)
    let posterior = try vae.encode(x, context)
    let y = try vae.decode(posterior.sample(noise), context)
    return .combination(
      (1, y.meanAbsoluteError(x)), (1, y.meanSquaredError(x)), (settings.edges, y.meanEdgeError(x)),
      (settings.kl / Double(x.count / x.shape[0]), posterior.divergence()))
  }

  public func vae(_ parameters: RecordedParameters) -> VAE { VAE(parameters.store["vae"], config) }
}

extension VAE {
  /// Pictures `[n, h, w, 3]` as they come back by the mean of their distribution, cut to [-1, 1].
  public func reconstruction(_ pictures: Tensor) throws -> Tensor { try decode(encode(pictures).mean).map { min(1, max(-1, $0)) } }
}

/// The peak signal-to-noise ratio of pictures in [-1, 1]: 10 log10(4 / mean squared error), the error being that of all pictures together.
public struct PeakSignalToNoise: Sendable {
  private var sum = 0.0
  private var count = 0

  public init() {}

  /// - Parameters: both of one shape.
  public mutating func add(_ found: Tensor, _ original: Tensor) {
    sum += Double(found.meanSquaredError(original).array[0]) * Double(found.count)
    count += found.count
  }

  /// Infinite where nothing differs.
  public var decibels: Double { 10 * log10(4 * Double(count) / sum) }
}
