import Engine
import Foundation
import Training

/// What a training will be, before anything is written.
struct DenoisingPlan {
  let subject: any DenoisingSubject
  let training: TrainingOptions
  let report: ReportOptions
  let settings: TrainerSettings
  let objective: DenoisingObjective
  let sets: ExampleSets
  let record: TrainingFolder.Record
  /// At the start.
  let parameters: Parameters

  var model: StableDiffusion { subject.model }

  init(
    _ subject: some DenoisingSubject, _ sets: ExampleSets, _ objective: DenoisingObjective.Settings, _ settings: TrainerSettings,
    _ training: TrainingOptions, _ report: ReportOptions
  ) throws {
    (self.subject, self.sets, self.settings, self.training, self.report) = (subject, sets, settings, training, report)
    let networks = try Parameters.denoiser(subject.model)
    self.objective = try DenoisingObjective(subject.model, objective, subject.part(networks), seed: settings.seed)
    parameters = try subject.start(networks, self.objective)
    record = TrainingFolder.Record(
      kind: subject.kind, base: subject.base, fromScratch: subject.isFromScratch, data: sets.name, examples: sets.train.indices.count,
      trainer: settings, objective: objective, augmentation: sets.changes.record, threads: Threads.count,
      details: subject.details)
  }

  /// Number of numbers that move.
  var trained: Int { zip(parameters.names, parameters.values).filter { objective.isTrained($0.0) }.reduce(0) { $0 + $1.1.count } }

  /// For `--dry-run`: counts, and the time of one real step on made-up latents, or on those of changed pictures.
  func print() throws {
    let trainer = Trainer(parameters, settings, where: objective.isTrained)
    let factor = model.vae.config.factor
    let shape: Shape = [
      settings.batch, sets.framing.height / factor, sets.framing.width / factor, model.vae.config.latentChannels,
    ]
    var random = TorchRandom(seed: 0)
    let latents = random.normal(nhwc: shape)
    let empty = try model.tokenize("").chunks[0].ids
    // A real caption: a word's vectors have gradients only where it is named.
    let rows = Array(
      repeating: try model.tokenize(sets.train.source.caption(sets.train.indices[0], epoch: 0)).chunks[0].ids, count: settings.batch)
    let augmented = sets.changes.isOn ? AugmentedLatents(try sets.data(seed: settings.seed), model) : nil
    let best = try trainer.secondsPerStep {
      let latents = try augmented?.batch($1, size: settings.batch).latents ?? latents
      return try objective.loss($0, latents: latents, ids: rows, empty: empty, step: $1)
    }
    // Parameters, their average and the optimiser's means, and the model or the adapter.
    let written = subject.keepsWholeModel ? parameters.count : trained
    let disk = Double(training.keep) * Double(4 * (4 * trained + written - (subject.keepsWholeModel ? trained : 0)))
    try TrainingPlan(
      trained: trained, examples: record.examples, steps: settings.steps, secondsPerStep: best, disk: (disk, training.keep)
    ).print(data: record.data, report)
  }
}
