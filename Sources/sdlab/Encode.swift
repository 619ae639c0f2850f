import ArgumentParser
import Engine
import Foundation

struct Encode: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Encode a picture into latents with the model's VAE.",
    discussion: """
      The latents are as the UNet sees them: multiplied by the VAE's scaling factor. `sdlab decode` takes them back.

      Example:
        sdlab encode photo.jpg --latents-out photo.safetensors
      """)

  @Argument(help: ArgumentHelp("The picture, PNG or JPEG.", valueName: "image"))
  var image: String

  @Option(
    help: ArgumentHelp(
      "The safetensors file to write: `latents` [1, channels, h, w] float32. Default: the picture's name with the extension .safetensors, in the "
        + "working folder.", valueName: "file.safetensors"))
  var latentsOut: String?

  @Flag(help: "Draw a sample from the VAE's distribution instead of taking its mean.")
  var sample = false

  @Option(help: ArgumentHelp("Seed of --sample, 0 to 18446744073709551615.", valueName: "k"))
  var seed: UInt64 = 42

  @Option(help: ArgumentHelp("The generator of --sample's noise: cpu or cuda.", valueName: "name"))
  var rng = GenerationRequest.RandomNumbers.cpu

  @Option(
    name: [.long, .customShort("W")],
    help: ArgumentHelp(
      "Resize to this width in pixels first. Default: its own, rounded down to a multiple of the VAE's factor.", valueName: "pixels"))
  var width: Int?

  @Option(
    name: [.long, .customShort("H")], help: ArgumentHelp("Resize to this height in pixels first, like --width.", valueName: "pixels"))
  var height: Int?

  @Option(help: ArgumentHelp("Encode in overlapping tiles: on, off, or auto (above one megapixel).", valueName: "when"))
  var vaeTiling = Tiling.auto

  @Flag(name: [.long, .short], help: "Overwrite a file that is there.")
  var force = false

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let inputs = try RunInputs(initImage: image, mask: nil, initLatents: nil)
    let stem = URL(fileURLWithPath: image).deletingPathExtension().lastPathComponent
    let url = URL(fileURLWithPath: latentsOut ?? "\(stem).safetensors")
    try OutputFile.check([url], force: force)
    let (vae, source) = try model.loadVAE()
    let (w, h) = try inputs.size(width: width, height: height, vae.config, native: (0, 0))
    guard let picture = inputs.imageTensor(width: w, height: h) else { return }
    let shape: Shape = [1, h / vae.config.factor, w / vae.config.factor, vae.config.latentChannels]
    let noise: Tensor? =
      switch (sample, rng) {
      case (false, _): nil
      case (true, .cpu): TorchRandom.noise(seed, shape)
      case (true, .cuda): PhiloxRandom.noise(seed, shape)
      }
    let latents = try vae.latents(picture, noise: noise, tiling: vaeTiling)
    try LatentsFile.write(latents, nil, to: url)
    if report.json {
      try StandardOutput.json(
        Report(
          latents: url.relativePath, shape: latents.nchw().shape.dimensions, scalingFactor: vae.config.scalingFactor, sampled: sample,
          model: model.recordedName(source)))
    } else {
      try StandardOutput.line(url.relativePath)
    }
  }

  private struct Report: Encodable {
    let latents: String
    let shape: [Int]
    let scalingFactor: Double
    let sampled: Bool
    let model: String
  }
}

extension TorchRandom {
  fileprivate static func noise(_ seed: UInt64, _ shape: Shape) -> Tensor {
    var random = TorchRandom(seed: seed)
    return random.normal(nhwc: shape)
  }
}

extension PhiloxRandom {
  fileprivate static func noise(_ seed: UInt64, _ shape: Shape) -> Tensor {
    var random = PhiloxRandom(seed: seed)
    return random.normal(nhwc: shape)
  }
}
