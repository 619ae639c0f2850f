import ArgumentParser
import Engine
import Foundation
import Training

struct TrainLDM: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ldm",
    abstract: "Train the UNet, and on demand the text encoder, of a latent diffusion model.",
    discussion: """
      Data: the scenes world, or a folder of pictures with captions (metadata.jsonl, or a .txt beside each). Pictures are encoded once by the model's own VAE. The base is \
      a diffusers folder; --scratch draws its weights anew and keeps its shape.

      Examples:
        sdlab train ldm --steps 2000 --out finer
        sdlab train ldm --data photos --model finer/model --rate 5e-5 --steps 500 --out mine
        sdlab train ldm --scratch --text-encoder --optimiser muon --rate 1e-3 --steps 20000 --batch 32 --out new
      """)

  @OptionGroup var examples: ExampleOptions
  @Flag(help: "Draw the weights of what is trained anew.") var scratch = false
  @Flag(help: "Train the text encoder too.") var textEncoder = false
  @Flag(help: "Write the model that comes out in half precision.") var half = false
  @Option(
    help: ArgumentHelp(
      "Words whose vectors are drawn anew at the beginning, separated by commas: for words that the model takes for each other.",
      valueName: "a,b"))
  var freshWords: String?
  @OptionGroup var denoising: DenoisingOptions
  @OptionGroup(title: "Changes to pictures") var augmentation: AugmentationOptions
  @OptionGroup(title: "Changes to pictures") var composites: CompositeOptions
  @OptionGroup(title: "Training") var training: TrainingOptions
  @OptionGroup(title: "Model that it begins with") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let settings = try training.settings(rate: 2e-4)
    try examples.check()
    try denoising.check()
    let changes = try augmentation.changes(composites: composites)
    if let share = examples.validation, share <= 0 || share >= 1 {
      throw InputError(.usage, "--validation \(share): expected a share between 0 and 1")
    }
    if freshWords != nil, scratch {
      throw InputError(.usage, "--fresh-words: --scratch draws all words anew", hint: "leave one of them out")
    }
    let base = try model.baseFolder()
    let loaded = try model.load(report)
    let subject = LDMSubject(
      model: loaded, base: try ModelDigest.of(loaded.source, quiet: report.quiet), folder: base, isFromScratch: scratch,
      isHalf: half, trainsText: textEncoder, fresh: try freshWords.map { try commaList($0, "--fresh-words") } ?? [], seed: settings.seed,
      samples: DenoisingOptions.list(denoising.samples ?? DenoisingOptions.scenes))
    let plan = try DenoisingPlan(
      subject, examples.sets(loaded, validation: 0.05).changing(changes),
      denoising.settings(unconditional: examples.unconditional, trainsText: textEncoder),
      settings, training, report)
    if denoising.dryRun { return try plan.print() }
    try DenoisingTraining(plan).run()
  }
}

/// The networks themselves.
private struct LDMSubject: DenoisingSubject {
  let model: StableDiffusion
  let base: String
  let folder: URL
  let isFromScratch: Bool
  /// What comes out is in half precision; checkpoints never are.
  let isHalf: Bool
  let trainsText: Bool
  /// Words whose vectors are drawn anew.
  let fresh: [String]
  let seed: UInt64
  let samples: [String]

  let kind = "ldm"
  var details: [String: String]? { fresh.isEmpty ? nil : ["fresh words": fresh.joined(separator: ", ")] }
  let keepsWholeModel = true
  let title = "A latent diffusion model"
  let usage = ""

  func part(_ networks: Parameters) -> DenoisingObjective.Part { .networks }

  func start(_ networks: Parameters, _ objective: DenoisingObjective) throws -> Parameters {
    if isFromScratch { return networks.initialised(seed: seed, where: objective.isTrained) }
    let tokens = try fresh.flatMap { word in
      let prompt = try model.tokenize(word)
      return Array(prompt.ids[1..<1 + prompt.contentCount])
    }
    return networks.redrawingTokens(Set(tokens), seed: seed)
  }

  func write(_ weights: Parameters, _ objective: DenoisingObjective, card: String, to place: URL) throws {
    try ModelFolder.write(weights, base: folder, card: card, to: place)
  }

  func finish(_ weights: Parameters, _ objective: DenoisingObjective, card: String, training: URL) throws -> URL {
    let place = training.appendingPathComponent("model")
    let atomic = try AtomicFolder(place)
    try ModelFolder.write(weights, base: folder, half: isHalf, card: card, to: atomic.temporary)
    try atomic.commit()
    return place
  }

  func adapted(_ place: URL) throws -> StableDiffusion { try StableDiffusion(place.path) }

  func facts(trained: Int) -> [(String, String)] {
    [
      ("begins with", "\(isFromScratch ? "weights drawn anew in the shape of " : "")\(model.source.displayName)"),
      ("trained", "\(trainsText ? "UNet and text encoder" : "UNet"), \(grouped(trained)) parameters"),
    ] + (fresh.isEmpty ? [] : [("words drawn anew", fresh.joined(separator: ", "))])
  }
}
