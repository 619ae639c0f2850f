import Analysis
import Engine
import Foundation
import Plots
import Training

/// A training under way.
struct DenoisingTraining {
  private let plan: DenoisingPlan
  private let folder: TrainingFolder
  /// What a step sees.
  private let batch: (_ step: Int) throws -> LatentData.Batch
  private let held: LatentData?
  private let ids: Captions

  private var subject: any DenoisingSubject { plan.subject }
  private var settings: TrainerSettings { plan.settings }
  private var objective: DenoisingObjective { plan.objective }
  private var quiet: Bool { plan.report.quiet }

  init(_ plan: DenoisingPlan) throws {
    self.plan = plan
    let (record, quiet) = (plan.record, plan.report.quiet)
    ids = try Captions(plan.model, quiet: quiet)
    let folder = try TrainingFolder(URL(fileURLWithPath: plan.training.output), record, kept: plan.training.keep)
    func latents(_ set: ExampleSets.Set, _ file: String) throws -> LatentData {
      var bar: ProgressBar?
      return try LatentData(
        set.source, indices: set.indices, framing: plan.sets.framing, model: plan.model, cache: folder.url.appendingPathComponent(file),
        name: "\(record.data), \(record.base)"
      ) { count in
        if bar == nil { bar = ProgressBar("encoding pictures", total: set.indices.count, quiet: quiet) }
        bar?.advance(by: count)
      }
    }
    let settings = plan.settings
    if plan.sets.changes.isOn {
      let train = AugmentedLatents(try plan.sets.data(seed: settings.seed), plan.model)
      batch = { try train.batch($0, size: settings.batch) }
    } else {
      let train = try latents(plan.sets.train, "latents.safetensors")
      batch = { try train.batch($0, size: settings.batch, seed: settings.seed) }
    }
    held = try plan.sets.held.map { try latents($0, "latents-validation.safetensors") }
    self.folder = folder
  }

  /// Captions as rows of tokens, each encoded once.
  private final class Captions {
    private let model: StableDiffusion
    private var known: [String: [Int]] = [:]
    /// A caption that is too long was told of.
    private var isWarned: Bool
    let empty: [Int]

    init(_ model: StableDiffusion, quiet: Bool) throws {
      (self.model, isWarned) = (model, quiet)
      empty = try model.tokenize("").chunks[0].ids
    }

    func callAsFunction(_ caption: String) throws -> [Int] {
      if let ids = known[caption] { return ids }
      let row = try model.tokenize(caption)
      if row.cutTokens > 0, !isWarned {
        Terminal.warning(
          "captions are longer than the text encoder's row of tokens; of '\(caption.prefix(200))' it does not see '\(row.cutText.prefix(200))'"
        )
        isWarned = true
      }
      let ids = row.chunks[0].ids
      known[caption] = ids
      return ids
    }
  }

  func run() throws {
    var trainer = Trainer(plan.parameters, settings, where: objective.isTrained)
    let loop = TrainingLoop(folder: folder, settings: settings, checkpoint: plan.training.checkpoint, quiet: quiet)
    let outcome = try loop.run(&trainer) { trainer in
      let batch = try batch(trainer.step)
      let rows = try batch.captions.map { try ids($0) }
      return try trainer.advance { parameters, step in
        try objective.loss(parameters, latents: batch.latents, ids: rows, empty: ids.empty, step: step)
      }
    } validation: {
      try validation($0)
    } keep: {
      try keep($0, $1, $2)
    }
    try finish(trainer, outcome)
  }

  /// On examples that are never trained with, always with the same noises.
  private func validation(_ trainer: Trainer) throws -> Double? {
    guard let held else { return nil }
    let frozen = trainer.result.recorded { _ in false }
    var (sum, count) = (0.0, 0)
    let size = 16
    for start in stride(from: 0, to: held.indices.count, by: size) {
      let range = start..<min(start + size, held.indices.count)
      let rows = try range.map { try ids(try held.source.caption(held.indices[$0], epoch: 0)) }
      // Numbers beyond those of the training's steps.
      let loss = try objective.loss(frozen, latents: held.latents.slice(range), ids: rows, empty: ids.empty, step: 1 << 40 + start)
      sum += Double(loss.array[0]) * Double(range.count)
      count += range.count
    }
    return sum / Double(count)
  }

  private func keep(_ trainer: Trainer, _ lines: [TrainingFolder.Line], _ events: EventLog?) throws {
    try folder.checkpoints.write(trainer) { place in
      try subject.write(trainer.result, objective, card: card(trainer, lines), to: place)
    }
    try folder.draw(lines, title: "Training of \(folder.url.lastPathComponent)")
    try sheet(folder.checkpoints.url(trainer.step), step: trainer.step, events)
  }

  /// Pictures of the model as it is, from the same noises each time.
  private func sheet(_ place: URL, step: Int, _ events: EventLog?) throws {
    let prompts = subject.samples
    guard !prompts.isEmpty else { return }
    let model = try subject.adapted(place)
    let (width, height) = model.nativeSize
    let tiles: [[ContactSheet.Tile?]] = try prompts.map { prompt in
      let request = GenerationRequest(
        prompt: prompt, negativePrompt: "", sampler: .dpmpp2M, steps: 20, guidance: 4, seed: 42, width: width, height: height, count: 3)
      let run = try model.denoising(request)
      while try run.next() != nil {}
      let pictures = try model.decode(run.latents)
      return try (0..<3).map { try ContactSheet.Tile(Picture(pictures, index: $0)) }
    }
    let sheet = ContactSheet(
      rows: tiles, title: "After \(grouped(step)) steps", subtitle: "dpmpp-2m, 20 steps, guidance 4",
      columnLabels: (42...44).map { "seed \($0)" },
      rowLabels: prompts, tileSize: 128)
    let file = folder.url.appendingPathComponent("samples.png")
    try sheet.write(to: file)
    try events?.append(samples: file, step: step)
  }

  private func card(_ trainer: Trainer, _ lines: [TrainingFolder.Line]) -> String {
    let o = objective.settings
    var range = o.highNoise.map { "raised by 1 / alpha-bar up to \(decimal($0, 1)), " } ?? ""
    if let timesteps = o.timesteps { range += "timesteps \(timesteps.lowerBound) to \(timesteps.upperBound), " }
    let known = lines.compactMap(\.validation).last
    var loss = "\(decimal(TrainingLoop.recent(lines), 4)) in training (mean of the last steps)"
    if let held { loss += ", \(known.map { decimal($0, 4) } ?? "unknown") on \(held.indices.count) examples that it was not trained with" }
    var facts = subject.facts(trained: trainer.average.values.count)
    facts +=
      [
        ("data", plan.sets.told), ("changes to pictures", plan.sets.changes.told),
        (
          "steps",
          "\(grouped(trainer.step)) of \(grouped(settings.steps)), \(settings.batch) examples each: \(grouped(trainer.step * settings.batch)) examples"
        ),
        (
          "objective",
          "\(plan.model.source.schedulerPrediction), \(o.snrGamma > 0 ? "minimum-SNR weighting with gamma \(decimal(o.snrGamma, 1))" : "all timesteps weighed alike"), \(range)\(decimal(100 * o.unconditional, 0)) % of the captions left out"
        ),
      ] + settings.facts + [("loss", loss), ("seed", "\(settings.seed)")]
    let rows = facts.map { "| \($0.0) | \($0.1) |" }.joined(separator: "\n")
    return """
      # \(folder.url.lastPathComponent)

      \(subject.title) trained with sdlab \(Sdlab.version).

      | | |
      | --- | --- |
      \(rows)

      """ + (subject.usage.isEmpty ? "" : "\n\(subject.usage)\n")
  }

  private func finish(_ trainer: Trainer, _ outcome: TrainingLoop.Outcome) throws {
    let place = try subject.finish(trainer.result, objective, card: card(trainer, outcome.lines), training: folder.url)
    guard plan.report.json else { return try StandardOutput.line(place.relativePath) }
    try StandardOutput.json(TrainingLoop.Summary(outcome, place, settings))
  }
}

extension ModelSource {
  /// `epsilon`, `v_prediction` or `sample`.
  fileprivate var schedulerPrediction: String { (try? NoiseSchedule(schedulerConfig).prediction.rawValue) ?? "epsilon" }
}
