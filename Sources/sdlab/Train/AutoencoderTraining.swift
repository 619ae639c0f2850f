import Engine
import Foundation
import Plots
import Training

/// A training of an autoencoder.
struct AutoencoderTraining {
  private let verb: TrainVAE
  private let settings: TrainerSettings
  private let objective: AutoencoderObjective
  private let model: StableDiffusion
  /// Digest of the model's weights.
  private let digest: String
  private let base: URL
  private let sets: ExampleSets
  /// As they are trained with, and as they are.
  private let data: TrainingData
  private let plain: TrainingData
  private let held: TrainingData?

  private struct Record: Codable {
    var kind = "vae"
    let base: String
    let fromScratch: Bool
    let data: String
    let examples: Int
    let trainer: TrainerSettings
    let objective: AutoencoderObjective.Settings
    let augmentation: [String: String]?
    /// The number of threads decides the last bits.
    let threads: Int
  }

  init(_ verb: TrainVAE, _ model: StableDiffusion, _ base: URL, _ sets: ExampleSets, _ settings: TrainerSettings) throws {
    (self.verb, self.model, self.base, self.sets, self.settings) = (verb, model, base, sets, settings)
    digest = try ModelDigest.of(model.source, quiet: verb.report.quiet)
    objective = AutoencoderObjective(
      model.vae.config, .init(kl: verb.kl, edges: verb.edges, decoderOnly: verb.decoderOnly, recomputes: verb.recompute),
      seed: settings.seed)
    plain = try TrainingData(sets.train.source, indices: sets.train.indices, framing: sets.framing, seed: settings.seed)
    data = sets.changes.isOn ? try sets.data(seed: settings.seed) : plain
    held = try sets.held.map { try TrainingData($0.source, indices: $0.indices, framing: sets.framing, seed: 0) }
  }

  /// At the start.
  private func parameters() throws -> Parameters {
    let all = try Parameters(model.source.weights)
    let own = Parameters(zip(all.names, all.values).filter { $0.0.hasPrefix("vae.") }.map { ($0, $1) })
    return verb.scratch ? own.initialised(seed: settings.seed, where: objective.isTrained) : own
  }

  private func trainer() throws -> Trainer { Trainer(try parameters(), settings, where: objective.isTrained) }

  private func loss(_ parameters: RecordedParameters, _ step: Int) throws -> Tensor {
    try objective.loss(parameters, pictures: data.batch(step, size: settings.batch).pixels, step: step)
  }

  /// For `--dry-run`.
  func plan() throws {
    let trainer = try trainer()
    let best = try trainer.secondsPerStep(loss)
    try TrainingPlan(
      trained: trainer.average.values.count, examples: sets.train.indices.count, steps: settings.steps, secondsPerStep: best
    ).print(data: sets.name, verb.report)
  }

  func run() throws {
    let folder = try TrainingFolder(
      URL(fileURLWithPath: verb.training.output),
      Record(
        base: digest, fromScratch: verb.scratch, data: sets.name, examples: sets.train.indices.count, trainer: settings,
        objective: objective.settings, augmentation: sets.changes.record, threads: Threads.count), kept: verb.training.keep, hasPSNR: true)
    var trainer = try trainer()
    let loop = TrainingLoop(folder: folder, settings: settings, checkpoint: verb.training.checkpoint, quiet: verb.report.quiet)
    let outcome = try loop.run(&trainer) { trainer in
      try trainer.advance(loss)
    } validation: {
      try validation($0)
    } psnr: {
      try psnr(vae($0.result))
    } keep: { trainer, lines, events in
      try folder.checkpoints.write(trainer) { try write(trainer, lines, to: $0) }
      try folder.draw(
        lines, title: "Training of \(folder.url.lastPathComponent)", measure: "absolute and squared error, edges, divergence")
      try sheet(trainer, folder, events)
    }
    let place = folder.url.appendingPathComponent("model")
    let atomic = try AtomicFolder(place)
    try write(trainer, outcome.lines, to: atomic.temporary)
    try atomic.commit()
    guard verb.report.json else { return try StandardOutput.line(place.relativePath) }
    try StandardOutput.json(TrainingLoop.Summary(outcome, place, settings))
  }

  // MARK: What is measured

  private func vae(_ weights: Parameters) -> VAE { objective.vae(weights.recorded { _ in false }) }

  /// On pictures that are never trained with, always with the same noises.
  private func validation(_ trainer: Trainer) throws -> Double? {
    guard let held else { return nil }
    let frozen = trainer.result.recorded { _ in false }
    var sum = 0.0
    for (i, pictures) in try held.pictures().enumerated() {
      // Numbers beyond those of the training's steps.
      sum += Double(try objective.loss(frozen, pictures: pictures, step: 1 << 40 + i).array[0]) * Double(pictures.shape[0])
    }
    return sum / Double(held.indices.count)
  }

  /// Of the same pictures, by the mean of their distributions, in decibels.
  private func psnr(_ vae: VAE) throws -> Double? {
    guard let held else { return nil }
    var ratio = PeakSignalToNoise()
    for pictures in try held.pictures() { ratio.add(try vae.reconstruction(pictures), pictures) }
    return ratio.decibels.isFinite ? ratio.decibels : nil
  }

  // MARK: What is left

  /// The model with the new VAE.
  private func write(_ trainer: Trainer, _ lines: [TrainingFolder.Line], to place: URL) throws {
    var weights = trainer.result
    if verb.fold {
      weights = try weights.foldingLatents(
        LatentStatistics(vae(weights), plain.pictures(Self.latentExamples(sets.framing))), objective.config)
    }
    try ModelFolder.write(weights, base: base, card: card(trainer, lines, vae(weights)), to: place)
  }

  /// How many pictures mean and deviation of the latents are taken from: about as many pixels as 1,024 small pictures have.
  private static func latentExamples(_ framing: Framing) -> Int { min(1024, max(16, 1024 * 64 * 64 / (framing.width * framing.height))) }

  private static let enlarged = 4

  /// Originals, what comes back, and the difference.
  private func sheet(_ trainer: Trainer, _ folder: TrainingFolder, _ events: EventLog?) throws {
    guard verb.samples > 0 else { return }
    let vae = vae(trainer.result)
    var rows: [[ContactSheet.Tile?]] = [[], [], []]
    for original in try (held ?? plain).pictures(verb.samples).flatMap({ batch in (0..<batch.shape[0]).map { batch.slice($0..<$0 + 1) } }) {
      let (before, after) = (Picture(original), Picture(try vae.reconstruction(original)))
      let difference = zip(before.pixels, after.pixels).map { UInt8(min(255, Self.enlarged * abs(Int($0) - Int($1)))) }
      for (i, picture) in [before, after, Picture(width: before.width, height: before.height, pixels: difference)].enumerated() {
        rows[i].append(try ContactSheet.Tile(picture))
      }
    }
    let sheet = ContactSheet(
      rows: rows, title: "After \(grouped(trainer.step)) steps",
      subtitle: held == nil ? "pictures of the training" : "pictures that it was not trained with",
      rowLabels: ["original", "comes back", "difference, \(Self.enlarged) times"], tileSize: 128)
    let file = folder.url.appendingPathComponent("samples.png")
    try sheet.write(to: file)
    try events?.append(samples: file, step: trainer.step)
  }

  private func card(_ trainer: Trainer, _ lines: [TrainingFolder.Line], _ vae: VAE) throws -> String {
    let o = objective.settings
    var loss = "\(decimal(TrainingLoop.recent(lines), 4)) in training (mean of the last steps)"
    var comesBack = "not measured: no pictures were kept apart"
    if let held {
      let last = lines.last { $0.validation != nil }
      loss += ", \(last?.validation.map { decimal($0, 4) } ?? "unknown") on \(held.indices.count) pictures that it was not trained with"
      comesBack = "PSNR \(last?.psnr.map { decimal($0, 2) } ?? "unknown") dB by the mean of the distribution, on the same pictures"
    }
    let latents = try LatentStatistics(vae, (held ?? plain).pictures(Self.latentExamples(sets.framing))).scaled(vae.config)
    func list(_ values: [Double]) -> String { values.map { decimal($0, 3) }.joined(separator: ", ") }
    let facts: [(String, String)] =
      [
        ("begins with", "\(verb.scratch ? "weights drawn anew in the shape of " : "")\(model.source.displayName)"),
        ("trained", "\(o.decoderOnly ? "decoder" : "encoder and decoder"), \(grouped(trainer.average.values.count)) parameters"),
        ("data", sets.told), ("changes to pictures", sets.changes.told),
        (
          "steps",
          "\(grouped(trainer.step)) of \(grouped(settings.steps)), \(settings.batch) pictures each: \(grouped(trainer.step * settings.batch)) pictures"
        ),
        (
          "objective",
          "mean absolute and squared error, edges times \(o.edges), divergence from a normal distribution times \(o.kl) (per value of a picture); no perceptual or adversarial part"
        ),
      ] + settings.facts + [
        ("loss", loss),
        ("pictures that come back", comesBack),
        (
          "latents",
          "times \(vae.config.scalingFactor), mean and deviation \(verb.fold ? "folded into the weights" : "as they came"): means \(list(latents.mean)), deviations \(list(latents.deviation)) a channel on \(held == nil ? "pictures of the training" : "pictures that it was not trained with")"
        ),
        ("seed", "\(settings.seed)"),
      ]
    return """
      # \(verb.training.name)

      A model with an autoencoder trained with sdlab \(Sdlab.version).

      | | |
      | --- | --- |
      \(facts.map { "| \($0.0) | \($0.1) |" }.joined(separator: "\n"))

      \(o.decoderOnly ? "The encoder is that of the model that it begins with, and so are the latents: the UNet fits." : "The latents are not those that the UNet beside it has learnt: `sdlab train ldm --model` with this folder trains it with the new ones.")

      """
  }
}

extension TrainingOptions {
  /// Name of the training's folder.
  var name: String { URL(fileURLWithPath: output).lastPathComponent }
}

extension TrainingData {
  /// Examples as they are framed, without changes, in batches of about the work of sixteen small pictures.
  /// - Parameter count: how many at most, in the order of a first epoch.
  fileprivate func pictures(_ count: Int = .max) throws -> [Tensor] {
    let batch = framing.picturesAtOnce
    let count = min(count, indices.count)
    return try stride(from: 0, to: count, by: batch).map { try framed($0..<min($0 + batch, count)) }
  }
}
