import ArgumentParser
import Engine
import Foundation

struct Decode: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Decode latents into pictures with the model's VAE.",
    discussion: """
      Takes what `sdlab encode` and `sdlab generate --latents-out` write, and diffusers' output_type="latent".

      Example:
        sdlab decode boats.safetensors -o boats.png
      """)

  @Argument(
    help: ArgumentHelp("A safetensors file with `latents` [n, channels, h, w], scaled as the UNet sees them.", valueName: "latents"))
  var latents: String

  @Option(help: ArgumentHelp("Decode in overlapping tiles: on, off, or auto (above one megapixel).", valueName: "when"))
  var vaeTiling = Tiling.auto

  @Option(
    name: [.customLong("output"), .short],
    help: ArgumentHelp(
      "The PNG file to write, or an existing folder. Several pictures get their number from 0 before the extension. Default: the name of the "
        + "latents.", valueName: "out.png"))
  var output: String?

  @Flag(name: [.long, .short], help: "Overwrite files that are there.")
  var force = false

  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let file = try LatentsFile(url: URL(fileURLWithPath: latents))
    let count = file.latents.shape[0]
    let stem = URL(fileURLWithPath: latents).deletingPathExtension().lastPathComponent
    let files = try PictureFiles(
      output: output, defaultStem: stem, numbers: (0..<count).map(String.init), defaultName: stem, latents: nil)
    try files.check(force: force)
    let (vae, source) = try model.loadVAE()
    try file.check(vae.config, path: latents)
    let (height, width) = (file.latents.shape[1] * vae.config.factor, file.latents.shape[2] * vae.config.factor)
    guard max(height, width) <= 16384 else {
      throw InputError(.badData, "\(latents): a picture of \(width)x\(height) pixels, expected sides of at most 16384")
    }
    var bar = count > 1 ? ProgressBar("decoding", total: count, quiet: report.quiet) : nil
    for i in 0..<count {
      let picture = Picture(try vae.pictures(file.latents.slice(i..<i + 1), tiling: vaeTiling))
      try picture.writePNG(to: files.pictures[i], metadata: metadata(file.parameters, index: i, source, picture))
      bar?.advance()
    }
    if report.json {
      try StandardOutput.json(
        Report(images: files.pictures.map(\.relativePath), width: width, height: height, model: model.recordedName(source)))
    } else {
      for url in files.pictures { try StandardOutput.line(url.relativePath) }
    }
  }

  /// The parameters that came with the latents, where this model made them: only then do they describe the picture.
  private func metadata(_ recorded: GenerationParameters?, index: Int, _ source: ModelSource, _ picture: Picture) throws -> PictureMetadata
  {
    guard var parameters = recorded, parameters.index + index < parameters.count, parameters.width == picture.width,
      parameters.height == picture.height,
      let digest = parameters.model.sha256, digest == (try ModelDigest.of(source, quiet: report.quiet))
    else {
      var metadata = PictureMetadata()
      try metadata.addOrigin(sdlabVersion: Sdlab.version)
      return metadata
    }
    parameters.index += index
    parameters.vaeTiling = vaeTiling == .auto ? nil : vaeTiling.rawValue
    return try PictureMetadata(parameters)
  }

  private struct Report: Encodable {
    let images: [String]
    let width: Int
    let height: Int
    let model: String
  }
}
