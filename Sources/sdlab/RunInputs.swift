import Engine
import Foundation

/// The pictures and latents that a run begins with, read and checked before the model is.
struct RunInputs {
  struct Input<Content> {
    let content: Content
    /// Name as given, with the digest of the file.
    let source: GenerationParameters.Source
  }

  var initImage: Input<Picture>?
  var mask: Input<Picture>?
  /// `[n, h, w, c]`, standard normal scale.
  var initLatents: Input<Tensor>?
  /// In place of all these.
  var inversion: Inverted?

  init(initImage: String?, mask: String?, initLatents: String?) throws {
    if mask != nil, initImage == nil {
      throw InputError(.usage, "--mask needs a picture to mask", hint: "give it with --init-image")
    }
    self.initImage = try initImage.map { try Self.read($0) { try Picture(url: $0) } }
    self.mask = try mask.map { try Self.read($0) { try Picture(url: $0) } }
    self.initLatents = try initLatents.map { try Self.read($0) { try LatentsFile(url: $0).latents } }
  }

  private static func read<Content>(_ path: String, _ body: (URL) throws -> Content) throws -> Input<Content> {
    let url = URL(fileURLWithPath: path)
    let content = try body(url)
    return Input(content: content, source: .init(name: path, sha256: try ModelDigest.of(file: url)))
  }

  /// Sides of the picture to be made, in pixels: as asked for, else those of the first picture, rounded down to what the model can make (as
  /// diffusers does), else those of the latents given, else what the model was trained at.
  func size(width: Int?, height: Int?, _ vae: VAEConfig, native: (width: Int, height: Int)) throws -> (width: Int, height: Int) {
    let factor = vae.factor
    func side(_ name: String, _ given: Int?, _ image: Int?, _ latents: Int?, _ native: Int) throws -> Int {
      guard let given else {
        if let image {
          guard image >= factor else {
            throw InputError(
              .badData, "\(initImage?.source.name ?? "--init-image"): a picture of \(image) pixels in \(name), expected at least \(factor)",
              hint: "give --\(name)")
          }
          return image / factor * factor
        }
        return latents.map { $0 * factor } ?? native
      }
      guard (factor...16384).contains(given), given % factor == 0 else {
        let nearest = max(factor, min(16384, (min(max(given, 0), 16384) + factor / 2) / factor * factor))
        throw InputError(
          .usage, "--\(name) \(given): expected a multiple of \(factor) from \(factor) to 16384", hint: "the nearest is \(nearest)")
      }
      return given
    }
    let image = initImage?.content
    let latents = initLatents?.content.shape ?? inversion?.file.inversion.noise.shape
    return (
      try side("width", width, image?.width, latents?[2], native.width),
      try side("height", height, image?.height, latents?[1], native.height)
    )
  }

  /// The first picture for a run of this size: `[1, h, w, 3]` in -1...1, resized by Lanczos as diffusers' `VaeImageProcessor`.
  func imageTensor(width: Int, height: Int) -> Tensor? { initImage.map { Self.fit($0.content, width, height).tensor } }

  /// The mask: resized by Lanczos, then binarised at 0.5, in the order and with the filter of diffusers' mask processor.
  func maskTensor(width: Int, height: Int) -> Tensor? { mask.map { Self.fit($0.content, width, height).mask } }

  /// A picture at this size, resized by Lanczos where it has another.
  static func fit(_ picture: Picture, _ width: Int, _ height: Int) -> Picture {
    picture.width == width && picture.height == height ? picture : picture.resized(width: width, height: height, filter: .lanczos)
  }
}

/// A safetensors file with `latents` `[n, c, h, w]`, as `--latents-out` writes it.
struct LatentsFile {
  /// `[n, h, w, c]`
  let latents: Tensor
  /// How they were made, when the file says so.
  let parameters: GenerationParameters?

  init(url: URL) throws {
    let contents = try Safetensors.read(url)
    let path = url.relativePath
    guard let stored = contents.tensors.first(where: { $0.name == "latents" }) else {
      let names = contents.tensors.prefix(4).map(\.name).joined(separator: ", ")
      throw InputError(
        .badData, "\(path): expected a tensor named latents, found \(names.isEmpty ? "none" : names)",
        hint: "`sdlab generate --latents-out` and `sdlab encode` write such files")
    }
    guard stored.shape.count == 4, stored.shape.allSatisfy({ (1...65536).contains($0) }) else {
      throw InputError(.badData, "\(path): latents: expected [n, channels, height, width], found \(stored.shape)")
    }
    latents = try stored.float32().nhwc()
    parameters = try contents.metadata[GenerationParameters.keyword].map { try GenerationParameters(json: $0, name: path) }
  }

  /// Writes `[n, h, w, c]` as `latents` `[n, c, h, w]` float32.
  static func write(_ latents: Tensor, _ parameters: GenerationParameters?, to url: URL) throws {
    let metadata = try parameters.map { [GenerationParameters.keyword: try $0.json()] } ?? [:]
    try Safetensors.write([("latents", latents.nchw())], metadata: metadata, to: url)
  }

  /// Refuses latents of another model.
  func check(_ vae: VAEConfig, path: String) throws {
    guard latents.shape[3] == vae.latentChannels else {
      throw InputError(
        .badData, "\(path): latents of \(latents.shape[3]) channels, the model's have \(vae.latentChannels)",
        hint: "give the model they are of with --model")
    }
  }
}
