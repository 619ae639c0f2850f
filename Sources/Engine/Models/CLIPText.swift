/// The text encoder: transformers' CLIPTextModel (Radford et al. 2021), a pre-norm transformer with a causal mask.
public struct CLIPText {
  public let config: CLIPTextConfig
  /// The vocabulary's, then those of words that were added to it.
  private var tokenEmbeddings: [Tensor]
  private let positionEmbedding: Tensor
  private let layers: [CLIPLayer]
  private let finalNorm: LayerNorm

  /// - Parameter scope: the weights below `text_encoder.text_model`.
  public init(_ scope: WeightScope, _ config: CLIPTextConfig) {
    self.config = config
    let embeddings = scope["embeddings"]
    tokenEmbeddings = [embeddings["token_embedding"].take("weight", [config.vocabularySize, config.hiddenSize])]
    positionEmbedding = embeddings["position_embedding"].take("weight", [config.maxPositions, config.hiddenSize])
    let encoder = scope["encoder"]["layers"]
    layers = (0..<config.layers).map { CLIPLayer(encoder[$0], config, causal: true) }
    finalNorm = LayerNorm(scope["final_layer_norm"], config.hiddenSize, eps: config.layerNormEps)
  }

  /// Adds words behind the vocabulary: their ids go on where it ends.
  /// - Parameter vectors: `[n, width]`
  public mutating func add(_ vectors: Tensor) { tokenEmbeddings.append(vectors) }

  /// Ids that the encoder knows.
  public var knownIDs: Int { tokenEmbeddings.reduce(0) { $0 + $1.shape[0] } }

  /// What the encoder gives for a batch of token rows.
  public struct Output {
    /// The embeddings, then the output of each layer, before the final norm: layers + 1 tensors `[n, tokens, width]`.
    public let hiddenStates: [Tensor]
    /// The last layer's output through the final norm, `[n, tokens, width]`.
    public let lastHiddenState: Tensor
  }

  /// - Parameter ids: rows of token ids, all of one length, at most `config.maxPositions`.
  public func callAsFunction(_ ids: [[Int]], _ context: ForwardContext = ForwardContext()) throws -> Output {
    var x = try embed(ids)
    var states = [x]
    for layer in layers {
      x = try layer(x, context)
      states.append(x)
    }
    return Output(hiddenStates: states, lastHiddenState: finalNorm(x))
  }

  /// The prompt embedding that conditions the UNet, `[n, tokens, width]`: the output of layer `layers - clipSkip` through the final norm.
  /// - Parameter clipSkip: number of last layers dropped, as in diffusers (A1111 counts one more).
  public func promptEmbedding(_ ids: [[Int]], clipSkip: Int = 0, _ context: ForwardContext = ForwardContext()) throws -> Tensor {
    guard (0..<config.layers).contains(clipSkip) else {
      throw InputError(
        .usage, "clip skip \(clipSkip): this text encoder has \(config.layers) layers", hint: "give 0 to \(config.layers - 1)")
    }
    var x = try embed(ids)
    for layer in layers.dropLast(clipSkip) { x = try layer(x, context) }
    return finalNorm(x)
  }

  /// The final layer norm alone, for those who decode a hidden state of their own choice.
  public func normalized(_ hiddenState: Tensor) -> Tensor { finalNorm(hiddenState) }

  private func embed(_ ids: [[Int]]) throws -> Tensor {
    let tokens = ids.first?.count ?? 0
    guard tokens > 0, tokens <= config.maxPositions, ids.allSatisfy({ $0.count == tokens }) else {
      throw InputError(.badData, "text encoder: rows of \(ids.map(\.count)) tokens, expected equal rows of 1 to \(config.maxPositions)")
    }
    if let bad = ids.joined().first(where: { $0 < 0 || $0 >= knownIDs }) {
      throw InputError(
        .badData, "text encoder: token id \(bad), expected 0 to \(knownIDs - 1)",
        hint: "the tokenizer belongs to another model")
    }
    return .embedding(tokenEmbeddings, positionEmbedding, ids)
  }
}
