import ArgumentParser
import Engine
import Foundation
import Training

struct TrainLoRA: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lora",
    abstract: "Train a LoRA: small matrices that are added to the frozen weights of any model.",
    discussion: """
      A weight W becomes W + alpha / rank * B A (Hu et al., ICLR 2022). A begins normal with a deviation of 1 / rank, B zero, so that nothing is added at first. The \
      file is one that diffusers (pipe.load_lora_weights) or kohya's scripts and A1111 read, and --lora of every verb.

      Examples:
        sdlab train lora --data photos --model ~/models/sd15 --steps 500 --batch 1 --out mine
        sdlab generate "a red house" --model ~/models/sd15 --lora mine/pytorch_lora_weights.safetensors
        sdlab train lora --data photos --rank 16 --alpha 16 --targets all-linear --text-encoder --out wider
      """)

  @OptionGroup var examples: ExampleOptions

  @Option(help: ArgumentHelp("Rank of what is added, 1 to 1024.", valueName: "n")) var rank = 4

  @Option(help: ArgumentHelp("What is added is alpha / rank times the product. Default: the rank.", valueName: "x")) var alpha: Double?

  @Option(
    help: ArgumentHelp(
      "attention (queries, keys, values, outputs), all-linear, or ends of modules' names separated by commas, such as attn2.to_k,attn2.to_v.",
      valueName: "name"))
  var targets = "attention"

  @Flag(help: "Add to the text encoder's layers too.") var textEncoder = false

  @Option(help: "Names in the file: diffusers (pytorch_lora_weights.safetensors) or kohya (lora.safetensors).")
  var format = LoRA.Layout.diffusers

  @OptionGroup var denoising: DenoisingOptions
  @OptionGroup(title: "Changes to pictures") var augmentation: AugmentationOptions
  @OptionGroup(title: "Changes to pictures") var composites: CompositeOptions
  @OptionGroup(title: "Training") var training: TrainingOptions
  @OptionGroup(title: "Model that it is added to") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let settings = try training.settings(rate: 1e-3)
    try examples.check()
    try denoising.check()
    let changes = try augmentation.changes(composites: composites)
    guard (1...1024).contains(rank) else { throw InputError(.usage, "--rank \(rank): expected 1 to 1024") }
    if let alpha, !(alpha > 0 && alpha.isFinite) { throw InputError(.usage, "--alpha \(alpha): expected a number above 0") }
    if let share = examples.validation, share < 0 || share >= 1 {
      throw InputError(.usage, "--validation \(share): expected a share from 0 to below 1")
    }
    try model.checkPlain()
    let loaded = try model.load(report)
    let subject = LoRASubject(
      model: loaded, base: try ModelDigest.of(loaded.source, quiet: report.quiet), options: model, rank: rank,
      alpha: alpha ?? Double(rank), targets: targets, trainsText: textEncoder, format: format, seed: settings.seed,
      samples: DenoisingOptions.list(denoising.samples ?? DenoisingOptions.scenes))
    let plan = try DenoisingPlan(
      subject, examples.sets(loaded, validation: 0).changing(changes),
      denoising.settings(unconditional: examples.unconditional, trainsText: textEncoder),
      settings, training, report)
    if denoising.dryRun { return try plan.print() }
    try DenoisingTraining(plan).run()
  }
}

extension LoRA.Layout: ExpressibleByArgument {}

extension ModelOptions {
  /// - Throws: `InputError` when adapters are given: what is trained belongs to the model as it is.
  func checkPlain() throws {
    guard lora.isEmpty, embedding.isEmpty else {
      throw InputError(.usage, "--lora and --embedding: a training begins with a model as it is")
    }
  }
}

/// Low-rank matrices beside frozen weights.
private struct LoRASubject: DenoisingSubject {
  let model: StableDiffusion
  let base: String
  let options: ModelOptions
  let rank: Int
  let alpha: Double
  let targets: String
  let trainsText: Bool
  let format: LoRA.Layout
  let seed: UInt64
  let samples: [String]

  let kind = "lora"
  let isFromScratch = false
  let keepsWholeModel = false
  let title = "A LoRA"

  var details: [String: String]? { ["rank": "\(rank)", "alpha": "\(alpha)", "targets": targets] }

  func part(_ networks: Parameters) throws -> DenoisingObjective.Part {
    let chosen: LowRankModules.Targets
    switch targets {
    case "attention": chosen = .attention
    case "all-linear": chosen = .allLinear
    default:
      let names = targets.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
      guard !names.isEmpty else {
        throw InputError(.usage, "--targets '\(targets)': expected attention, all-linear, or ends of modules' names")
      }
      chosen = .named(names)
    }
    return .lowRank(try LowRankModules(networks, rank: rank, alpha: alpha, targets: chosen, trainsText: trainsText))
  }

  func start(_ networks: Parameters, _ objective: DenoisingObjective) -> Parameters {
    networks.adding(Self.modules(objective).initial(seed: seed))
  }

  private static func modules(_ objective: DenoisingObjective) -> LowRankModules {
    guard case .lowRank(let modules) = objective.part else { preconditionFailure("a LoRA's objective is that of low-rank matrices") }
    return modules
  }

  private var file: String { format == .diffusers ? "pytorch_lora_weights.safetensors" : "lora.safetensors" }

  func write(_ weights: Parameters, _ objective: DenoisingObjective, card: String, to folder: URL) throws {
    try LoRA.write(weights, Self.modules(objective), format, to: folder.appendingPathComponent(file))
    try AtomicFile.write(Data(card.utf8), to: folder.appendingPathComponent("README.md"))
  }

  func finish(_ weights: Parameters, _ objective: DenoisingObjective, card: String, training: URL) throws -> URL {
    try write(weights, objective, card: card, to: training)
    return training.appendingPathComponent(file)
  }

  func adapted(_ folder: URL) throws -> StableDiffusion {
    try StableDiffusion(options.source(adding: [LoRA(folder.appendingPathComponent(file).path)]))
  }

  func facts(trained: Int) -> [(String, String)] {
    [
      ("is added to", model.source.displayName),
      (
        "trained",
        "rank \(rank), alpha \(alpha), \(targets) of the \(trainsText ? "UNet and the text encoder" : "UNet"), \(grouped(trained)) parameters"
      ),
    ]
  }

  var usage: String {
    "`sdlab generate PROMPT --lora \(file)`, or in diffusers `pipe.load_lora_weights(FOLDER, weight_name=\"\(file)\")`."
  }
}
