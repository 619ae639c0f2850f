import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots
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

  @Option(help: ArgumentHelp("scenes, or a folder of pictures with captions.", valueName: "scenes|dir"))
  var data = "scenes"

  @Option(help: ArgumentHelp("Scenes that are drawn; each epoch tells them in other words. For --data scenes.", valueName: "n"))
  var examples = 10_000

  @Option(help: ArgumentHelp("Seed of the scenes. For --data scenes.", valueName: "k"))
  var dataSeed: UInt64 = 1000

  @Option(help: ArgumentHelp("Share of a folder's pictures that is kept for validation.", valueName: "x"))
  var validation = 0.05

  @Flag(help: "Draw the weights of what is trained anew.") var scratch = false
  @Flag(help: "Train the text encoder too.") var textEncoder = false

  @Option(help: ArgumentHelp("Chance that a caption is left out, so that guidance works.", valueName: "x"))
  var unconditional = 0.1

  @Option(help: ArgumentHelp("Minimum-SNR weighting's gamma; 0 weighs all timesteps alike.", valueName: "x"))
  var snrGamma = 5.0

  @Flag(help: "Compute the inside of blocks twice instead of keeping it: less memory, more time.") var recompute = false

  @Option(help: ArgumentHelp("Prompts of the sample sheets, separated by semicolons.", valueName: "a;b"))
  var samples =
    "a red house;a blue boat by the sea;a green tree at night;a yellow star left of a pink heart;a white cat next to a car in the snow;a large purple balloon above a small mushroom"

  @Flag(help: "Compute and write nothing; say what it would take.") var dryRun = false

  @OptionGroup(title: "Training") var training: TrainingOptions
  @OptionGroup(title: "Model that it begins with") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let settings = try training.settings()
    guard (1...10_000_000).contains(examples) else { throw InputError(.usage, "--examples \(examples): expected 1 to 10000000") }
    guard (0..<1).contains(unconditional) else { throw InputError(.usage, "--unconditional \(unconditional): expected 0 to below 1") }
    guard snrGamma >= 0, snrGamma.isFinite else { throw InputError(.usage, "--snr-gamma \(snrGamma): expected 0 or more") }
    guard validation > 0, validation < 1 else { throw InputError(.usage, "--validation \(validation): expected a share between 0 and 1") }
    let plan = try LDMPlan(self, settings, base: folder())
    if dryRun { return try plan.print() }
    try LDMTraining(plan).run()
  }

  /// The base's folder: what is written is its copy with other weights.
  private func folder() throws -> URL {
    guard model.lora.isEmpty, model.embedding.isEmpty, model.vae == nil, model.tokenizer == nil else {
      throw InputError(.usage, "--lora, --embedding, --vae and --tokenizer: a training begins with a model as it is")
    }
    let url = try model.model.map { URL(fileURLWithPath: $0) } ?? Resources.embeddedModel()
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue else {
      throw InputError(
        .usage, "\(model.model ?? ""): a training begins with a diffusers folder", hint: "convert single files with diffusers first")
    }
    return url
  }
}

/// What a training will be, before anything is written.
struct LDMPlan {
  let verb: TrainLDM
  let settings: TrainerSettings
  let base: URL
  let model: StableDiffusion
  let objective: DenoisingObjective
  let record: TrainingFolder.Record
  let framing: Framing
  let train: (source: any ExampleSource, indices: [Int])
  let held: (source: any ExampleSource, indices: [Int])

  private static let validationExamples = 128

  init(_ verb: TrainLDM, _ settings: TrainerSettings, base: URL) throws {
    (self.verb, self.settings, self.base) = (verb, settings, base)
    model = try verb.model.load(verb.report)
    objective = try DenoisingObjective(
      model,
      .init(unconditional: verb.unconditional, snrGamma: verb.snrGamma, trainsText: verb.textEncoder, recomputes: verb.recompute),
      seed: settings.seed)
    let (width, height) = model.nativeSize
    framing = Framing(width: width, height: height)
    let name: String
    if verb.data == "scenes" {
      guard width == height else { throw InputError(.usage, "\(model.source.displayName): \(width)x\(height), scenes are square") }
      let scenes = SceneSource(seed: verb.dataSeed, count: verb.examples, size: width)
      let others = SceneSource(seed: verb.dataSeed &+ 1, count: Self.validationExamples, size: width)
      (train, held) = ((scenes, Array(0..<scenes.count)), (others, Array(0..<others.count)))
      name = "\(verb.examples) scenes of seed \(verb.dataSeed), \(width)x\(height)"
    } else {
      let pictures = try ImageFolder(URL(fileURLWithPath: verb.data))
      let split = try Split(pictures, validation: verb.validation, test: 0)
      guard !split.validation.isEmpty, !split.train.isEmpty else {
        throw InputError(
          .badData,
          "\(verb.data): of \(pictures.count) pictures \(split.validation.count) are for validation, \(split.train.count) to train with",
          hint: "give more pictures or another --validation")
      }
      let contents = try (0..<pictures.count).map { "\(try pictures.digest($0)) \(pictures.caption($0, epoch: 0))" }
      (train, held) = ((pictures, split.train), (pictures, Array(split.validation.prefix(Self.validationExamples))))
      name = "\(pictures.count) pictures, \(ContentDigest(contents.joined(separator: "\n"))), \(width)x\(height)"
    }
    record = TrainingFolder.Record(
      kind: "ldm", base: try ModelDigest.of(model.source, quiet: verb.report.quiet), fromScratch: verb.scratch, data: name,
      examples: train.indices.count, trainer: settings, objective: objective.settings, threads: Threads.count)
  }

  /// For `--dry-run`: counts, and the time of one real step on made-up latents.
  func print() throws {
    let parameters = try LDMTraining.networks(model)
    let trained = zip(parameters.names, parameters.values).filter { objective.isTrained($0.0) }.reduce(0) { $0 + $1.1.count }
    var trainer = Trainer(parameters, settings, where: objective.isTrained)
    let factor = model.vae.config.factor
    let shape: Shape = [settings.batch, framing.height / factor, framing.width / factor, model.vae.config.latentChannels]
    var random = TorchRandom(seed: 0)
    let latents = random.normal(nhwc: shape)
    let empty = try model.tokenize("").chunks[0].ids
    let rows = Array(repeating: empty, count: settings.batch)
    var best = Double.infinity
    for _ in 0..<2 {
      let start = ContinuousClock.now
      _ = try trainer.advance { try objective.loss($0, latents: latents, ids: rows, empty: empty, step: $1) }
      best = min(best, seconds(.now - start))
    }
    // Parameters, their average and the optimiser's means.
    let disk = Double(verb.training.keep) * Double(4 * (4 * trained + (parameters.count - trained)))
    if verb.report.json {
      struct Plan: Encodable {
        let trained: Int
        let examples: Int
        let secondsPerStep: Double
        let seconds: Double
        let diskBytes: Double
      }
      return try StandardOutput.json(
        Plan(trained: trained, examples: record.examples, secondsPerStep: best, seconds: best * Double(settings.steps), diskBytes: disk))
    }
    try StandardOutput.line(
      table([
        ["trained", "\(grouped(trained)) parameters on \(record.data)"],
        ["time", "\(duration(best * Double(settings.steps))): \(grouped(settings.steps)) steps of \(duration(best))"],
        ["disk", "\(bytes(disk)) for \(verb.training.keep) \(verb.training.keep == 1 ? "checkpoint" : "checkpoints")"],
      ]))
  }
}

/// A training under way.
struct LDMTraining {
  private let plan: LDMPlan
  private let folder: TrainingFolder
  private let (train, held): (LatentData, LatentData)
  private let ids: Captions

  private var verb: TrainLDM { plan.verb }
  private var settings: TrainerSettings { plan.settings }
  private var model: StableDiffusion { plan.model }
  private var objective: DenoisingObjective { plan.objective }

  init(_ plan: LDMPlan) throws {
    self.plan = plan
    ids = try Captions(plan.model)
    let (record, quiet) = (plan.record, plan.verb.report.quiet)
    let folder = try TrainingFolder(URL(fileURLWithPath: plan.verb.training.output), record, kept: plan.verb.training.keep)
    func latents(_ set: (source: any ExampleSource, indices: [Int]), _ file: String) throws -> LatentData {
      var bar: ProgressBar?
      return try LatentData(
        set.source, indices: set.indices, framing: plan.framing, model: plan.model, cache: folder.url.appendingPathComponent(file),
        name: "\(record.data), \(record.base)"
      ) { count in
        if bar == nil { bar = ProgressBar("encoding pictures", total: set.indices.count, quiet: quiet) }
        bar?.advance(by: count)
      }
    }
    train = try latents(plan.train, "latents.safetensors")
    held = try latents(plan.held, "latents-validation.safetensors")
    self.folder = folder
  }

  /// What training moves or needs: the UNet and the text encoder.
  static func networks(_ model: StableDiffusion) throws -> Parameters {
    let all = try Parameters(model.source.weights)
    return Parameters(zip(all.names, all.values).filter { !$0.0.hasPrefix("vae.") }.map { ($0, $1) })
  }

  /// Captions as rows of tokens, each encoded once.
  private final class Captions {
    private let model: StableDiffusion
    private var known: [String: [Int]] = [:]
    let empty: [Int]

    init(_ model: StableDiffusion) throws {
      self.model = model
      empty = try model.tokenize("").chunks[0].ids
    }

    func callAsFunction(_ caption: String) throws -> [Int] {
      if let ids = known[caption] { return ids }
      let ids = try model.tokenize(caption).chunks[0].ids
      known[caption] = ids
      return ids
    }
  }

  func run() throws {
    let started = ContinuousClock.now
    var trainer = Trainer(start(try Self.networks(model)), settings, where: objective.isTrained)
    let resumed = try resume(&trainer)
    var lines = try folder.lines(upTo: trainer.step)
    if resumed > 0, !verb.report.quiet { Terminal.line("goes on from step \(grouped(resumed)) of \(grouped(settings.steps))") }
    let events = try trainer.isDone ? nil : EventLog(folder.url, after: resumed)
    var bar = ProgressBar("training", total: settings.steps - resumed, quiet: verb.report.quiet)
    while !trainer.isDone {
      let batch = try train.batch(trainer.step, size: settings.batch, seed: settings.seed)
      let rows = try batch.captions.map { try ids($0) }
      let done = try trainer.advance { parameters, step in
        try objective.loss(parameters, latents: batch.latents, ids: rows, empty: ids.empty, step: step)
      }
      let isCheckpoint = trainer.isDone || trainer.step % verb.training.checkpoint == 0
      let line = TrainingFolder.Line(done, validation: isCheckpoint ? try validation(trainer) : nil)
      lines.append(line)
      try folder.append(line)
      try events?.append(line)
      bar.name = "training, loss \(decimal(Self.recent(lines), 4))"
      bar.advance()
      if isCheckpoint { try keep(trainer, lines, events) }
    }
    try finish(trainer, lines, seconds: seconds(.now - started), steps: settings.steps - resumed)
  }

  private static func recent(_ lines: [TrainingFolder.Line]) -> Double {
    let last = lines.suffix(50)
    return last.reduce(0) { $0 + $1.loss } / Double(max(1, last.count))
  }

  private func start(_ networks: Parameters) -> Parameters {
    guard verb.scratch else { return networks }
    let drawn = networks.initialised(seed: settings.seed)
    // What is frozen stays as it is.
    return Parameters(
      zip(networks.names, zip(networks.values, drawn.values)).map { name, values in (name, objective.isTrained(name) ? values.1 : values.0)
      })
  }

  /// From the newest checkpoint.
  private func resume(_ trainer: inout Trainer) throws -> Int {
    guard let step = folder.checkpoints.steps.last else { return 0 }
    try trainer.restore(from: folder.checkpoints.state(step))
    return step
  }

  /// The averaged weights, or the last where there is no average.
  private func weights(_ trainer: Trainer) -> Parameters {
    guard settings.average > 0 else { return trainer.parameters }
    let averaged = Dictionary(uniqueKeysWithValues: zip(trainer.average.values.names, trainer.average.values.values))
    return Parameters(zip(trainer.parameters.names, trainer.parameters.values).map { ($0, averaged[$0] ?? $1) })
  }

  /// On examples that are never trained with, always with the same noises.
  private func validation(_ trainer: Trainer) throws -> Double {
    let frozen = weights(trainer).recorded { _ in false }
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
      try ModelFolder.write(weights(trainer), base: plan.base, card: card(trainer, lines), to: place)
    }
    try folder.draw(lines, title: "Training of \(folder.url.lastPathComponent)")
    try sheet(folder.checkpoints.url(trainer.step), step: trainer.step, events)
  }

  /// Pictures of the model as it is, from the same noises each time.
  private func sheet(_ place: URL, step: Int, _ events: EventLog?) throws {
    let prompts = verb.samples.split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    guard !prompts.isEmpty else { return }
    let model = try StableDiffusion(place.path)
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
    let known = lines.last { $0.validation != nil }
    return """
      # \(folder.url.lastPathComponent)

      A latent diffusion model trained with sdlab \(Sdlab.version).

      | | |
      | --- | --- |
      | begins with | \(verb.scratch ? "weights drawn anew in the shape of" : "") \(model.source.displayName) |
      | trained | \(o.trainsText ? "UNet and text encoder" : "UNet"), \(grouped(trainer.average.values.count)) parameters |
      | data | \(verb.data == "scenes" ? "\(grouped(verb.examples)) scenes of seed \(verb.dataSeed), no held-out combination among them" : "\(grouped(train.indices.count)) pictures of a folder") |
      | steps | \(grouped(trainer.step)) of \(grouped(settings.steps)), \(settings.batch) examples each: \(grouped(trainer.step * settings.batch)) examples |
      | objective | \(model.source.schedulerPrediction), minimum-SNR weighting with gamma \(decimal(o.snrGamma, 1)), \(decimal(100 * o.unconditional, 0)) % of the captions left out |
      | optimiser | \(settings.optimiser.rawValue), rate \(settings.rate) after \(settings.warmUp) steps, then half a cosine; decay \(settings.decay), gradients clipped at \(settings.clip) |
      | weights | \(settings.average > 0 ? "moving average, factor \(settings.average)" : "of the last step") |
      | loss | \(decimal(Self.recent(lines), 4)) in training (mean of the last steps), \(known.map { decimal($0.validation ?? .nan, 4) } ?? "unknown") on \(held.indices.count) examples that it was not trained with |
      | seed | \(settings.seed) |

      """
  }

  private func finish(_ trainer: Trainer, _ lines: [TrainingFolder.Line], seconds: Double, steps: Int) throws {
    let place = folder.url.appendingPathComponent("model")
    let atomic = try AtomicFolder(place)
    try ModelFolder.write(weights(trainer), base: plan.base, card: card(trainer, lines), to: atomic.temporary)
    try atomic.commit()
    if verb.report.json {
      struct Outcome: Encodable {
        let model: String
        let steps: Int
        let loss: Double
        let validationLoss: Double?
        let seconds: Double
        let examplesPerSecond: Double?
      }
      try StandardOutput.json(
        Outcome(
          model: place.relativePath, steps: trainer.step, loss: Self.recent(lines),
          validationLoss: lines.last { $0.validation != nil }?.validation,
          seconds: seconds, examplesPerSecond: steps > 0 ? Double(steps * settings.batch) / seconds : nil))
    } else {
      try StandardOutput.line(place.relativePath)
    }
  }
}

extension ModelSource {
  /// `epsilon`, `v_prediction` or `sample`.
  fileprivate var schedulerPrediction: String { (try? NoiseSchedule(schedulerConfig).prediction.rawValue) ?? "epsilon" }
}
