import Engine

/// Augmented pictures as latents, encoded as they are asked for, and their captions: what a latent diffusion model is trained with where pictures are changed anew each time.
///
/// Batch k is a function of the data's seed and k alone, as that of `LatentData` is.
public struct AugmentedLatents: Sendable {
  private let data: TrainingData
  private let model: StableDiffusion

  public init(_ data: TrainingData, _ model: StableDiffusion) { (self.data, self.model) = (data, model) }

  /// Batch number `step` of `size` examples.
  public func batch(_ step: Int, size: Int) throws -> LatentData.Batch {
    let batch = try data.batch(step, size: size)
    let (n, part) = (batch.pixels.shape[0], data.framing.picturesAtOnce)
    let latents = try stride(from: 0, to: n, by: part).map { try model.encode(batch.pixels.slice($0..<min($0 + part, n))) }
    return LatentData.Batch(latents: .concatenated(latents), captions: batch.captions)
  }
}
