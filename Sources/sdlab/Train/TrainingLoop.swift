import Engine
import Training

/// The way of every training: on from the newest checkpoint, step by step, each step logged, with a checkpoint now and then and at the end.
struct TrainingLoop {
  let folder: TrainingFolder
  let settings: TrainerSettings
  /// Steps between two checkpoints.
  let checkpoint: Int
  let quiet: Bool

  /// What came of it.
  struct Outcome {
    let lines: [TrainingFolder.Line]
    /// Steps that were made now, and the seconds they took.
    let steps: Int
    let seconds: Double
  }

  /// - Parameters:
  ///   - trainer: as it begins; where a checkpoint is, it is taken from there.
  ///   - advance: makes one step.
  ///   - validation: the loss on examples that are not trained with; nil where there are none.
  ///   - keep: writes a checkpoint, and what is drawn of it.
  func run(
    _ trainer: inout Trainer, advance: (inout Trainer) throws -> Trainer.Report, validation: (Trainer) throws -> Double?,
    keep: (Trainer, [TrainingFolder.Line], EventLog?) throws -> Void
  ) throws -> Outcome {
    let started = ContinuousClock.now
    if let step = folder.checkpoints.steps.last { try trainer.restore(from: folder.checkpoints.state(step)) }
    let resumed = trainer.step
    var lines = try folder.lines(upTo: resumed)
    if resumed > 0, !quiet { Terminal.line("goes on from step \(grouped(resumed)) of \(grouped(settings.steps))") }
    let events = try trainer.isDone ? nil : EventLog(folder.url, after: resumed)
    var bar = ProgressBar("training", total: settings.steps - resumed, quiet: quiet)
    while !trainer.isDone {
      let done = try advance(&trainer)
      let isCheckpoint = trainer.isDone || trainer.step % checkpoint == 0
      let line = TrainingFolder.Line(done, validation: isCheckpoint ? try validation(trainer) : nil)
      lines.append(line)
      try folder.append(line)
      try events?.append(line)
      bar.name = "training, loss \(decimal(Self.recent(lines), 4))"
      bar.advance()
      if isCheckpoint { try keep(trainer, lines, events) }
    }
    return Outcome(lines: lines, steps: settings.steps - resumed, seconds: seconds(.now - started))
  }

  /// The mean loss of the last steps: single batches are noisy.
  static func recent(_ lines: [TrainingFolder.Line]) -> Double {
    let last = lines.suffix(50)
    return last.reduce(0) { $0 + $1.loss } / Double(max(1, last.count))
  }
}

extension Trainer {
  /// The averaged weights, or the last where there is no average; what is frozen as it is.
  var result: Parameters {
    guard settings.average > 0 else { return parameters }
    let averaged = Dictionary(uniqueKeysWithValues: zip(average.values.names, average.values.values))
    return Parameters(zip(parameters.names, parameters.values).map { ($0, averaged[$0] ?? $1) })
  }
}
