import ArgumentParser
import Engine

/// Size and number of the pictures, and what they begin with.
struct PictureOptions: ParsableArguments {
  @Option(
    name: [.long, .customShort("W")],
    help: ArgumentHelp(
      "Width in pixels, a multiple of the VAE's factor (8 for Stable Diffusion). Default: that of --init-image, else what the model was trained at.",
      valueName: "pixels"))
  var width: Int?

  @Option(name: [.long, .customShort("H")], help: ArgumentHelp("Height in pixels, like --width.", valueName: "pixels"))
  var height: Int?

  @Option(name: [.long, .customShort("n")], help: ArgumentHelp("Number of pictures, 1 to 4096. Default: 1.", valueName: "n"))
  var count: Int?

  @Option(
    help: ArgumentHelp(
      "Number of pictures computed at the same time. It costs memory and changes rounding, not the noise. Default: as many as keep latent positions "
        + "times rows at or under 8192, which is 1 for Stable Diffusion at 512x512.", valueName: "n"))
  var batch: Int?

  @Option(
    help: ArgumentHelp(
      "Start from this picture (PNG or JPEG) instead of noise. It is resized to --width and --height where they are given.",
      valueName: "file"))
  var initImage: String?

  @Option(
    help: ArgumentHelp(
      "How much of --init-image is redone, 0 (nothing) to 1 (all): that share of the steps is run. Default: 0.9.", valueName: "s"))
  var strength: Double?

  @Option(help: ArgumentHelp("Repaint --init-image only where this picture is white (128 to 255) and keep the rest.", valueName: "file"))
  var mask: String?

  @Option(
    help: ArgumentHelp(
      "Start from the noise in this safetensors file instead of drawn noise: `latents` [n, channels, h, w] of standard normal scale.",
      valueName: "file.safetensors"))
  var initLatents: String?

  @Option(
    help: ArgumentHelp(
      "Decode in overlapping tiles, which bounds memory and changes seams slightly: on, off, or auto (above one megapixel).",
      valueName: "when"))
  var vaeTiling = Tiling.auto

  func inputs() throws -> RunInputs { try RunInputs(initImage: initImage, mask: mask, initLatents: initLatents) }

  func apply(to parameters: inout GenerationParameters, _ inputs: RunInputs, count: Int) {
    parameters.count = count
    parameters.batch = batch
    parameters.initImage = inputs.initImage?.source
    parameters.mask = inputs.mask?.source
    parameters.initLatents = inputs.initLatents?.source
    parameters.strength = inputs.initImage == nil ? nil : strength ?? 0.9
    parameters.vaeTiling = vaeTiling == .auto ? nil : vaeTiling.rawValue
  }
}

extension ModelOptions {
  /// The model's name in the record of a picture, from which `rerun` finds it again.
  func recordedName(_ source: ModelSource) -> String { model ?? source.displayName }

  func apply(to parameters: inout GenerationParameters, _ source: ModelSource) {
    parameters.loras = source.loras.isEmpty ? nil : source.loras.map { .init(name: $0.name, weight: $0.weight) }
    parameters.embeddings = source.embeddings.isEmpty ? nil : source.embeddings.map { .init(name: $0.name, token: $0.token) }
    parameters.vae = vae.map { .init(name: $0) }
    parameters.tokenizer = tokenizer.map { .init(name: $0) }
    parameters.variant = variant
    parameters.ema = ema ? true : nil
    // float32 gives the numbers of the file, as does no option at all.
    parameters.weights = weights == .f16 ? WeightPrecision.f16.rawValue : nil
    parameters.precision = precision == .bf16 ? ProductPrecision.bf16.rawValue : nil
  }
}
