/// `vision_config` of transformers' CLIP models.
public struct CLIPVisionConfig: Sendable, Equatable, CLIPTransformerConfig {
  public var hiddenSize: Int
  public var intermediateSize: Int
  public var layers: Int
  public var heads: Int
  /// Side of the pictures it sees and of the patches they are cut into, in pixels.
  public var imageSize: Int
  public var patchSize: Int
  public var activation: CLIPTextConfig.Activation
  public var layerNormEps: Double

  public init(_ c: ConfigReader) throws {
    hiddenSize = try c.int("hidden_size", 768, in: 1...65536)
    intermediateSize = try c.int("intermediate_size", 3072, in: 1...262144)
    layers = try c.int("num_hidden_layers", 12, in: 1...256)
    heads = try c.int("num_attention_heads", 12, in: 1...1024)
    imageSize = try c.int("image_size", 224, in: 1...4096)
    patchSize = try c.int("patch_size", 32, in: 1...4096)
    let act = try c.string("hidden_act", "quick_gelu")
    guard let activation = CLIPTextConfig.Activation(rawValue: act) else { throw c.wrong("hidden_act", "quick_gelu or gelu") }
    self.activation = activation
    layerNormEps = try c.double("layer_norm_eps", 1e-5)
    try c.refuse(unless: try c.int("num_channels", 3) == 3, "num_channels", "3")
    try c.refuse(unless: hiddenSize % heads == 0, "num_attention_heads", "a divisor of hidden_size \(hiddenSize)")
    try c.refuse(unless: patchSize <= imageSize, "patch_size", "at most image_size \(imageSize)")
  }

  /// Patches of a picture.
  public var patches: Int { (imageSize / patchSize) * (imageSize / patchSize) }
}

/// CLIP's vision tower: transformers' CLIPVisionModel (Radford et al. 2021; Dosovitskiy et al. 2021), a transformer over the patches of a picture and one token more,
/// the class token, in which it gathers what the picture is.
public struct CLIPVision {
  public let config: CLIPVisionConfig
  private let classEmbedding: Tensor
  private let patches: ConvolutionWeight
  private let positions: Tensor
  private let preNorm: LayerNorm
  private let layers: [CLIPLayer]
  private let postNorm: LayerNorm

  /// - Parameter scope: the weights below `vision_model`.
  public init(_ scope: WeightScope, _ config: CLIPVisionConfig) {
    self.config = config
    let embeddings = scope["embeddings"]
    let width = config.hiddenSize
    classEmbedding = embeddings.take("class_embedding", [width])
    patches = embeddings["patch_embedding"].convolutionWeight([width, 3, config.patchSize, config.patchSize])
    positions = embeddings["position_embedding"].take("weight", [config.patches + 1, width])
    // transformers' spelling.
    preNorm = LayerNorm(scope["pre_layrnorm"], width, eps: config.layerNormEps)
    let encoder = scope["encoder"]["layers"]
    layers = (0..<config.layers).map { CLIPLayer(encoder[$0], config, causal: false) }
    postNorm = LayerNorm(scope["post_layernorm"], width, eps: config.layerNormEps)
  }

  /// What the tower gives for a batch of pictures.
  public struct Output {
    /// The last layer's output, `[n, 1 + patches, width]`; the class token comes first, and no norm has been applied.
    public let lastHiddenState: Tensor
    /// The class token through the final norm, `[n, width]`.
    public let pooled: Tensor
  }

  /// - Parameter pictures: `[n, side, side, 3]`, normalised as `CLIPPreprocessing` does.
  public func callAsFunction(_ pictures: Tensor, _ context: ForwardContext = ForwardContext()) throws -> Output {
    precondition(
      pictures.shape.dimensions.dropFirst() == [config.imageSize, config.imageSize, 3],
      "pictures \(pictures.shape), expected a side of \(config.imageSize)")
    let (n, width, count) = (pictures.shape[0], config.hiddenSize, config.patches)
    let cut = pictures.conv2d(patches, nil, stride: config.patchSize, padding: Padding(0))
    var tokens = Tensor(uninitialized: [n, count + 1, width])
    tokens.withUnsafeMutableBuffer { t in
      for row in 0..<n {
        for place in 0...count {
          let at = (row * (count + 1) + place) * width
          let value = place == 0 ? classEmbedding.data : cut.data + (row * count + place - 1) * width
          for c in 0..<width { t[at + c] = value[c] + positions.data[place * width + c] }
        }
      }
    }
    var x = preNorm(tokens)
    for layer in layers { x = try layer(x, context) }
    var firsts = Tensor(uninitialized: [n, width])
    firsts.withUnsafeMutableBuffer { f in
      for row in 0..<n { for c in 0..<width { f[row * width + c] = x.data[row * (count + 1) * width + c] } }
    }
    return Output(lastHiddenState: x, pooled: postNorm(firsts))
  }
}
