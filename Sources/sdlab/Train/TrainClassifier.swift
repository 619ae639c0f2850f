import ArgumentParser
import Engine
import Foundation
import Plots
import Training

struct TrainClassifier: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "classifier",
    abstract: "Train a classifier of your own pictures, or the judge of the scenes world, which says what is where in a picture.",
    discussion: """
      Of a folder with a subfolder a class (or metadata.jsonl with a label a picture): a small network that says which class a picture is of. Its card says how often it is right \
      on pictures that it has not seen; `sdlab evaluate --extractor classifier` measures sets of pictures with it.

      Of the scenes, the judge: a small segmentation network, on scenes of all combinations, held-out ones too, that are drawn as it goes; half of them go through the small model's autoencoder first. `sdlab evaluate scenes` asks it what a model's pictures show. \
      Its card says how often it is right on scenes that it has not seen, as they are drawn and as they come back from the small model's autoencoder.

      Examples:
        sdlab train classifier --data photos --flip 0.5 --out kinds
        sdlab evaluate is --fake generated --extractor classifier --extractor-weights kinds/model
        sdlab train classifier --out judge
        sdlab evaluate scenes --judge judge/model
      """)

  @Option(
    help: ArgumentHelp(
      "scenes, or a folder of pictures: a subfolder a class, or metadata.jsonl with file_name and label.", valueName: "scenes|dir"))
  var data = "scenes"

  @Option(
    help: ArgumentHelp(
      "Share of a folder's pictures that is kept for validation, and once more for the card's numbers, above 0 to 0.4.", valueName: "x"))
  var validation = 0.1

  @Option(help: ArgumentHelp("Pixels a side that a folder's pictures are seen with, a multiple of 8 from 16 to 512.", valueName: "pixels"))
  var side = 64

  @Option(help: ArgumentHelp("Seed of the scenes. For --data scenes.", valueName: "k"))
  var dataSeed: UInt64 = 2000

  @Option(help: ArgumentHelp("Channels of the network's first level, a multiple of 4 from 4 to 512.", valueName: "n"))
  var width = 24

  @Option(help: ArgumentHelp("Unseen scenes that the card's numbers are measured on, 40 to 100000. For --data scenes.", valueName: "n"))
  var test = 2000

  @Option(
    help: ArgumentHelp(
      "Share of the pictures that go through the autoencoder of the model that comes with sdlab before they are shown, 0 to 1. For --data scenes.",
      valueName: "share"))
  var decoded = JudgeObjective.Settings().decoded

  @Flag(help: "Write the model's weights in half precision.") var half = false
  @Flag(help: "Compute and write nothing; say what it would take.") var dryRun = false

  @OptionGroup(title: "Changes to a folder's pictures") var augmentation: AugmentationOptions
  @OptionGroup(title: "Training") var training: TrainingOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let settings = try training.settings(steps: 3000, batch: 24, rate: 3e-3)
    let changes = try augmentation.changes()
    try demand((4...512).contains(width) && width % 4 == 0, "width", "\(width)", "a multiple of 4 from 4 to 512")
    try demand((40...100_000).contains(test), "test", "\(test)", "40 to 100000")
    try demand((0...1).contains(decoded), "decoded", "\(decoded)", "0 to 1")
    try demand((16...512).contains(side) && side % 8 == 0, "side", "\(side)", "a multiple of 8 from 16 to 512")
    try demand(validation > 0 && validation <= 0.4, "validation", "\(validation)", "above 0 to 0.4")
    guard data == "scenes" else {
      let training = try FolderClassifierTraining(self, settings, changes)
      return try dryRun ? training.plan() : training.run()
    }
    guard !changes.isOn else {
      throw InputError(
        .usage, "--data scenes: its pictures are changed as the judge needs it, not by options",
        hint: "leave out --flip, --rotation, --scale, --colour-jitter and --crop")
    }
    if dryRun { return try plan(settings) }
    try ClassifierTraining(self, settings).run()
  }

  fileprivate func objective() throws -> JudgeObjective {
    JudgeObjective(SceneJudge.config(width: width), .init(decoded: decoded), vae: try StableDiffusion().vae, seed: dataSeed)
  }

  private func plan(_ settings: TrainerSettings) throws {
    let objective = try objective()
    let trainer = Trainer(SegmentationNet.parameters(objective.config).initialised(seed: settings.seed), settings)
    let best = try trainer.secondsPerStep { try objective.loss($0, step: $1, batch: settings.batch) }
    try TrainingPlan(trained: trainer.parameters.count, steps: settings.steps, secondsPerStep: best).print(
      data: "\(grouped(settings.steps * settings.batch)) scenes of seed \(dataSeed)", report)
  }
}

/// A training of a judge under way.
private struct ClassifierTraining {
  private let verb: TrainClassifier
  private let settings: TrainerSettings
  private let objective: JudgeObjective
  private let folder: TrainingFolder

  private struct Record: Codable {
    var kind = "classifier"
    let data: String
    let width: Int
    let test: Int
    let half: Bool
    let trainer: TrainerSettings
    let objective: JudgeObjective.Settings
    /// The number of threads decides the last bits.
    let threads: Int
  }

  init(_ verb: TrainClassifier, _ settings: TrainerSettings) throws {
    (self.verb, self.settings) = (verb, settings)
    objective = try verb.objective()
    folder = try TrainingFolder(
      URL(fileURLWithPath: verb.training.output),
      Record(
        data: "scenes of seed \(verb.dataSeed), all combinations", width: verb.width, test: verb.test, half: verb.half, trainer: settings,
        objective: objective.settings, threads: Threads.count), kept: verb.training.keep)
  }

  func run() throws {
    var trainer = Trainer(SegmentationNet.parameters(objective.config).initialised(seed: settings.seed), settings)
    let loop = TrainingLoop(folder: folder, settings: settings, checkpoint: verb.training.checkpoint, quiet: verb.report.quiet)
    let outcome = try loop.run(&trainer) { trainer in
      try trainer.advance { try objective.loss($0, step: $1, batch: settings.batch) }
    } validation: {
      try validation($0)
    } keep: { trainer, lines, _ in
      try folder.checkpoints.write(trainer) { try SceneJudge.write(trainer.result, objective.config, half: verb.half, to: $0) }
      try folder.draw(lines, title: "Training of \(folder.url.lastPathComponent)", measure: "cross entropy of nouns, colours and settings")
    }
    try finish(trainer, outcome)
  }

  /// On scenes of another seed, as they are drawn.
  private func validation(_ trainer: Trainer) throws -> Double {
    let frozen = trainer.result.recorded { _ in false }
    let (count, size) = (128, 32)
    let losses = try stride(from: 0, to: count, by: size).map { first in
      try objective.loss(
        frozen, scenes: (first..<first + size).map { Scene.sample(seed: verb.dataSeed &+ 1, index: $0, heldOut: .allowed) })
    }
    return losses.reduce(0) { $0 + Double($1.array[0]) } / Double(losses.count)
  }

  private func finish(_ trainer: Trainer, _ outcome: TrainingLoop.Outcome) throws {
    let place = folder.url.appendingPathComponent("model")
    let atomic = try AtomicFolder(place)
    try SceneJudge.write(trainer.result, objective.config, half: verb.half, to: atomic.temporary)
    // Measured on what was written: rounding counts.
    let judge = try SceneJudge(folder: atomic.temporary)
    let test = try SceneExamination(
      judge, scenes: SceneExamination.balanced(verb.test, seed: verb.dataSeed &+ 2), vae: objective.vae, quiet: verb.report.quiet)
    try AtomicFile.write(Data(card(trainer, outcome.lines, test).utf8), to: atomic.temporary.appendingPathComponent("README.md"))
    try atomic.commit()
    guard verb.report.json else { return try StandardOutput.line(place.relativePath) }
    var summary = TrainingLoop.Summary(outcome, place, settings)
    (summary.accuracy, summary.accuracyThroughVAE) = (test.drawn.rows, test.decoded.rows)
    try StandardOutput.json(summary)
  }

  private func card(_ trainer: Trainer, _ lines: [TrainingFolder.Line], _ test: SceneExamination) -> String {
    let o = objective.settings
    let rows = zip(test.drawn.rows, test.decoded.rows).map { drawn, decoded in
      "| \(drawn.group.words) | \(drawn.question.rawValue) | \(drawn.text) | \(decoded.text) | \(drawn.total) |"
    }
    return """
      # \(folder.url.lastPathComponent)

      A judge of the scenes world trained with sdlab \(Sdlab.version): a segmentation network that says which noun and which colour is where in a picture of \
      \(SceneJudge.side)x\(SceneJudge.side), and which setting it is.

      | | |
      | --- | --- |
      | network | three levels of \(verb.width), \(2 * verb.width) and \(4 * verb.width) channels, group norms and SiLU; \(grouped(trainer.parameters.count)) parameters\(verb.half ? ", in half precision" : "") |
      | data | \(grouped(trainer.step * settings.batch)) scenes of seed \(verb.dataSeed), all combinations, held-out ones too, each seen once |
      | changes | pixels shifted in waves by up to \(decimal(o.bend, 1)), \(decimal(100 * o.decoded, 0)) % through the autoencoder of the model that comes with sdlab; light, contrast and saturation by up to \(decimal(100 * o.jitter, 0)) %, softened in \(decimal(100 * o.blur, 0)) %, blurred in places by up to \(decimal(100 * o.smudge, 0)) %, noise of a deviation up to \(decimal(o.noise, 2)) |
      | objective | cross entropy of nouns (background half) and colours, and 0.3 of the settings' |
      | optimiser | \(settings.optimiser.rawValue), rate \(settings.rate) after \(settings.warmUp) steps, then half a cosine; decay \(settings.decay), gradients clipped at \(settings.clip); moving average, factor \(settings.average) |
      | loss | \(decimal(TrainingLoop.recent(lines), 4)) in training (mean of the last steps), \(lines.last?.validation.map { decimal($0, 4) } ?? "unknown") on scenes as they are drawn |
      | seed | \(settings.seed) |

      ## How often it is right

      On scenes of another seed, as they are drawn and as they come back from the autoencoder of the model that comes with sdlab. In percent, with 95 % intervals (Wilson's score).

      | scenes | question | drawn | through the VAE | n |
      | --- | --- | --- | --- | --- |
      \(rows.joined(separator: "\n"))

      noun, colour, size: of every object. exactly: the named nouns as often as named, and no other. count: as many things as there are. Size and count are read off areas and connected pieces: \
      things that hide or touch each other make most of their mistakes.

      """
  }
}
