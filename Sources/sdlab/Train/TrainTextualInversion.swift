import ArgumentParser
import Engine
import Foundation
import Training

struct TrainTextualInversion: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "textual-inversion",
    abstract: "Train a word: vectors in the text encoder's table of tokens that stand for what a few pictures show.",
    discussion: """
      The model stays as it is; only the vectors move (Gal et al., ICLR 2023). They begin as those of a word of the vocabulary. Captions must name the word; pictures \
      without a caption get one of the templates, another one in each epoch. The file is one that diffusers (pipe.load_textual_inversion) and --embedding of every \
      verb read.

      Examples:
        sdlab train textual-inversion --token "<mug>" --initial mug --data photos --model ~/models/sd15 --steps 1000 --batch 1 --out mug
        sdlab generate "a <mug> on the beach" --model ~/models/sd15 --embedding mug/learned_embeds.safetensors
      """)

  @Option(help: ArgumentHelp("The word, as it will stand in prompts; in angle brackets it is found in nothing else.", valueName: "word"))
  var token: String

  @Option(help: ArgumentHelp("A word of the vocabulary that it begins as, close to what the pictures show.", valueName: "word"))
  var initial: String

  @Option(help: ArgumentHelp("Vectors of the word, 1 to 32: each takes the place of a token.", valueName: "n")) var vectors = 1

  @Option(help: ArgumentHelp("A folder of pictures, with captions or without (metadata.jsonl, or a .txt beside each).", valueName: "dir"))
  var data: String

  @Option(
    help: ArgumentHelp(
      "Captions of pictures that have none, {} for the word, separated by semicolons. Default: 'a photo of a {}' and others of diffusers' training.",
      valueName: "a;b"))
  var templates: String?

  @Option(help: ArgumentHelp("Share of the pictures that is kept for validation; 0 for none.", valueName: "x")) var validation = 0.0

  @OptionGroup var denoising: DenoisingOptions
  @OptionGroup(title: "Changes to pictures") var augmentation: AugmentationOptions
  @OptionGroup(title: "Training") var training: TrainingOptions
  @OptionGroup(title: "Model that learns it") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  /// Of `imagenet_templates_small` in diffusers' examples/textual_inversion.
  private static let usual = [
    "a photo of a {}", "a rendering of a {}", "a cropped photo of the {}", "the photo of a {}", "a photo of the {}",
    "a close-up photo of a {}",
    "a bright photo of the {}", "a photo of one {}", "a close-up photo of the {}", "a rendition of the {}", "a good photo of a {}",
    "a depiction of a {}",
  ]

  func run() throws {
    let settings = try training.settings(rate: 5e-3)
    try denoising.check()
    let changes = try augmentation.changes()
    guard TextualInversion.isWord(token) else {
      throw InputError(
        .usage, "--token '\(token.prefix(60).description.oneLine)': can be no word of a prompt", hint: "such as <mug>: no blank, no colon")
    }
    guard changes.augmentation.flip == 0 || Augmentation.mirrored(token) == token else {
      throw InputError(
        .usage, "--flip: --token \(token) would become \(Augmentation.mirrored(token)) in the mirror",
        hint: "give another word, or no --flip")
    }
    guard (1...32).contains(vectors) else { throw InputError(.usage, "--vectors \(vectors): expected 1 to 32") }
    guard (0..<1).contains(validation) else {
      throw InputError(.usage, "--validation \(validation): expected a share from 0 to below 1")
    }
    let list = templates.map(DenoisingOptions.list) ?? Self.usual
    guard !list.isEmpty, list.allSatisfy({ $0.contains("{}") }) else {
      throw InputError(.usage, "--templates: expected captions with {} for the word", hint: "such as 'a {};one {} at night'")
    }
    try model.checkPlain()
    let pictures = try ImageFolder(URL(fileURLWithPath: data), captions: .optional)
    let subject = try WordSubject(self, templates: list)
    let source = WordSource(pictures, templates: list.map { $0.replacing("{}", with: token) })
    try subject.checkCaptions(source)
    let plan = try DenoisingPlan(
      subject, ExampleSets(source, data, subject.model, validation: validation).changing(changes),
      denoising.settings(unconditional: 0, trainsText: false), settings, training, report)
    if denoising.dryRun { return try plan.print() }
    try DenoisingTraining(plan).run()
  }
}

/// The vectors of a word.
private struct WordSubject: DenoisingSubject {
  let model: StableDiffusion
  let base: String
  let samples: [String]
  private let options: ModelOptions
  private let token: String
  private let initial: String
  private let vectors: Tensor
  private let templates: [String]

  let kind = "textual-inversion"
  let isFromScratch = false
  let keepsWholeModel = false

  private static let file = "learned_embeds.safetensors"

  init(_ verb: TrainTextualInversion, templates: [String]) throws {
    (options, token, initial, self.templates) = (verb.model, verb.token, verb.initial, templates)
    let plain = try options.source()
    let tokenizer = try plain.tokenizer()
    guard !(0..<tokenizer.vocabularySize).contains(where: { tokenizer.token($0) == verb.token }) else {
      throw InputError(.usage, "--token \(verb.token): is a token of the vocabulary already", hint: "such as <\(verb.token)>")
    }
    base = try ModelDigest.of(plain, quiet: verb.report.quiet)
    do {
      vectors = try TextualInversion.initial(
        verb.initial, count: verb.vectors, tokenizer, Parameters(StableDiffusion(plain).source.weights))
    } catch let error as InputError where error.kind == .usage {
      throw InputError(.usage, "--initial \(error.message)", hint: error.hint)
    }
    let place = URL(fileURLWithPath: verb.training.output).appendingPathComponent(Self.file)
    model = try ModelOptions.load(options.source(adding: [], [TextualInversion(token, vectors: vectors, url: place)]), verb.report)
    samples = DenoisingOptions.list(verb.denoising.samples ?? "a \(token);a \(token) at night;two pictures of a \(token)")
  }

  /// - Throws: `InputError` when a caption does not name the word, or names it where the row of tokens has ended.
  func checkCaptions(_ source: WordSource) throws {
    let own = model.text.config.vocabularySize..<model.text.config.vocabularySize + vectors.shape[0]
    for index in 0..<source.count {
      for caption in source.captions(index) where !own.allSatisfy(try model.tokenize(caption).chunks[0].ids.contains) {
        throw InputError(
          .badData, "\(source.pictures.url(index).relativePath): its caption does not name \(token): '\(caption.prefix(80))'",
          hint: "write the word into it, or take the caption away for the templates")
      }
    }
  }

  var title: String { "The word \(token), a textual inversion" }

  var details: [String: String]? {
    ["token": token, "initial": initial, "vectors": "\(vectors.shape[0])", "templates": templates.joined(separator: ";")]
  }

  func part(_ networks: Parameters) -> DenoisingObjective.Part { .word }

  func start(_ networks: Parameters, _ objective: DenoisingObjective) -> Parameters {
    networks.adding([(TextualInversion.parameter, vectors)])
  }

  func write(_ weights: Parameters, _ objective: DenoisingObjective, card: String, to folder: URL) throws {
    guard let learnt = weights[TextualInversion.parameter] else { preconditionFailure("the word's vectors are not among the parameters") }
    let file = folder.appendingPathComponent(Self.file)
    try TextualInversion(token, vectors: learnt, url: file).write(to: file)
    try AtomicFile.write(Data(card.utf8), to: folder.appendingPathComponent("README.md"))
  }

  func finish(_ weights: Parameters, _ objective: DenoisingObjective, card: String, training: URL) throws -> URL {
    try write(weights, objective, card: card, to: training)
    return training.appendingPathComponent(Self.file)
  }

  func adapted(_ folder: URL) throws -> StableDiffusion {
    try StableDiffusion(options.source(adding: [], [TextualInversion(folder.appendingPathComponent(Self.file).path)]))
  }

  func facts(trained: Int) -> [(String, String)] {
    [
      ("belongs to", model.source.displayName),
      (
        "trained",
        "\(vectors.shape[0]) \(vectors.shape[0] == 1 ? "vector" : "vectors") of \(vectors.shape[1]) numbers, begun as '\(initial)'"
      ),
    ]
  }

  var usage: String {
    "`sdlab generate \"a \(token)\" --embedding \(Self.file)`, or in diffusers `pipe.load_textual_inversion(FOLDER, weight_name=\"\(Self.file)\")`."
  }
}
