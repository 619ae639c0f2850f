import Engine
import Foundation

/// Pictures as latents, encoded once, and their captions: what a latent diffusion model is trained with.
///
/// Batch k is a function of the seed and k alone, so that a training that goes on sees what it would have seen. Pictures are encoded as they are: what augmentation does to
/// pixels cannot be done to latents (`AugmentedLatents`).
public struct LatentData: Sendable {
  /// `[count, h, w, c]`, as the UNet sees them.
  public let latents: Tensor
  public let source: any ExampleSource
  public let indices: [Int]

  public struct Batch: Sendable {
    public let latents: Tensor
    public let captions: [String]
  }

  public init(latents: Tensor, source: any ExampleSource, indices: [Int]) {
    precondition(latents.shape[0] == indices.count, "\(latents.shape) for \(indices.count) examples")
    (self.latents, self.source, self.indices) = (latents, source, indices)
  }

  /// Encodes, or takes the latents from a file that was written for the same data and VAE.
  ///
  /// - Parameters:
  ///   - cache: where they are kept; a file of other data is written anew.
  ///   - name: what they are made of: the source, the frame, the model's digest.
  ///   - each: called with the number of pictures that were encoded.
  public init(
    _ source: any ExampleSource, indices: [Int], framing: Framing, model: StableDiffusion, cache: URL, name: String,
    each: (Int) -> Void = { _ in }
  ) throws {
    if let contents = try? Safetensors.read(cache), contents.metadata["made_of"] == name,
      let stored = contents.tensors.first(where: { $0.name == "latents" }), stored.shape.first == indices.count
    {
      self.init(latents: try stored.float32(), source: source, indices: indices)
      return
    }
    var parts: [Tensor] = []
    var random = NumPyRandom(seed: 0)
    let batch = framing.picturesAtOnce
    for start in stride(from: 0, to: indices.count, by: batch) {
      let range = start..<min(start + batch, indices.count)
      let pictures = try indices[range].map { framing.apply(try source.example($0, epoch: 0).picture, &random).tensor }
      parts.append(try model.encode(Tensor.concatenated(pictures)))
      each(range.count)
    }
    let latents = Tensor.concatenated(parts)
    try Safetensors.write([("latents", latents)], metadata: ["made_of": name], to: cache)
    self.init(latents: latents, source: source, indices: indices)
  }

  /// Batch number `step` of `size` examples; epochs follow each other in orders of their own.
  public func batch(_ step: Int, size: Int, seed: UInt64) throws -> Batch {
    var order = ShuffledOrder(count: indices.count, seed: seed, position: step * size)
    let places = (0..<size).map { _ in order.next() }
    return Batch(
      latents: .concatenated(places.map { latents.slice($0.index..<$0.index + 1) }),
      captions: try places.map { try source.caption(indices[$0.index], epoch: $0.epoch) })
  }
}
