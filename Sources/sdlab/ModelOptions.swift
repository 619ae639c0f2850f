import ArgumentParser
import Engine

/// Which model, and which parts of it are replaced.
struct ModelOptions: ParsableArguments {
  @Option(
    name: [.long, .short],
    help: ArgumentHelp(
      "The model: a diffusers folder, a single .safetensors or .ckpt file, or a hub name such as org/name that is in the local Hugging Face cache. "
        + "The network is never used. Default: the small model that comes with the program.", valueName: "dir|file|name"))
  var model: String?

  @Option(
    help: ArgumentHelp(
      "Another autoencoder (VAE) than the model's own: a folder, a single file or a hub name in the local cache.",
      valueName: "dir|file|name"))
  var vae: String?

  @Option(
    help: ArgumentHelp(
      "The folder that holds vocab.json and merges.txt, for single files, which carry none, or in place of the model's own.",
      valueName: "dir"))
  var tokenizer: String?

  @Option(
    help: ArgumentHelp(
      "Which variant of the weight files to take from a folder: fp16 for diffusion_pytorch_model.fp16.safetensors. Default: the plain ones, or "
        + "the only variant there is.", valueName: "name"))
  var variant: String?

  @Flag(help: "Take the UNet's moving average (model_ema) from a training checkpoint.")
  var ema = false

  @Option(
    help: ArgumentHelp(
      "How weights are kept in memory: f16 halves what float32 files need and rounds them, f32 needs more than half-precision files do and gives the "
        + "same numbers. Default: as they lie in the files.", valueName: "f32|f16"))
  var weights: WeightPrecision?

  @Option(
    help: ArgumentHelp(
      "What UNet and VAE multiply in: bf16 rounds both sides of matrix products to bfloat16, twice as fast on processors with AVX512_BF16 and slower on "
        + "others; large 3x3 convolutions stay f32. Default: f32.", valueName: "f32|bf16"))
  var precision: ProductPrecision?

  @Option(
    help: ArgumentHelp(
      "Add a LoRA to the model's weights, in diffusers' or kohya's layout. A number behind a colon is how much of it, 1 by default. May be given several "
        + "times.", valueName: "file[:weight]"))
  var lora: [String] = []

  @Option(
    help: ArgumentHelp(
      "Add a textual inversion: a word of its own for the prompt, such as <toy>. The word is the one in the file, or the file's name; another one can be "
        + "given behind a colon. May be given several times.", valueName: "file[:word]"))
  var embedding: [String] = []

  @Flag(help: "Leave out the safety checker that the model's folder has.")
  var noSafetyChecker = false

  /// Finds the model and opens its files; no weight is read.
  /// - Parameters: loras, words: added behind those that were named.
  func source(adding loras: [LoRA] = [], _ words: [TextualInversion] = []) throws -> ModelSource {
    try ModelSource.resolve(
      model, tokenizer: tokenizer, vae: vae, ema: ema, variant: variant, precision: weights, products: precision ?? .f32,
      loras: adaptations.loras() + loras,
      embeddings: adaptations.embeddings() + words, checksSafety: !noSafetyChecker)
  }

  var adaptations: AdaptationNames { AdaptationNames(lora: lora, embedding: embedding) }

  /// Reads the whole model; its warnings go to standard error.
  func load(_ report: ReportOptions) throws -> StableDiffusion { try Self.load(source(), report) }

  /// What was not given is as it was when a record was made.
  func completed(by p: GenerationParameters) -> ModelOptions {
    var options = self
    options.model = model ?? (p.model.name == "embedded" ? nil : p.model.name)
    options.vae = vae ?? p.vae?.name
    options.tokenizer = tokenizer ?? p.tokenizer?.name
    options.variant = variant ?? p.variant
    options.ema = ema || p.ema == true
    options.weights = weights ?? p.weights.flatMap(WeightPrecision.init)
    options.precision = precision ?? p.precision.flatMap(ProductPrecision.init)
    if lora.isEmpty { options.lora = p.loras?.map { "\($0.name):\($0.weight)" } ?? [] }
    if embedding.isEmpty { options.embedding = p.embeddings?.map { "\($0.name):\($0.token)" } ?? [] }
    return options
  }

  static func load(_ source: ModelSource, _ report: ReportOptions) throws -> StableDiffusion {
    let model = try StableDiffusion(source)
    if !report.quiet { model.warnings.forEach(Terminal.warning) }
    return model
  }
}

extension ModelSource {
  /// The tokenizer and the number of tokens in a row, without the networks.
  func promptTokenizer() throws -> (tokenizer: Tokenizer, length: Int) {
    let tokenizer = try tokenizer()
    return (tokenizer, min(tokenizer.modelMaxLength ?? 77, try CLIPTextConfig(textEncoderConfig).maxPositions))
  }
}

extension WeightPrecision: ExpressibleByArgument {}
extension ProductPrecision: ExpressibleByArgument {}
