import Engine
import Foundation
import Training

/// A training of a classifier of one's own pictures.
struct FolderClassifierTraining {
  private let verb: TrainClassifier
  private let settings: TrainerSettings
  private let changes: ExampleChanges
  private let pictures: ImageFolder
  private let shape: PictureClassifier.Shape
  private let numbers: [String: Int]
  private let split: Split
  private let data: TrainingData
  /// Digest of all pictures and their classes.
  private let digest: String

  private struct Record: Codable {
    var kind = "classifier"
    let data: String
    let pictures: Int
    let classes: [String]
    let width: Int
    let side: Int
    let validation: Double
    let half: Bool
    let trainer: TrainerSettings
    let augmentation: [String: String]?
    /// The number of threads decides the last bits.
    let threads: Int
  }

  /// - Throws: `InputError` for a folder that cannot be read, has fewer than two classes, or too few pictures.
  init(_ verb: TrainClassifier, _ settings: TrainerSettings, _ changes: ExampleChanges) throws {
    (self.verb, self.settings, self.changes) = (verb, settings, changes)
    pictures = try ImageFolder(URL(fileURLWithPath: verb.data), captions: .classes)
    let labels = (0..<pictures.count).map { [pictures] in pictures.caption($0, epoch: 0) }
    let classes = Set(labels).sorted()
    guard classes.count > 1 else {
      throw InputError(
        .badData, "\(verb.data): all \(pictures.count) pictures are of one class, \(classes.first ?? "")",
        hint: "give a subfolder for each of two classes or more")
    }
    if changes.augmentation.flip > 0, let turned = classes.first(where: { !classes.contains(Augmentation.mirrored($0)) }) {
      throw InputError(
        .usage, "--flip \(verb.augmentation.flip): mirrored, \(turned) would be \(Augmentation.mirrored(turned)), which is no class",
        hint: "leave --flip out")
    }
    numbers = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
    shape = PictureClassifier.Shape(width: verb.width, side: verb.side, classes: classes)
    split = try Split(pictures, validation: verb.validation, test: verb.validation)
    guard !split.validation.isEmpty, !split.test.isEmpty, Set(split.train.map { labels[$0] }).count == classes.count else {
      throw InputError(
        .badData,
        "\(verb.data): of \(pictures.count) pictures \(split.train.count) are to train with, of \(Set(split.train.map { labels[$0] }).count) of \(classes.count) classes, \(split.validation.count) for validation, \(split.test.count) for the card's numbers",
        hint: "give more pictures or another --validation")
    }
    data = try TrainingData(
      pictures, indices: split.train, framing: Framing(width: verb.side, height: verb.side, crop: changes.crop),
      augmentation: changes.augmentation,
      seed: settings.seed)
    digest =
      "\(ContentDigest(try labels.indices.map { [pictures] in "\(try pictures.digest($0)) \(labels[$0])" }.sorted().joined(separator: "\n")))"
  }

  private var trainer: Trainer { Trainer(SegmentationNet.parameters(shape.net).initialised(seed: settings.seed), settings) }

  private func loss(_ parameters: RecordedParameters, _ step: Int) throws -> Tensor {
    let batch = try data.batch(step, size: settings.batch)
    return loss(parameters, batch.pixels, batch.captions)
  }

  /// Cross entropy of the classes, `[1]`.
  private func loss(_ parameters: RecordedParameters, _ pixels: Tensor, _ labels: [String]) -> Tensor {
    SegmentationNet(parameters.store, shape.net)(pixels).classes.crossEntropy(labels.map { numbers[$0] ?? 0 })
  }

  /// For `--dry-run`.
  func plan() throws {
    let trainer = trainer
    try TrainingPlan(
      trained: trainer.parameters.count, examples: split.train.count, steps: settings.steps, secondsPerStep: trainer.secondsPerStep(loss)
    ).print(
      data: "\(grouped(split.train.count)) pictures of \(shape.classes.count) classes", verb.report)
  }

  func run() throws {
    let folder = try TrainingFolder(
      URL(fileURLWithPath: verb.training.output),
      Record(
        data: digest, pictures: pictures.count, classes: shape.classes, width: verb.width, side: verb.side, validation: verb.validation,
        half: verb.half,
        trainer: settings, augmentation: changes.record, threads: Threads.count), kept: verb.training.keep)
    var trainer = trainer
    let loop = TrainingLoop(folder: folder, settings: settings, checkpoint: verb.training.checkpoint, quiet: verb.report.quiet)
    let outcome = try loop.run(&trainer) { trainer in
      try trainer.advance(loss)
    } validation: {
      try validation($0)
    } keep: { trainer, lines, _ in
      try folder.checkpoints.write(trainer) { try PictureClassifier.write(trainer.result, shape, half: verb.half, to: $0) }
      try folder.draw(lines, title: "Training of \(folder.url.lastPathComponent)", measure: "cross entropy of the classes")
    }
    try finish(trainer, outcome, folder.url.appendingPathComponent("model"))
  }

  /// The loss on pictures that are never trained with.
  private func validation(_ trainer: Trainer) throws -> Double {
    let frozen = trainer.result.recorded { _ in false }
    let held = try TrainingData(pictures, indices: split.validation, framing: shape.framing, seed: 0)
    let batch = held.framing.picturesAtOnce
    var sum = 0.0
    for start in stride(from: 0, to: split.validation.count, by: batch) {
      let examples = try (start..<min(start + batch, split.validation.count)).map { try held.example($0, epoch: 0) }
      sum += Double(loss(frozen, .concatenated(examples.map(\.picture.tensor)), examples.map(\.caption)).array[0]) * Double(examples.count)
    }
    return sum / Double(split.validation.count)
  }

  private func finish(_ trainer: Trainer, _ outcome: TrainingLoop.Outcome, _ place: URL) throws {
    let atomic = try AtomicFolder(place)
    try PictureClassifier.write(trainer.result, shape, half: verb.half, to: atomic.temporary)
    // Measured on what was written: rounding counts.
    let test = try ClassTable(PictureClassifier(folder: atomic.temporary), pictures, split.test, quiet: verb.report.quiet)
    try AtomicFile.write(Data(card(trainer, outcome.lines, test).utf8), to: atomic.temporary.appendingPathComponent("README.md"))
    try atomic.commit()
    guard verb.report.json else { return try StandardOutput.line(place.relativePath) }
    var summary = TrainingLoop.Summary(outcome, place, settings)
    summary.accuracyOfClasses = test.rows
    try StandardOutput.json(summary)
  }

  private func card(_ trainer: Trainer, _ lines: [TrainingFolder.Line], _ test: ClassTable) -> String {
    let facts: [(String, String)] =
      [
        (
          "network",
          "three levels of \(verb.width), \(2 * verb.width) and \(4 * verb.width) channels, group norms and SiLU, the mean of the last one; \(grouped(trainer.parameters.count)) parameters\(verb.half ? ", in half precision" : "")"
        ),
        ("sees", "\(verb.side)x\(verb.side) pixels"),
        (
          "data",
          "\(grouped(split.train.count)) pictures of \(shape.classes.count) classes; \(grouped(split.validation.count)) more for validation, \(grouped(split.test.count)) for the numbers below"
        ),
        ("changes to pictures", changes.told),
        ("steps", "\(grouped(trainer.step)) of \(settings.batch) pictures"),
        ("objective", "cross entropy"),
      ] + settings.facts + [
        (
          "loss",
          "\(decimal(TrainingLoop.recent(lines), 4)) in training (mean of the last steps), \(lines.last?.validation.map { decimal($0, 4) } ?? "unknown") on pictures that it was not trained with"
        ),
        ("seed", "\(settings.seed)"),
      ]
    return """
      # \(verb.training.name)

      A classifier of pictures trained with sdlab \(Sdlab.version).

      | | |
      | --- | --- |
      \(facts.map { "| \($0.0) | \($0.1) |" }.joined(separator: "\n"))

      ## How often it is right

      On pictures that were neither trained with nor used for validation, the middle of each. In percent, with 95 % intervals (Wilson's score).

      | class | right | n | taken for |
      | --- | --- | --- | --- |
      \(test.lines.joined(separator: "\n"))

      """
  }
}

/// How often a classifier is right, class by class.
struct ClassTable {
  /// What a picture of a class was taken for: `[class][answer]`.
  private let counts: [[Int]]
  private let classes: [String]

  struct Row: Encodable {
    let name: String
    let share: Proportion

    private enum Key: CodingKey { case name }

    func encode(to encoder: any Encoder) throws {
      var values = encoder.container(keyedBy: Key.self)
      try values.encode(name, forKey: .name)
      try share.encode(to: encoder)
    }
  }

  /// - Parameter indices: of the pictures that are asked about.
  fileprivate init(_ classifier: PictureClassifier, _ pictures: ImageFolder, _ indices: [Int], quiet: Bool) throws {
    classes = classifier.shape.classes
    let files = indices.map(pictures.url)
    let logits = try PictureFolder.looked(files, "asking about unseen pictures", quiet: quiet) { classifier.logits(of: $0) }.array
    var counts = [[Int]](repeating: [Int](repeating: 0, count: classes.count), count: classes.count)
    for (i, index) in indices.enumerated() {
      let row = logits[i * classes.count..<(i + 1) * classes.count]
      let answer = row.indices.max { row[$0] < row[$1] }.map { $0 - row.startIndex } ?? 0
      guard let own = classes.firstIndex(of: pictures.caption(index, epoch: 0)) else { continue }
      counts[own][answer] += 1
    }
    self.counts = counts
  }

  private func share(_ own: Int) -> Proportion { Proportion(counts[own][own], of: counts[own].reduce(0, +)) }
  private var all: Proportion {
    Proportion(classes.indices.reduce(0) { $0 + counts[$1][$1] }, of: counts.reduce(0) { $0 + $1.reduce(0, +) })
  }

  /// All classes together first.
  var rows: [Row] { [Row(name: "all", share: all)] + classes.indices.map { Row(name: classes[$0], share: share($0)) } }

  /// Of the card.
  fileprivate var lines: [String] {
    ["| all | \(all.text) | \(all.total) |  |"]
      + classes.indices.map { own in
        let others = classes.indices.filter { $0 != own && counts[own][$0] > 0 }.sorted { counts[own][$0] > counts[own][$1] }
        return
          "| \(classes[own]) | \(share(own).text) | \(share(own).total) | \(others.map { "\(classes[$0]) \(counts[own][$0])" }.joined(separator: ", ")) |"
      }
  }
}
