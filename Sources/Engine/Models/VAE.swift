import Foundation

/// The autoencoder between pictures and latents (Kingma & Welling 2014; Rombach et al. 2022): diffusers' AutoencoderKL.
///
/// Latents are raw here; the pipeline multiplies by `config.scalingFactor`.
public struct VAE {
  public let config: VAEConfig
  private let encoder: VAEEncoder
  private let decoder: VAEDecoder
  private let quant: Linear?
  private let postQuant: Linear?

  /// - Parameter scope: the weights below `vae`.
  public init(_ scope: WeightScope, _ config: VAEConfig) {
    self.config = config
    encoder = VAEEncoder(scope["encoder"], config)
    decoder = VAEDecoder(scope["decoder"], config)
    quant = config.useQuantConv ? Linear(pointwise: scope["quant_conv"], 2 * config.latentChannels, 2 * config.latentChannels) : nil
    postQuant = config.usePostQuantConv ? Linear(pointwise: scope["post_quant_conv"], config.latentChannels, config.latentChannels) : nil
  }

  /// A Gaussian over latents for each position, as the encoder gives it.
  public struct Distribution {
    /// `[n, h, w, latent]`
    public let mean: Tensor
    /// Log-variance clamped to [-30, 20], `[n, h, w, latent]`.
    public let logVariance: Tensor

    /// `mean + exp(logVariance / 2) * noise`.
    public func sample(_ noise: Tensor) -> Tensor {
      precondition(noise.shape == mean.shape, "noise \(noise.shape) for latents \(mean.shape)")
      let out = Tensor(uninitialized: mean.shape)
      for i in 0..<out.count { out.storage.pointer[i] = mean.data[i] + exp(0.5 * logVariance.data[i]) * noise.data[i] }
      guard records(mean, logVariance) else { return out }
      return out.recorded(from: [mean, logVariance]) { g in
        let slope = Tensor(uninitialized: g.shape)
        for i in 0..<g.count { slope.storage.pointer[i] = g.data[i] * 0.5 * exp(0.5 * logVariance.data[i]) * noise.data[i] }
        return [g, slope]
      }
    }
  }

  /// - Parameter picture: `[n, h, w, 3]` in [-1, 1]; sides are multiples of `config.factor`.
  public func encode(_ picture: Tensor, _ context: ForwardContext = ForwardContext()) throws -> Distribution {
    distribution(try moments(picture, context))
  }

  /// - Parameter latents: raw latents `[n, h, w, latent_channels]`.
  /// - Returns: `[n, h * factor, w * factor, 3]`, about [-1, 1], not clamped.
  public func decode(_ latents: Tensor, _ context: ForwardContext = ForwardContext()) throws -> Tensor {
    try decoder(postQuant?(latents) ?? latents, context)
  }

  func moments(_ picture: Tensor, _ context: ForwardContext) throws -> Tensor {
    let h = try encoder(picture, context)
    return quant?(h) ?? h
  }

  func distribution(_ moments: Tensor) -> Distribution {
    let c = config.latentChannels
    let rows = moments.shape.rows
    let shape: Shape = [moments.shape[0], moments.shape[1], moments.shape[2], c]
    if records(moments) {
      return Distribution(mean: moments.channels(0..<c), logVariance: moments.channels(c..<2 * c).clamped(-30, 20))
    }
    let mean = Tensor(uninitialized: shape)
    let logVariance = Tensor(uninitialized: shape)
    for r in 0..<rows {
      for i in 0..<c {
        mean.storage.pointer[r * c + i] = moments.data[r * 2 * c + i]
        logVariance.storage.pointer[r * c + i] = min(20, max(-30, moments.data[r * 2 * c + c + i]))
      }
    }
    return Distribution(mean: mean, logVariance: logVariance)
  }
}

private struct VAEEncoder {
  let convIn: Conv2d
  let levels: [(resnets: [ResnetBlock], downsampler: Downsample?, output: Site)]
  let mid: VAEMidBlock
  let normOut: GroupNorm
  let convOut: Conv2d

  public init(_ scope: WeightScope, _ config: VAEConfig) {
    let channels = config.blockOutChannels
    convIn = Conv2d(scope["conv_in"], config.inChannels, channels[0], kernel: 3)
    levels = channels.indices.map { i in
      let block = scope["down_blocks"][i]
      let resnets = (0..<config.layersPerBlock).map { j in
        ResnetBlock(
          block["resnets"][j], j == 0 ? channels[max(0, i - 1)] : channels[i], channels[i], timeWidth: nil, groups: config.normNumGroups,
          eps: config.normEps)
      }
      let last = i == channels.count - 1
      let down = last ? nil : Downsample(block["downsamplers"][0], channels[i], padding: 0)
      return (resnets, down, block.site("out", "rows, height, width, channels"))
    }
    let width = channels[channels.count - 1]
    mid = VAEMidBlock(scope["mid_block"], width, config)
    normOut = GroupNorm(scope["conv_norm_out"], width, groups: config.normNumGroups, eps: config.normEps)
    convOut = Conv2d(scope["conv_out"], width, 2 * config.latentChannels, kernel: 3)
  }

  func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
    var h = convIn(x)
    for level in levels {
      for resnet in level.resnets { h = try resnet(h, nil, context) }
      if let down = level.downsampler { h = try down(h, context) }
      try context.visit(level.output, &h)
    }
    h = try mid(h, context)
    return convOut(normOut(h, silu: true))
  }
}

private struct VAEDecoder {
  let convIn: Conv2d
  let mid: VAEMidBlock
  let levels: [(resnets: [ResnetBlock], upsampler: Upsample?, output: Site)]
  let normOut: GroupNorm
  let convOut: Conv2d

  public init(_ scope: WeightScope, _ config: VAEConfig) {
    let channels = Array(config.blockOutChannels.reversed())
    convIn = Conv2d(scope["conv_in"], config.latentChannels, channels[0], kernel: 3)
    mid = VAEMidBlock(scope["mid_block"], channels[0], config)
    levels = channels.indices.map { i in
      let block = scope["up_blocks"][i]
      let resnets = (0...config.layersPerBlock).map { j in
        ResnetBlock(
          block["resnets"][j], j == 0 ? channels[max(0, i - 1)] : channels[i], channels[i], timeWidth: nil, groups: config.normNumGroups,
          eps: config.normEps)
      }
      let last = i == channels.count - 1
      let up = last ? nil : Upsample(block["upsamplers"][0], channels[i])
      return (resnets, up, block.site("out", "rows, height, width, channels"))
    }
    let width = channels[channels.count - 1]
    normOut = GroupNorm(scope["conv_norm_out"], width, groups: config.normNumGroups, eps: config.normEps)
    convOut = Conv2d(scope["conv_out"], width, config.outChannels, kernel: 3)
  }

  func callAsFunction(_ z: Tensor, _ context: ForwardContext) throws -> Tensor {
    var h = try mid(convIn(z), context)
    for level in levels {
      for resnet in level.resnets { h = try resnet(h, nil, context) }
      if let up = level.upsampler { h = try up(h, height: 2 * h.shape[1], width: 2 * h.shape[2], context) }
      try context.visit(level.output, &h)
    }
    return convOut(normOut(h, silu: true))
  }
}

/// Residual block, single-head self-attention over all positions, residual block.
private struct VAEMidBlock {
  let (first, last): (ResnetBlock, ResnetBlock)
  let norm: GroupNorm?
  let attention: AttentionLayer?
  let output: Site

  init(_ scope: WeightScope, _ width: Int, _ config: VAEConfig) {
    first = ResnetBlock(scope["resnets"][0], width, width, timeWidth: nil, groups: config.normNumGroups, eps: config.normEps)
    if config.midBlockAddAttention {
      norm = GroupNorm(scope["attentions"][0]["group_norm"], width, groups: config.normNumGroups, eps: config.normEps)
      attention = AttentionLayer(scope["attentions"][0], width, context: width, heads: 1, looksAt: "pixels", bias: true)
    } else {
      (norm, attention) = (nil, nil)
    }
    last = ResnetBlock(scope["resnets"][1], width, width, timeWidth: nil, groups: config.normNumGroups, eps: config.normEps)
    output = scope.site("out", "rows, height, width, channels")
  }

  func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
    var h = try first(x, nil, context)
    if let norm, let attention {
      let shape = h.shape
      let tokens: Shape = [shape[0], shape[1] * shape[2], shape[3]]
      let normalized = norm(h).reshaped(tokens)
      var sum = h.reshaped(tokens)
      try attention.add(to: &sum, normalized, looksAt: normalized, context)
      h = sum.reshaped(shape)
    }
    h = try last(h, nil, context)
    try context.visit(output, &h)
    return h
  }
}
