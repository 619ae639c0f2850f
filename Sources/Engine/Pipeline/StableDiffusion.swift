import Foundation

/// A loaded model: the three networks, the tokenizer and the scheduler's settings.
///
/// ```swift
/// let model = try StableDiffusion()                       // the embedded model; or a folder, a file, a hub name
/// let request = GenerationRequest(prompt: "a red house at night", steps: 25)
/// let run = try model.denoising(request)
/// while let step = try run.next() { print(step.index, run.plan.timesteps.count) }
/// let pictures = try model.decode(run.latents)            // [n, h, w, 3] in [-1, 1]
/// ```
///
/// Safe to share between tasks: nothing in it changes after `init` (its `WeightStore` is only written while the networks are built).
public struct StableDiffusion: @unchecked Sendable {
  public let source: ModelSource
  public let tokenizer: Tokenizer
  public let text: CLIPText
  public let unet: UNet
  public let vae: VAE
  /// What looks at finished pictures; nil when the model's folder has none, or it was left out.
  public let safetyChecker: SafetyChecker?
  /// Places to look at, in network order.
  public let sites: [Site]
  /// More than 1 GiB of weights, which nobody holds without need.
  let hasLargeUNet: Bool
  /// One line each, for the person: surplus tensors, unusual settings.
  public let warnings: [String]

  /// - Parameter name: a diffusers folder, a single file, a hub name in the local cache; nil for the embedded model.
  /// - Throws: `InputError` when the model is not found or not as its config says; nothing is computed before all of it is checked.
  public init(_ name: String? = nil) throws { try self.init(ModelSource.resolve(name)) }

  public init(_ source: ModelSource) throws {
    self.source = source
    let weights = source.weights
    tokenizer = try source.tokenizer()
    var text = CLIPText(weights["text_encoder"]["text_model"], try CLIPTextConfig(source.textEncoderConfig))
    for embedding in source.embeddings { text.add(embedding.vectors) }
    self.text = text
    unet = UNet(weights["unet"], try UNetConfig(source.unetConfig))
    vae = VAE(weights["vae"], try VAEConfig(source.vaeConfig))
    let surplus = try weights.finish(ignoring: ["*.position_ids", "text_encoder.text_projection.weight"])
    sites = weights.sites
    safetyChecker = try source.checksSafety ? source.folder.flatMap { try SafetyChecker(model: $0) } : nil
    hasLargeUNet = weights.bytes("unet") >= 1 << 30
    var warnings = source.warnings
    if !surplus.isEmpty {
      warnings.append(
        "\(source.displayName): \(surplus.count) tensors belong to no network and are left alone (\(surplus[0].oneLine)\(surplus.count > 1 ? ", …" : ""))"
      )
    }
    self.warnings = warnings
    guard text.config.hiddenSize == unet.config.crossAttentionDim else {
      throw InputError(
        .badData,
        "\(source.displayName): the text encoder gives \(text.config.hiddenSize) values a token, the UNet expects \(unet.config.crossAttentionDim)",
        hint: "text encoder and UNet must come from the same model")
    }
    guard tokenizer.vocabularySize <= text.knownIDs else {
      throw InputError(
        .badData,
        "\(source.tokenizerDirectory.path): \(tokenizer.vocabularySize) tokens, the text encoder knows \(text.knownIDs)",
        hint: "tokenizer and text encoder must come from the same model")
    }
    guard [vae.config.latentChannels, 2 * vae.config.latentChannels + 1].contains(unet.config.inChannels),
      unet.config.outChannels == vae.config.latentChannels
    else {
      throw InputError(
        .badData,
        "\(source.displayName): the UNet takes \(unet.config.inChannels) channels and gives \(unet.config.outChannels), the VAE's latents have \(vae.config.latentChannels)",
        hint: "expected \(vae.config.latentChannels) channels, or \(2 * vae.config.latentChannels + 1) for an inpainting model")
    }
  }

  /// True for models that take the mask and the masked picture beside the latents (9 channels).
  public var isInpaintingModel: Bool { unet.config.inChannels != vae.config.latentChannels }

  /// The size in pixels that the model was trained at.
  public var nativeSize: (width: Int, height: Int) {
    (unet.config.sampleWidth * vae.config.factor, unet.config.sampleHeight * vae.config.factor)
  }

  /// Pictures `[n, h, w, 3]` in [-1, 1] of latents `[n, h, w, c]` as the UNet sees them (scaled).
  ///
  /// The memory of a large UNet's weights is given back before: a picture of 512x512 takes 2 GiB to decode, and nobody needs both at once. What runs after
  /// it reads them again.
  public func decode(_ latents: Tensor, tiling: Tiling = .auto) throws -> Tensor {
    if hasLargeUNet {
      source.weights.release("unet")
      BufferPool.current.trim()
    }
    return try vae.pictures(latents, tiling: tiling)
  }

  /// Latents `[n, h, w, c]` as the UNet sees them of pictures `[n, h, w, 3]` in [-1, 1].
  /// - Parameter noise: the noise of the VAE's sample, in the latents' shape; nil for the mean.
  public func encode(_ pictures: Tensor, noise: Tensor? = nil, tiling: Tiling = .auto) throws -> Tensor {
    try vae.latents(pictures, noise: noise, tiling: tiling)
  }
}

extension VAE {
  /// Pictures `[n, h, w, 3]` in [-1, 1] of latents `[n, h, w, c]` as the UNet sees them (scaled).
  public func pictures(_ latents: Tensor, tiling: Tiling = .auto) throws -> Tensor {
    let raw = (1 / config.scalingFactor) * latents
    return try decode(config.shiftFactor == 0 ? raw : raw.map { $0 + Float(config.shiftFactor) }, tiling: tiling)
  }

  /// Latents `[n, h, w, c]` as the UNet sees them of pictures `[n, h, w, 3]` in [-1, 1].
  /// - Parameter noise: the noise of the VAE's sample, in the latents' shape; nil for the mean.
  public func latents(_ pictures: Tensor, noise: Tensor? = nil, tiling: Tiling = .auto) throws -> Tensor {
    let distribution = try encode(pictures, tiling: tiling)
    let raw = noise.map { distribution.sample($0) } ?? distribution.mean
    let shift = Float(config.shiftFactor)
    return config.scalingFactor * (shift == 0 ? raw : raw.map { $0 - shift })
  }
}
