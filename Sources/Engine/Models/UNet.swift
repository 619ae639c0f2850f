/// The denoising network (Ronneberger et al. 2015; Rombach et al. 2022): diffusers' UNet2DConditionModel for Stable Diffusion 1 and 2.
public struct UNet {
  public let config: UNetConfig
  private let convIn: Conv2d
  private let timeEmbedding: TimestepEmbedding
  private let downBlocks: [DownBlock]
  private let midBlock: MidBlock
  private let upBlocks: [UpBlock]
  private let convNormOut: GroupNorm
  private let convOut: Conv2d
  private let sites: (convIn: Site, time: Site, convAct: Site, output: Site)

  /// - Parameter scope: the weights below `unet`.
  public init(_ scope: WeightScope, _ config: UNetConfig) {
    self.config = config
    let channels = config.blockOutChannels
    let levels = channels.count
    let timeWidth = channels[0] * 4
    convIn = Conv2d(scope["conv_in"], config.inChannels, channels[0], kernel: 3)
    timeEmbedding = TimestepEmbedding(scope["time_embedding"], channels[0], timeWidth, condDim: config.timeCondProjDim)
    downBlocks = (0..<levels).map { i in
      DownBlock(scope["down_blocks"][i], config, level: i, input: channels[max(0, i - 1)], timeWidth: timeWidth)
    }
    midBlock = MidBlock(scope["mid_block"], config, timeWidth: timeWidth)
    upBlocks = (0..<levels).map { i in UpBlock(scope["up_blocks"][i], config, index: i, timeWidth: timeWidth) }
    convNormOut = GroupNorm(scope["conv_norm_out"], channels[0], groups: config.normNumGroups, eps: config.normEps)
    convOut = Conv2d(scope["conv_out"], channels[0], config.outChannels, kernel: 3)
    sites = (
      scope["conv_in"].site("out", "rows, height, width, channels"),
      scope["time_embedding"].site("out", "rows, width: before the SiLU that every residual block applies"),
      scope["conv_act"].site("out", "rows, height, width, channels: after conv_norm_out and SiLU"),
      scope.site("out", "rows, height, width, latent channels: the prediction")
    )
  }

  /// Predicts noise (or v, or x0: whatever the model was trained for).
  /// - Parameters:
  ///   - x: latents `[n, h, w, in_channels]`; any size of at least one position.
  ///   - timesteps: one a row, or one for all.
  ///   - text: prompt embeddings `[n, tokens, cross_attention_dim]`.
  ///   - guidanceEmbedding: `[n, time_cond_proj_dim]` for latent consistency models.
  /// - Returns: `[n, h, w, out_channels]`
  public func callAsFunction(
    _ x: Tensor, timesteps: [Double], text: Tensor, guidanceEmbedding: Tensor? = nil, _ context: ForwardContext = ForwardContext()
  ) throws -> Tensor {
    let n = x.shape[0]
    precondition(x.shape[3] == config.inChannels, "UNet input \(x.shape), expected \(config.inChannels) channels")
    precondition(text.shape[0] == n && text.shape[2] == config.crossAttentionDim, "UNet text \(text.shape) for input \(x.shape)")
    let times = timesteps.count == 1 ? Array(repeating: timesteps[0], count: n) : timesteps
    let sinusoid = sinusoidalEmbedding(
      times, dim: config.blockOutChannels[0], flipSinToCos: config.flipSinToCos, freqShift: config.freqShift)
    var time = timeEmbedding(sinusoid, condition: guidanceEmbedding)
    try context.visit(sites.time, &time)
    // Every residual block wants the SiLU of it: once here.
    time.silu()

    var h = convIn(config.centerInputSample ? .combination((2, x), (-1, Tensor(repeating: 1, x.shape))) : x)
    try context.visit(sites.convIn, &h)
    var skips = [h]
    for block in downBlocks { h = try block(h, time, text, &skips, context) }
    h = try midBlock(h, time, text, context)
    for block in upBlocks { h = try block(h, time, text, &skips, context) }
    h = convNormOut(h, silu: true)
    try context.visit(sites.convAct, &h)
    var out = convOut(h)
    try context.visit(sites.output, &out)
    return out
  }
}

/// One level on the way down: residual blocks, each with a transformer where the level has them, then a strided convolution.
private struct DownBlock {
  let resnets: [ResnetBlock]
  let attentions: [Transformer2D]
  let downsampler: Downsample?
  let output: Site

  init(_ scope: WeightScope, _ config: UNetConfig, level: Int, input: Int, timeWidth: Int) {
    let width = config.blockOutChannels[level]
    var resnets: [ResnetBlock] = []
    var attentions: [Transformer2D] = []
    for j in 0..<config.layersPerBlock[level] {
      resnets.append(
        ResnetBlock(
          scope["resnets"][j], j == 0 ? input : width, width, timeWidth: timeWidth, groups: config.normNumGroups, eps: config.normEps))
      if config.downHasAttention[level] {
        attentions.append(Transformer2D(scope["attentions"][j], config, level: level))
      }
    }
    self.resnets = resnets
    self.attentions = attentions
    let last = level == config.blockOutChannels.count - 1
    downsampler = last ? nil : Downsample(scope["downsamplers"][0], width, padding: config.downsamplePadding)
    output = scope.site("out", "rows, height, width, channels")
  }

  func callAsFunction(_ x: Tensor, _ time: Tensor, _ text: Tensor, _ skips: inout [Tensor], _ context: ForwardContext) throws -> Tensor {
    var h = x
    for (j, resnet) in resnets.enumerated() {
      h = try resnet(h, time, context)
      if !attentions.isEmpty { h = try attentions[j](h, text, context) }
      skips.append(h)
    }
    if let downsampler {
      h = try downsampler(h, context)
      skips.append(h)
    }
    try context.visit(output, &h)
    return h
  }
}

/// The bottom of the U: residual block, transformer, residual block. Its output is h-space (Kwon et al. 2023).
private struct MidBlock {
  let (first, last): (ResnetBlock, ResnetBlock)
  let attentions: [Transformer2D]
  let scale: Double
  let output: Site

  init(_ scope: WeightScope, _ config: UNetConfig, timeWidth: Int) {
    let level = config.blockOutChannels.count - 1
    let width = config.blockOutChannels[level]
    func resnet(_ j: Int) -> ResnetBlock {
      ResnetBlock(scope["resnets"][j], width, width, timeWidth: timeWidth, groups: config.normNumGroups, eps: config.normEps)
    }
    first = resnet(0)
    attentions = [Transformer2D(scope["attentions"][0], config, level: level, neverOnlyCross: true)]
    last = resnet(1)
    scale = config.midBlockScaleFactor
    output = scope.site("out", "rows, height, width, channels: h-space")
  }

  func callAsFunction(_ x: Tensor, _ time: Tensor, _ text: Tensor, _ context: ForwardContext) throws -> Tensor {
    var h = try first(x, time, scale: scale, context)
    for attention in attentions { h = try attention(h, text, context) }
    h = try last(h, time, scale: scale, context)
    try context.visit(output, &h)
    return h
  }
}

/// One level on the way up: each residual block also sees the skip of its mirror image; then nearest-neighbour doubling and a convolution.
private struct UpBlock {
  let resnets: [ResnetBlock]
  let attentions: [Transformer2D]
  let upsampler: Upsample?
  let output: Site

  init(_ scope: WeightScope, _ config: UNetConfig, index: Int, timeWidth: Int) {
    let channels = config.blockOutChannels
    let levels = channels.count
    let level = levels - 1 - index
    let width = channels[level]
    let previous = index == 0 ? channels[levels - 1] : channels[level + 1]
    let skipAtEnd = channels[max(0, level - 1)]
    let layers = config.layersPerBlock[level] + 1
    var resnets: [ResnetBlock] = []
    var attentions: [Transformer2D] = []
    for j in 0..<layers {
      let skip = j == layers - 1 ? skipAtEnd : width
      resnets.append(
        ResnetBlock(
          scope["resnets"][j], (j == 0 ? previous : width) + skip, width, timeWidth: timeWidth, groups: config.normNumGroups,
          eps: config.normEps))
      if config.upHasAttention[index] {
        attentions.append(Transformer2D(scope["attentions"][j], config, level: level))
      }
    }
    self.resnets = resnets
    self.attentions = attentions
    upsampler = index == levels - 1 ? nil : Upsample(scope["upsamplers"][0], width)
    output = scope.site("out", "rows, height, width, channels")
  }

  func callAsFunction(_ x: Tensor, _ time: Tensor, _ text: Tensor, _ skips: inout [Tensor], _ context: ForwardContext) throws -> Tensor {
    var h = x
    for (j, resnet) in resnets.enumerated() {
      h = try resnet(h.joinedChannels(skips.removeLast()), time, context)
      if !attentions.isEmpty { h = try attentions[j](h, text, context) }
    }
    if let upsampler {
      // To the size of the next skip: twice, except where an odd size was halved on the way down.
      let next = skips[skips.count - 1].shape
      h = try upsampler(h, height: next[1], width: next[2], context)
    }
    try context.visit(output, &h)
    return h
  }
}

extension Transformer2D {
  fileprivate init(_ scope: WeightScope, _ config: UNetConfig, level: Int, neverOnlyCross: Bool = false) {
    self.init(
      scope, config.blockOutChannels[level], heads: config.heads[level], layers: config.transformerLayers[level],
      textWidth: config.crossAttentionDim,
      groups: config.normNumGroups, eps: config.transformerNormEps, linearProjection: config.useLinearProjection,
      onlyCrossAttention: !neverOnlyCross && config.onlyCrossAttention[level])
  }
}
