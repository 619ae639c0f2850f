import ArgumentParser
import Engine
import Foundation
import Training

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train here: a small model's autoencoder, text encoder or UNet, a LoRA for a large one, a word, or a classifier of pictures.",
    discussion: """
      A training has a folder of its own: settings, a log, curves, sample sheets, checkpoints, and in the end what was trained. The same command goes on where it \
      stopped, whatever stopped it, to the same weights as if nothing had.
      """,
    subcommands: [
      TrainVAE.self, TrainLDM.self, TrainText.self, TrainLoRA.self, TrainTextualInversion.self, TrainClassifier.self, TrainSweep.self,
    ])
}

/// - Throws: `InputError` (usage) with the option's name, its value and the range, unless the value is fine.
func demand(_ isFine: Bool, _ option: String, _ value: String, _ range: String) throws {
  guard isFine else { throw InputError(.usage, "--\(option) \(value): expected \(range)") }
}

/// How long, how fast, in what steps.
struct TrainingOptions: ParsableArguments {
  @Option(
    name: [.customLong("out"), .customShort("o")],
    help: ArgumentHelp("The training's folder. A training of the same settings that is there goes on.", valueName: "dir"))
  var output: String

  @Option(help: ArgumentHelp("Steps of the whole training, 1 to 10000000. Default: 1000; of a classifier 3000.", valueName: "n"))
  var steps: Int?

  @Option(help: ArgumentHelp("Examples a step, 1 to 4096. Default: 16; of a classifier 24, of text 64.", valueName: "n"))
  var batch: Int?

  @Option(
    help: ArgumentHelp(
      "Highest learning rate. Default: 2e-4 for vae and ldm (a vae from scratch 2e-3), 1e-3 for lora, 2e-3 for text, 5e-3 for textual-inversion, 3e-3 for classifier.",
      valueName: "x"))
  var rate: Double?

  @Option(help: ArgumentHelp("Steps until the highest rate is reached; then half a cosine down.", valueName: "n"))
  var warmUp = 100

  @Option(help: ArgumentHelp("adamw, or muon for hidden matrices with adamw for the rest.", valueName: "name"))
  var optimiser = TrainerSettings.Optimiser.adamw

  @Option(help: ArgumentHelp("Weight decay of matrices and kernels.", valueName: "x"))
  var decay = 0.01

  @Option(help: ArgumentHelp("Norm that all gradients together may have.", valueName: "x"))
  var clip = 1.0

  @Option(
    help: ArgumentHelp(
      "Factor with which the moving average is kept, whose weights the model gets; 0 takes the last weights.", valueName: "x"))
  var average = 0.999

  @Option(help: ArgumentHelp("Seed of the order, the noises and the weights.", valueName: "k"))
  var seed: UInt64 = 42

  @Option(help: ArgumentHelp("Steps between two checkpoints.", valueName: "n"))
  var checkpoint = 500

  @Option(help: ArgumentHelp("Checkpoints that are kept.", valueName: "n"))
  var keep = 2

  /// - Parameters: what the training takes where nothing was given.
  func settings(steps usualSteps: Int = 1000, batch usualBatch: Int = 16, rate usualRate: Double = 2e-4) throws -> TrainerSettings {
    let (steps, batch, rate) = (steps ?? usualSteps, batch ?? usualBatch, rate ?? usualRate)
    try demand((1...10_000_000).contains(steps), "steps", "\(steps)", "1 to 10000000")
    try demand((1...4096).contains(batch), "batch", "\(batch)", "1 to 4096")
    try demand(rate > 0 && rate <= 1, "rate", "\(rate)", "a number above 0, at most 1")
    try demand((0...10_000_000).contains(warmUp), "warm-up", "\(warmUp)", "0 or more")
    try demand((0...1).contains(decay), "decay", "\(decay)", "0 to 1")
    try demand(clip > 0 && clip.isFinite, "clip", "\(clip)", "a number above 0")
    try demand(average >= 0 && average < 1, "average", "\(average)", "0 to below 1")
    try demand(checkpoint >= 1, "checkpoint", "\(checkpoint)", "1 or more")
    try demand((1...1000).contains(keep), "keep", "\(keep)", "1 to 1000")
    return TrainerSettings(
      steps: steps, batch: batch, rate: rate, warmUp: warmUp, optimiser: optimiser, decay: decay, clip: clip, average: average, seed: seed)
  }
}

extension TrainerSettings.Optimiser: ExpressibleByArgument {}
