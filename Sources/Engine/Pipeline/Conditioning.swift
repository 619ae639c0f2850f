/// What the UNet is told of the prompt, for one run: embeddings of one row, repeated over the images of a batch, or a row an image.
public struct Conditioning: Sendable {
  /// `[1, tokens, width]`, or `[images, tokens, width]` for prompts of their own.
  public let prompt: Tensor
  /// `[1, tokens, width]` of the negative prompt, of equal length; nil without guidance.
  public let negative: Tensor?
  /// Warnings for the person: what was cut off.
  public let warnings: [String]

  public init(prompt: Tensor, negative: Tensor?, warnings: [String] = []) {
    self.prompt = prompt
    self.negative = negative
    self.warnings = warnings
  }

  func positive(rows: Int) -> Tensor { prompt.shape[0] == rows ? prompt : .concatenated(Array(repeating: prompt, count: rows)) }

  func both(rows: Int, _ negative: Tensor) -> Tensor {
    .concatenated(Array(repeating: negative, count: rows) + [positive(rows: rows)])
  }
}

extension StableDiffusion {
  /// Tokens in a row, BOS and EOS included: what the tokenizer's files say, but no more than the text encoder has positions.
  public var promptLength: Int { min(tokenizer.modelMaxLength ?? 77, text.config.maxPositions) }

  /// The rows of tokens for a prompt as this model takes them.
  public func tokenize(_ prompt: String, longPrompt: PromptOverflow = .truncate, emphasis: PromptEmphasis = .none) throws -> TokenizedPrompt
  {
    try tokenizer.prepare(prompt, length: promptLength, overflow: longPrompt, emphasis: emphasis)
  }

  /// Encodes a request's prompt and, when it uses guidance, its negative prompt.
  public func conditioning(_ request: GenerationRequest) throws -> Conditioning {
    let contrast = request.usesGuidance && unet.config.timeCondProjDim == nil
    var prompts = [try tokenize(request.prompt, longPrompt: request.longPrompt, emphasis: request.emphasis)]
    if contrast { prompts.append(try tokenize(request.negativePrompt, longPrompt: request.longPrompt, emphasis: request.emphasis)) }
    TokenizedPrompt.equalizeChunks(&prompts)
    let positive = try embedding(prompts[0], clipSkip: request.clipSkip)
    // As in diffusers, clip skip does not reach the negative prompt (A1111 applies it to both).
    let negative = contrast ? try embedding(prompts[1]) : nil
    // Half a gigabyte that nobody needs while a large UNet works.
    if hasLargeUNet { source.weights.release("text_encoder") }
    return Conditioning(prompt: positive, negative: negative, warnings: prompts.compactMap(\.warning))
  }

  /// One prompt an image, for runs of `prompts.count` images; no emphasis, long prompts are cut.
  public func conditioning(_ prompts: [String], negative: String? = nil) throws -> Conditioning {
    Conditioning(
      prompt: .concatenated(try prompts.map { try embedding(tokenize($0)) }),
      negative: unet.config.timeCondProjDim == nil ? try negative.map { try embedding(tokenize($0)) } : nil)
  }

  /// The embedding of a tokenized prompt, `[1, chunks * length, width]`: each chunk is encoded by itself, emphasis weighs the rows.
  public func embedding(_ prompt: TokenizedPrompt, clipSkip: Int = 0, _ context: ForwardContext = ForwardContext()) throws -> Tensor {
    let rows = try text.promptEmbedding(prompt.chunks.map(\.ids), clipSkip: clipSkip, context)
    let flat = rows.reshaped([1, prompt.chunks.count * prompt.length, text.config.hiddenSize])
    return prompt.isWeighted ? flat.emphasized(prompt.weights, rowsPerChunk: prompt.length) : flat
  }
}
