/// Shapes and switches of the three networks, under the names and defaults of diffusers' and transformers' config files.

/// `unet/config.json` (diffusers UNet2DConditionModel).
public struct UNetConfig: Sendable, Equatable {
  public var inChannels: Int
  public var outChannels: Int
  /// Height and width of the latents the model was trained at.
  public var sampleHeight: Int
  public var sampleWidth: Int
  public var blockOutChannels: [Int]
  /// Residual blocks per down block; an up block has one more.
  public var layersPerBlock: [Int]
  /// True where a down block has transformers (`CrossAttnDownBlock2D`).
  public var downHasAttention: [Bool]
  public var upHasAttention: [Bool]
  public var midHasAttention: Bool
  /// Number of heads per level. diffusers' `attention_head_dim` means the number of heads in SD v1 and v2.
  public var heads: [Int]
  public var transformerLayers: [Int]
  public var crossAttentionDim: Int
  /// The transformers' self-attention looks at the text as well.
  public var onlyCrossAttention: [Bool]
  public var useLinearProjection: Bool
  public var upcastAttention: Bool
  public var normNumGroups: Int
  /// Group norm epsilon of the residual blocks and of the output.
  public var normEps: Double
  /// Group norm epsilon of the transformers: not `norm_eps`, but what CompVis' SpatialTransformer has.
  public var transformerNormEps = 1e-6
  public var flipSinToCos: Bool
  public var freqShift: Double
  /// Width of the guidance-scale embedding of latent consistency models; nil without.
  public var timeCondProjDim: Int?
  public var downsamplePadding: Int
  public var midBlockScaleFactor: Double
  public var centerInputSample: Bool

  public init(_ c: ConfigReader) throws {
    inChannels = try c.int("in_channels", 4, in: 1...64)
    outChannels = try c.int("out_channels", 4, in: 1...64)
    let side = try c.ints("sample_size", [64, 64], repeated: 2, in: 1...4096)
    (sampleHeight, sampleWidth) = (side[0], side[1])
    blockOutChannels = try c.ints("block_out_channels", [320, 640, 1280, 1280], in: 1...16384)
    let levels = blockOutChannels.count
    try c.refuse(unless: (1...8).contains(levels), "block_out_channels", "1 to 8 levels")
    layersPerBlock = try c.ints("layers_per_block", Array(repeating: 2, count: levels), repeated: levels, in: 1...16)
    let down = try c.strings("down_block_types", ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"])
    let up = try c.strings("up_block_types", ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"])
    try c.refuse(
      unless: down.count == levels && down.allSatisfy { ["CrossAttnDownBlock2D", "DownBlock2D"].contains($0) },
      "down_block_types", "\(levels) of CrossAttnDownBlock2D, DownBlock2D")
    try c.refuse(
      unless: up.count == levels && up.allSatisfy { ["CrossAttnUpBlock2D", "UpBlock2D"].contains($0) },
      "up_block_types", "\(levels) of CrossAttnUpBlock2D, UpBlock2D")
    downHasAttention = down.map { $0.hasPrefix("CrossAttn") }
    upHasAttention = up.map { $0.hasPrefix("CrossAttn") }
    let mid = try c.string("mid_block_type", "UNetMidBlock2DCrossAttn")
    try c.refuse(unless: mid == "UNetMidBlock2DCrossAttn", "mid_block_type", "UNetMidBlock2DCrossAttn")
    midHasAttention = true
    let headDim = try c.ints("attention_head_dim", Array(repeating: 8, count: levels), repeated: levels, in: 1...1024)
    heads = try c.ints("num_attention_heads", headDim, repeated: levels, in: 1...1024)
    transformerLayers = try c.ints("transformer_layers_per_block", Array(repeating: 1, count: levels), repeated: levels, in: 1...16)
    crossAttentionDim = try c.int("cross_attention_dim", 1280, in: 1...65536)
    onlyCrossAttention = try c.bools("only_cross_attention", false, repeated: levels)
    useLinearProjection = try c.bool("use_linear_projection", false)
    upcastAttention = try c.bool("upcast_attention", false)
    normNumGroups = try c.int("norm_num_groups", 32, in: 1...1024)
    normEps = try c.double("norm_eps", 1e-5)
    flipSinToCos = try c.bool("flip_sin_to_cos", true)
    freqShift = try c.double("freq_shift", 0)
    timeCondProjDim = c.has("time_cond_proj_dim") ? try c.int("time_cond_proj_dim", 0, in: 1...65536) : nil
    downsamplePadding = try c.int("downsample_padding", 1, in: 0...1)
    midBlockScaleFactor = try c.double("mid_block_scale_factor", 1)
    centerInputSample = try c.bool("center_input_sample", false)
    let silu = try c.string("act_fn", "silu")
    try c.refuse(unless: silu == "silu" || silu == "swish", "act_fn", "silu")
    try c.refuse(unless: try c.int("conv_in_kernel", 3) == 3, "conv_in_kernel", "3")
    try c.refuse(unless: try c.int("conv_out_kernel", 3) == 3, "conv_out_kernel", "3")
    try c.refuse(unless: try c.string("time_embedding_type", "positional") == "positional", "time_embedding_type", "positional")
    try c.refuse(unless: try c.string("resnet_time_scale_shift", "default") == "default", "resnet_time_scale_shift", "default")
    try c.refuse(unless: try c.double("resnet_out_scale_factor", 1) == 1, "resnet_out_scale_factor", "1")
    try c.refuse(unless: try c.string("attention_type", "default") == "default", "attention_type", "default")
    for key in ["dual_cross_attention", "resnet_skip_time_act", "class_embeddings_concat", "mid_block_only_cross_attention"] {
      try c.refuse(unless: !c.has(key) || !(try c.bool(key, false)), key, "false")
    }
    for key in [
      "class_embed_type", "addition_embed_type", "encoder_hid_dim", "encoder_hid_dim_type", "cross_attention_norm", "num_class_embeds",
      "time_embedding_act_fn", "timestep_post_act", "time_embedding_dim", "reverse_transformer_layers_per_block",
    ] {
      try c.refuse(unless: !c.has(key), key, "null (Stable Diffusion 1 and 2 do not use it)")
    }
    for (width, head) in zip(blockOutChannels, heads) {
      try c.refuse(unless: width % head == 0, "attention_head_dim", "a number of heads that divides its width \(width)")
      try c.refuse(unless: width % normNumGroups == 0, "norm_num_groups", "a divisor of \(width)")
    }
  }

  /// By how much each side of the latents is divided at the deepest level.
  public var downFactor: Int { 1 << (blockOutChannels.count - 1) }
}

/// `vae/config.json` (diffusers AutoencoderKL).
public struct VAEConfig: Sendable, Equatable {
  public var inChannels: Int
  public var outChannels: Int
  public var latentChannels: Int
  public var blockOutChannels: [Int]
  public var layersPerBlock: Int
  public var normNumGroups: Int
  /// Group norm epsilon, everywhere in the autoencoder; not in its config file.
  public var normEps = 1e-6
  public var scalingFactor: Double
  public var shiftFactor: Double
  public var useQuantConv: Bool
  public var usePostQuantConv: Bool
  public var midBlockAddAttention: Bool
  /// Pixel side the model was trained at; tiles of large pictures have this size.
  public var sampleSize: Int

  public init(_ c: ConfigReader) throws {
    inChannels = try c.int("in_channels", 3, in: 1...16)
    outChannels = try c.int("out_channels", 3, in: 1...16)
    latentChannels = try c.int("latent_channels", 4, in: 1...64)
    blockOutChannels = try c.ints("block_out_channels", [64], in: 1...16384)
    let levels = blockOutChannels.count
    try c.refuse(unless: (1...8).contains(levels), "block_out_channels", "1 to 8 levels")
    layersPerBlock = try c.int("layers_per_block", 1, in: 1...16)
    normNumGroups = try c.int("norm_num_groups", 32, in: 1...1024)
    scalingFactor = try c.double("scaling_factor", 0.18215)
    shiftFactor = try c.double("shift_factor", 0)
    useQuantConv = try c.bool("use_quant_conv", true)
    usePostQuantConv = try c.bool("use_post_quant_conv", true)
    midBlockAddAttention = try c.bool("mid_block_add_attention", true)
    sampleSize = try c.int("sample_size", 32, in: 1...65536)
    let down = try c.strings("down_block_types", ["DownEncoderBlock2D"])
    let up = try c.strings("up_block_types", ["UpDecoderBlock2D"])
    try c.refuse(
      unless: down == Array(repeating: "DownEncoderBlock2D", count: levels), "down_block_types", "\(levels) times DownEncoderBlock2D")
    try c.refuse(unless: up == Array(repeating: "UpDecoderBlock2D", count: levels), "up_block_types", "\(levels) times UpDecoderBlock2D")
    try c.refuse(unless: scalingFactor != 0, "scaling_factor", "a number other than 0")
    for width in blockOutChannels {
      try c.refuse(unless: width % normNumGroups == 0, "norm_num_groups", "a divisor of \(width)")
    }
  }

  /// Pixels per latent position along one side: 8 for SD.
  public var factor: Int { 1 << (blockOutChannels.count - 1) }
}

/// `text_encoder/config.json` (transformers CLIPTextModel).
public struct CLIPTextConfig: Sendable, Equatable, CLIPTransformerConfig {
  public enum Activation: String, Sendable {
    case quickGELU = "quick_gelu"
    case gelu
  }
  public var vocabularySize: Int
  public var hiddenSize: Int
  public var intermediateSize: Int
  public var layers: Int
  public var heads: Int
  /// Positions, BOS and EOS included: 77 for SD.
  public var maxPositions: Int
  public var activation: Activation
  public var layerNormEps: Double
  public var eosTokenID: Int

  public init(_ c: ConfigReader) throws {
    vocabularySize = try c.int("vocab_size", 49408, in: 1...10_000_000)
    hiddenSize = try c.int("hidden_size", 512, in: 1...65536)
    intermediateSize = try c.int("intermediate_size", 2048, in: 1...262144)
    layers = try c.int("num_hidden_layers", 12, in: 1...256)
    heads = try c.int("num_attention_heads", 8, in: 1...1024)
    maxPositions = try c.int("max_position_embeddings", 77, in: 3...65536)
    let act = try c.string("hidden_act", "quick_gelu")
    guard let activation = Activation(rawValue: act) else { throw c.wrong("hidden_act", "quick_gelu or gelu") }
    self.activation = activation
    layerNormEps = try c.double("layer_norm_eps", 1e-5)
    eosTokenID = try c.int("eos_token_id", 49407)
    try c.refuse(unless: hiddenSize % heads == 0, "num_attention_heads", "a divisor of hidden_size \(hiddenSize)")
  }
}
