import Analysis
import ArgumentParser
import Engine
import Foundation
import Training

struct TrainText: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "text",
    abstract: "Teach a text encoder to tell where the things of a caption stand.",
    discussion: """
      Captions of the scenes world, no pictures. At the words of a relation (left of, above, ...) and of the second object the encoder's states learn a code of the direction; all \
      other states stay what they are. What comes out is the same folder with another text encoder: its UNet has yet to learn what the code means, by `sdlab train ldm`.

      Examples:
        sdlab train text --out told
        sdlab train ldm --model told/model --pairs 0.9 --timesteps 780-999 --high-noise 300 --out placed
      """)

  @Option(help: ArgumentHelp("Length of the code, in deviations of the states.", valueName: "x"))
  var strength = 1.5

  @Option(help: ArgumentHelp("Share of captions with two objects, 0 to 1.", valueName: "x"))
  var pairs = 0.8

  @Option(help: ArgumentHelp("Seed of the captions.", valueName: "k"))
  var dataSeed: UInt64 = 3000

  @Flag(help: "Compute and write nothing; say what it would take.") var dryRun = false

  @OptionGroup(title: "Training") var training: TrainingOptions
  @OptionGroup(title: "Model that it begins with") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let settings = try training.settings(steps: 1000, batch: 64, rate: 2e-3)
    try demand(strength > 0 && strength <= 100, "strength", "\(strength)", "a number above 0, at most 100")
    try demand((0...1).contains(pairs), "pairs", "\(pairs)", "a share from 0 to 1")
    let base = try model.baseFolder()
    let training = try TextTraining(self, model.load(report), base, settings)
    if dryRun { try training.plan() } else { try training.run() }
  }
}

/// A training of a text encoder under way.
private struct TextTraining {
  private let verb: TrainText
  private let model: StableDiffusion
  private let base: URL
  private let settings: TrainerSettings
  private let objective: RelationObjective
  private let captions: Captions
  /// Of the text encoder, at the start.
  private let parameters: Parameters
  /// Captions that are never trained with.
  private let unseen: [RelationCaption]

  private struct Record: Codable {
    var kind = "text"
    let base: String
    let data: String
    let trainer: TrainerSettings
    let objective: RelationObjective.Settings
    /// The number of threads decides the last bits.
    let threads: Int
  }

  /// The endless captions of a series.
  private struct Captions {
    let model: StableDiffusion
    let source: SceneSource

    /// - Parameter range: of scenes; each is told once.
    func callAsFunction(_ range: Range<Int>) throws -> [RelationCaption] {
      try range.map { RelationCaption(try model.tokenize(source.caption($0, epoch: 0))) }
    }
  }

  init(_ verb: TrainText, _ model: StableDiffusion, _ base: URL, _ settings: TrainerSettings) throws {
    (self.verb, self.model, self.base, self.settings) = (verb, model, base, settings)
    // More scenes than any training tells, so that none comes twice.
    captions = Captions(model: model, source: SceneSource(seed: verb.dataSeed, count: 1 << 40, pairs: verb.pairs))
    unseen = try Captions(model: model, source: SceneSource(seed: verb.dataSeed &+ 1, count: 512, pairs: 1))(0..<512)
    objective = try RelationObjective(
      model.text, .init(strength: verb.strength, pairs: verb.pairs), captions: captions(0..<256), seed: settings.seed)
    let all = try Parameters(model.source.weights)
    parameters = Parameters(zip(all.names, all.values).filter { [objective] in objective.isTrained($0.0) }.map { ($0, $1) })
  }

  private func loss(_ parameters: RecordedParameters, _ step: Int) throws -> Tensor {
    try objective.loss(parameters, captions(step * settings.batch..<(step + 1) * settings.batch))
  }

  func plan() throws {
    let best = try Trainer(parameters, settings).secondsPerStep(loss)
    try TrainingPlan(trained: parameters.count, steps: settings.steps, secondsPerStep: best).print(
      data: "\(grouped(settings.steps * settings.batch)) captions of seed \(verb.dataSeed)", verb.report)
  }

  func run() throws {
    let folder = try TrainingFolder(
      URL(fileURLWithPath: verb.training.output),
      Record(
        base: ModelDigest.of(model.source, quiet: verb.report.quiet), data: "captions of scenes of seed \(verb.dataSeed)",
        trainer: settings,
        objective: objective.settings, threads: Threads.count), kept: verb.training.keep)
    var trainer = Trainer(parameters, settings)
    let loop = TrainingLoop(folder: folder, settings: settings, checkpoint: verb.training.checkpoint, quiet: verb.report.quiet)
    let outcome = try loop.run(&trainer) { trainer in
      try trainer.advance(loss)
    } validation: { trainer in
      Double(try objective.loss(trainer.result.recorded { _ in false }, unseen).array[0])
    } keep: { trainer, lines, _ in
      try folder.checkpoints.write(trainer) { try write(trainer, lines, to: $0) }
      try folder.draw(
        lines, title: "Training of \(folder.url.lastPathComponent)",
        measure: "squared error of states in their variance: all, relations' words and second objects, added")
    }
    let place = folder.url.appendingPathComponent("model")
    let atomic = try AtomicFolder(place)
    try write(trainer, outcome.lines, to: atomic.temporary)
    try atomic.commit()
    guard verb.report.json else { return try StandardOutput.line(place.relativePath) }
    var summary = TrainingLoop.Summary(outcome, place, settings)
    summary.directionsRead = try share(objective.encoder(trainer.result)).value
    try StandardOutput.json(summary)
  }

  /// Of the captions that it was not trained with, those whose second noun tells the direction.
  private func share(_ encoder: CLIPText) throws -> Proportion {
    let right = try objective.isRight(encoder, unseen)
    return Proportion(right.count(where: { $0 }), of: right.count)
  }

  private func write(_ trainer: Trainer, _ lines: [TrainingFolder.Line], to place: URL) throws {
    try ModelFolder.write(trainer.result, base: base, card: card(trainer, lines), to: place)
  }

  private func card(_ trainer: Trainer, _ lines: [TrainingFolder.Line]) throws -> String {
    let facts: [(String, String)] =
      [
        ("begins with", model.source.displayName),
        ("trained", "text encoder, \(grouped(parameters.count)) parameters"),
        (
          "data",
          "captions of scenes of seed \(verb.dataSeed), \(decimal(100 * verb.pairs, 0)) % with two objects, each told once; no pictures"
        ),
        (
          "steps",
          "\(grouped(trainer.step)) of \(grouped(settings.steps)), \(settings.batch) captions each: \(grouped(trainer.step * settings.batch)) captions"
        ),
        (
          "objective",
          "states of the encoder that it begins with; at the words of a relation the first noun's state and a code of the direction of \(verb.strength) deviations, at those of the second object the opposite code"
        ),
      ] + settings.facts + [
        (
          "loss",
          "\(decimal(TrainingLoop.recent(lines), 4)) in training (mean of the last steps), \(lines.last?.validation.map { decimal($0, 4) } ?? "unknown") on \(unseen.count) captions that it was not trained with"
        ),
        (
          "direction read off the second noun",
          "right in \(try share(objective.encoder(trainer.result)).text) percent of those captions that tell one; before in \(try share(model.text).text), by chance in 25"
        ),
        ("seed", "\(settings.seed)"),
      ]
    return """
      # \(verb.training.name)

      A model with a text encoder trained with sdlab \(Sdlab.version): its states tell where the objects of a caption stand.

      | | |
      | --- | --- |
      \(facts.map { "| \($0.0) | \($0.1) |" }.joined(separator: "\n"))

      The UNet beside it has not learnt to listen to them: `sdlab train ldm --model` with this folder teaches it.

      """
  }
}
