import Engine

/// The picture as the text encoder's layer l knows it: the hidden state behind layer l goes through the final layer norm and conditions the UNet in place of the
/// last layer's.
///
/// Source: Toker et al., "Diffusion Lens: Interpreting Text Encoders in Text-to-Image Pipelines", ACL 2024, and its published code. As there, layer 0 is the sum of
/// token and position embeddings, every layer's state goes through the final norm, and the negative prompt stays the ordinary one, from the last layer. The
/// last layer is therefore the ordinary picture, bit for bit.
public struct DiffusionLens: Sendable {
  /// Number of layers of the text encoder, L; there are L + 1 states, 0...L.
  public let layers: Int
  private let states: [Tensor]
  private let negative: Tensor?
  private let warnings: [String]

  /// - Parameter request: without clip skip, which is the same question asked for one layer.
  /// - Throws: `InputError` (usage) when the request has a clip skip.
  public init(_ model: StableDiffusion, _ request: GenerationRequest) throws {
    guard request.clipSkip == 0 else {
      throw InputError(
        .usage, "clip skip \(request.clipSkip): the lens takes every layer itself",
        hint: "layer \(max(0, model.text.config.layers - request.clipSkip)) is what this clip skip gives")
    }
    let contrast = request.usesGuidance && model.unet.config.timeCondProjDim == nil
    var prompts = try ([request.prompt] + (contrast ? [request.negativePrompt] : [])).map {
      try model.tokenize($0, longPrompt: request.longPrompt, emphasis: request.emphasis)
    }
    TokenizedPrompt.equalizeChunks(&prompts)
    let prompt = prompts[0]
    let hidden = try model.text(prompt.chunks.map(\.ids)).hiddenStates
    states = hidden.map { state in
      let flat = model.text.normalized(state).reshaped([1, prompt.chunks.count * prompt.length, model.text.config.hiddenSize])
      return prompt.isWeighted ? flat.emphasized(prompt.weights, rowsPerChunk: prompt.length) : flat
    }
    layers = states.count - 1
    negative = contrast ? try model.embedding(prompts[1]) : nil
    warnings = prompts.compactMap(\.warning)
  }

  /// What the UNet is told when the text encoder ends at `layer`.
  /// - Throws: `InputError` (usage) for a layer that is not there.
  public func conditioning(_ layer: Int) throws -> Conditioning {
    guard states.indices.contains(layer) else {
      throw InputError(.usage, "layer \(layer): expected 0 (embeddings) to \(layers)")
    }
    return Conditioning(prompt: states[layer], negative: negative, warnings: warnings)
  }

  /// The run of a layer; the last layer's is the ordinary run, so that it is found in the store.
  public func intervention(_ layer: Int) throws -> Tracer.Intervention {
    if layer == layers { return .init() }
    return .init(
      ["diffusion_lens": "prompt: text encoder layer \(layer) of \(layers), final layer norm; negative prompt: last layer"],
      conditioning: try conditioning(layer))
  }
}

/// How far the pictures of the layers are from the last one's and from each other.
public struct LensDistances: Sendable {
  /// `[layers][images]` in `PictureDistance`'s units; the last row is 0.
  public let toLast: [[Double]]
  /// `[layers - 1][images]`: between each layer shown and the one shown before it.
  public let toPrevious: [[Double]]
  /// Mean distance between the last layer's pictures of different seeds: what another noise changes. nil with one image.
  public let betweenSeeds: Double?

  /// - Parameter pictures: `[layers][images]`, ascending layers, the last the text encoder's last.
  /// - Throws: `InputError` when sizes differ.
  public init(_ pictures: [[Picture]]) throws {
    let last = pictures.last ?? []
    toLast = try pictures.map { row in try zip(row, last).map { try PictureDistance.between($0, $1) } }
    toPrevious = try zip(pictures, pictures.dropFirst()).map { before, row in
      try zip(before, row).map { try PictureDistance.between($0, $1) }
    }
    var between: [Double] = []
    for i in last.indices { for k in last.indices where k > i { between.append(try PictureDistance.between(last[i], last[k])) } }
    betweenSeeds = between.isEmpty ? nil : between.reduce(0, +) / Double(between.count)
  }
}
