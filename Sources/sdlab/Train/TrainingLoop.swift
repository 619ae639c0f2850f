import Engine
import Foundation
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
  ///   - psnr: of an autoencoder: how well pictures come back, in decibels; nil for others.
  ///   - keep: writes a checkpoint, and what is drawn of it.
  func run(
    _ trainer: inout Trainer, advance: (inout Trainer) throws -> Trainer.Report, validation: (Trainer) throws -> Double?,
    psnr: (Trainer) throws -> Double? = { _ in nil }, keep: (Trainer, [TrainingFolder.Line], EventLog?) throws -> Void
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
      let line = TrainingFolder.Line(
        done, validation: isCheckpoint ? try validation(trainer) : nil, psnr: isCheckpoint ? try psnr(trainer) : nil)
      lines.append(line)
      try folder.append(line)
      try events?.append(line)
      bar.name = "training, loss \(decimal(Self.recent(lines), 4))"
      bar.advance()
      if isCheckpoint { try keep(trainer, lines, events) }
    }
    return Outcome(lines: lines, steps: settings.steps - resumed, seconds: seconds(.now - started))
  }

  /// What `--json` says of a finished training.
  struct Summary: Encodable {
    /// The folder or file with what was trained.
    let model: String
    let steps: Int
    let loss: Double
    let validationLoss: Double?
    /// Of the steps that were made now.
    let seconds: Double
    let examplesPerSecond: Double?
    /// Of an autoencoder: the signal-to-noise ratio of pictures that come back, in decibels.
    let psnr: Double?
    /// Of a text encoder: share of unseen captions whose second noun tells the direction.
    var directionsRead: Double?
    /// Of a judge: on scenes as they are drawn, and after the way through the autoencoder.
    var accuracy: [SceneTable.Row]?
    var accuracyThroughVAE: [SceneTable.Row]?
    /// Of a classifier: on pictures that it has not seen.
    var accuracyOfClasses: [ClassTable.Row]?

    init(_ outcome: Outcome, _ place: URL, _ settings: TrainerSettings) {
      (model, steps, seconds) = (place.relativePath, settings.steps, outcome.seconds)
      loss = TrainingLoop.recent(outcome.lines)
      validationLoss = outcome.lines.compactMap(\.validation).last
      psnr = outcome.lines.compactMap(\.psnr).last
      examplesPerSecond = outcome.steps > 0 ? Double(outcome.steps * settings.batch) / outcome.seconds : nil
    }
  }

  /// The mean loss of the last steps: single batches are noisy.
  static func recent(_ lines: [TrainingFolder.Line]) -> Double {
    let last = lines.suffix(50)
    return last.reduce(0) { $0 + $1.loss } / Double(max(1, last.count))
  }
}

extension TrainerSettings {
  /// Rows of a card's table: how weights are moved, and which are kept.
  var facts: [(String, String)] {
    [
      (
        "optimiser",
        "\(optimiser.rawValue), rate \(rate) after \(warmUp) steps, then half a cosine; decay \(decay), gradients clipped at \(clip)"
      ),
      ("weights", average > 0 ? "moving average, factor \(average)" : "of the last step"),
    ]
  }
}

extension Trainer {
  /// The faster of two steps, for `--dry-run`; what they train is thrown away.
  func secondsPerStep(_ loss: (RecordedParameters, Int) throws -> Tensor) throws -> Double {
    var trainer = self
    return try (0..<2).map { _ in
      let start = ContinuousClock.now
      _ = try trainer.advance(loss)
      return seconds(.now - start)
    }.min() ?? .nan
  }

  /// The averaged weights, or the last where there is no average; what is frozen as it is.
  var result: Parameters {
    guard settings.average > 0 else { return parameters }
    let averaged = Dictionary(uniqueKeysWithValues: zip(average.values.names, average.values.values))
    return Parameters(zip(parameters.names, parameters.values).map { ($0, averaged[$0] ?? $1) })
  }
}
