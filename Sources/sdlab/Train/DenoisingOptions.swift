import ArgumentParser
import Engine
import Foundation
import Training

/// What the trainings with a latent diffusion model's loss have in common.
struct DenoisingOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Minimum-SNR weighting's gamma; 0 weighs all timesteps alike.", valueName: "x"))
  var snrGamma = 5.0

  @Option(
    help: ArgumentHelp(
      "Timesteps that pictures are noised to. Default: all. What stands where is decided in the last third.", valueName: "a-b"))
  var timesteps: String?

  @Option(
    help: ArgumentHelp(
      "Raise the weights of high noise by 1 / alpha-bar, up to this factor, 1 or more; their mean stays 1. Default: as minimum SNR has them.",
      valueName: "x"))
  var highNoise: Double?

  @Flag(help: "Compute the inside of blocks twice instead of keeping it: less memory, more time.") var recompute = false

  @Option(
    help: ArgumentHelp(
      "Prompts of the sample sheets, separated by semicolons; empty for no sheets. Default: six scenes, or three with the word that is learnt.",
      valueName: "a;b"))
  var samples: String?

  @Flag(help: "Compute and write nothing; say what it would take.") var dryRun = false

  static let scenes =
    "a red house;a blue boat by the sea;a green tree at night;a yellow star left of a pink heart;a white cat next to a car in the snow;a large purple balloon above a small mushroom"

  /// - Throws: `InputError` for what is out of range.
  func check() throws {
    guard snrGamma >= 0, snrGamma.isFinite else { throw InputError(.usage, "--snr-gamma \(snrGamma): expected 0 or more") }
    if let highNoise, !(highNoise >= 1 && highNoise.isFinite) {
      throw InputError(.usage, "--high-noise \(highNoise): expected 1 or more")
    }
    _ = try range()
  }

  /// What the objective is told.
  func settings(unconditional: Double, trainsText: Bool) throws -> DenoisingObjective.Settings {
    .init(
      unconditional: unconditional, snrGamma: snrGamma, timesteps: try range(), highNoise: highNoise, trainsText: trainsText,
      recomputes: recompute)
  }

  private func range() throws -> ClosedRange<Int>? {
    guard let timesteps else { return nil }
    let ends = timesteps.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    guard ends.count == 2, let first = ends[0], let last = ends[1], first <= last else {
      throw InputError(.usage, "--timesteps \(timesteps): expected two numbers such as 500-999")
    }
    return first...last
  }

  static func list(_ text: String) -> [String] {
    text.split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
  }
}

/// The scenes world, or a folder of pictures with captions.
struct ExampleOptions: ParsableArguments {
  @Option(help: ArgumentHelp("scenes, or a folder of pictures with captions.", valueName: "scenes|dir"))
  var data = "scenes"

  @Option(help: ArgumentHelp("Scenes that are drawn; each epoch tells them in other words. For --data scenes.", valueName: "n"))
  var examples = 10_000

  @Option(help: ArgumentHelp("Seed of the scenes. For --data scenes.", valueName: "k"))
  var dataSeed: UInt64 = 1000

  @Option(
    help: ArgumentHelp("Share of scenes with two objects, 0 to 1. Default: 0.4, as the world has it. For --data scenes.", valueName: "x"))
  var pairs: Double?

  @Option(
    help: ArgumentHelp(
      "Share of a folder's pictures that is kept for validation. Default: 0.05 for ldm; 0 for lora, which then has no validation loss.",
      valueName: "x"))
  var validation: Double?

  @Option(help: ArgumentHelp("Chance that a caption is left out, so that guidance works.", valueName: "x"))
  var unconditional = 0.1

  /// - Throws: `InputError` for what is out of range.
  func check() throws {
    guard (1...10_000_000).contains(examples) else { throw InputError(.usage, "--examples \(examples): expected 1 to 10000000") }
    if let pairs, !(0...1).contains(pairs) { throw InputError(.usage, "--pairs \(pairs): expected 0 to 1") }
    guard (0..<1).contains(unconditional) else { throw InputError(.usage, "--unconditional \(unconditional): expected 0 to below 1") }
  }

  /// - Parameter usual: the share for validation where none is given.
  func sets(_ model: StableDiffusion, validation usual: Double) throws -> ExampleSets {
    if data != "scenes" { return try ExampleSets(ImageFolder(URL(fileURLWithPath: data)), data, model, validation: validation ?? usual) }
    return try ExampleSets(scenes: examples, seed: dataSeed, pairs: pairs, model)
  }
}

/// What a training shows, and what it is judged by.
struct ExampleSets {
  typealias Set = (source: any ExampleSource, indices: [Int])
  let train: Set
  /// nil where nothing is kept apart.
  let held: Set?
  let framing: Framing
  /// What is done to the pictures of `train`.
  private(set) var changes = ExampleChanges()
  /// In words that change when the data does.
  let name: String
  /// For the card.
  let told: String

  private static let validationExamples = 128

  /// - Throws: `InputError` (usage) for a random crop where there is nothing to cut.
  func changing(_ changes: ExampleChanges) throws -> ExampleSets {
    if changes.crop == .random, train.source is SceneSource {
      throw InputError(.usage, "--crop random: scenes are drawn in the model's size", hint: "leave it out")
    }
    var out = self
    out.changes = changes
    return out
  }

  /// The pictures to train with, changed.
  func data(seed: UInt64) throws -> TrainingData {
    try TrainingData(
      train.source, indices: train.indices, framing: Framing(width: framing.width, height: framing.height, crop: changes.crop),
      augmentation: changes.augmentation, seed: seed)
  }

  init(scenes count: Int, seed: UInt64, pairs: Double? = nil, _ model: StableDiffusion) throws {
    let (width, height) = model.nativeSize
    guard width == height else { throw InputError(.usage, "\(model.source.displayName): \(width)x\(height), scenes are square") }
    framing = Framing(width: width, height: height)
    let scenes = SceneSource(seed: seed, count: count, size: width, pairs: pairs)
    let others = SceneSource(seed: seed &+ 1, count: Self.validationExamples, size: width, pairs: pairs)
    (train, held) = ((scenes, Array(0..<scenes.count)), (others, Array(0..<others.count)))
    let share = pairs.map { ", \(decimal(100 * $0, 0)) % of them with two objects" } ?? ""
    name = "\(count) scenes of seed \(seed)\(share), \(width)x\(height)"
    told = "\(grouped(count)) scenes of seed \(seed)\(share), no held-out combination among them"
  }

  /// - Parameters:
  ///   - source: as the training sees it.
  ///   - place: of the pictures, for error lines.
  ///   - validation: share that is kept apart by content; 0 keeps none.
  init(_ source: some ExampleSource, _ place: String, _ model: StableDiffusion, validation: Double) throws {
    let (width, height) = model.nativeSize
    framing = Framing(width: width, height: height)
    let split = try Split(source, validation: validation, test: 0)
    guard !split.train.isEmpty, validation == 0 || !split.validation.isEmpty else {
      throw InputError(
        .badData,
        "\(place): of \(source.count) pictures \(split.validation.count) are for validation, \(split.train.count) to train with",
        hint: "give more pictures or another --validation")
    }
    train = (source, split.train)
    held = validation == 0 ? nil : (source, Array(split.validation.prefix(Self.validationExamples)))
    let contents = try (0..<source.count).map { "\(try source.digest($0)) \(try source.caption($0, epoch: 0))" }
    name = "\(source.count) pictures, \(ContentDigest(contents.joined(separator: "\n"))), \(width)x\(height)"
    told = "\(grouped(split.train.count)) pictures of a folder"
  }
}
