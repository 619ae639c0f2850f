import Engine
import Foundation
import Training

/// What a training with a latent diffusion model's loss moves, and what it leaves behind.
protocol DenoisingSubject {
  /// As the training's record names it.
  var kind: String { get }
  var model: StableDiffusion { get }
  /// Digest of the weights that it begins with, and whether they are drawn anew.
  var base: String { get }
  var isFromScratch: Bool { get }
  /// What tells it from others of its kind, for the record; nil where the common settings say all.
  var details: [String: String]? { get }
  /// True when checkpoints hold a whole model, not only what is trained.
  var keepsWholeModel: Bool { get }

  /// - Parameter networks: of the base, without the VAE.
  func part(_ networks: Parameters) throws -> DenoisingObjective.Part
  /// The parameters at the start: the networks' and what is added to them.
  func start(_ networks: Parameters, _ objective: DenoisingObjective) throws -> Parameters

  /// Puts what was trained into a folder that is there.
  func write(_ weights: Parameters, _ objective: DenoisingObjective, card: String, to folder: URL) throws
  /// Puts it where the finished training has it.
  /// - Returns: what the person is told.
  func finish(_ weights: Parameters, _ objective: DenoisingObjective, card: String, training: URL) throws -> URL
  /// The model with what a folder that was written holds.
  func adapted(_ folder: URL) throws -> StableDiffusion

  /// What came out, for the card: `A LoRA`.
  var title: String { get }
  /// Rows of the card's table beside the common ones: what it begins with, what is trained.
  func facts(trained: Int) -> [(String, String)]
  /// Behind the card's table; may be empty.
  var usage: String { get }
  /// Prompts of the sample sheets.
  var samples: [String] { get }
}

extension Parameters {
  /// What a denoiser is trained with: the UNet and the text encoder.
  static func denoiser(_ model: StableDiffusion) throws -> Parameters {
    let all = try Parameters(model.source.weights)
    return Parameters(zip(all.names, all.values).filter { !$0.0.hasPrefix("vae.") }.map { ($0, $1) })
  }
}
