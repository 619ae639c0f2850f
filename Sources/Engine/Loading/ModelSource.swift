import Foundation

/// A Stable Diffusion model found on the disk: its configs, its weights under canonical names, and where its tokenizer is.
public struct ModelSource {
  /// What the person asked for, for headings and file names.
  public let displayName: String
  public let unetConfig: ConfigReader
  public let vaeConfig: ConfigReader
  public let textEncoderConfig: ConfigReader
  public let schedulerConfig: ConfigReader
  /// Holds `vocab.json` and `merges.txt`, or `tokenizer.json`.
  public let tokenizerDirectory: URL
  /// Text of the token that fills up a prompt, where the model knows better than the tokenizer's own files: single files borrow a
  /// tokenizer, and SD 2 fills up with `!`.
  public let padToken: String?
  public let weights: WeightStore
  /// What is added to the weights.
  public private(set) var loras: [LoRA] = []
  /// Words that are added to the vocabulary.
  public private(set) var embeddings: [TextualInversion] = []
  /// The diffusers folder that it is; nil for single files.
  public private(set) var folder: URL?
  /// Pictures are shown to the folder's safety checker, where it has one.
  public private(set) var checksSafety = true
  /// The weight files, for digests.
  public let files: [URL]
  /// One line each, for the person.
  public let warnings: [String]

  /// Finds a model and opens its files. Weights are mapped, not read.
  ///
  /// - Parameters:
  ///   - name: a diffusers folder, a single file (`.safetensors`, `.ckpt`), or `org/name` in the local hub cache; nil for the embedded
  ///     model.
  ///   - tokenizer: a folder that holds a tokenizer, in place of the model's own.
  ///   - vae: another VAE: a folder, a model's folder, a single file or a hub name.
  ///   - ema: takes the UNet from the moving average that a training checkpoint keeps (`model_ema.*`).
  ///   - variant: `fp16` for `diffusion_pytorch_model.fp16.safetensors`.
  ///   - precision: how weights are kept in memory; nil for as they lie in the files.
  ///   - products: what the matrix products of UNet and VAE are computed in.
  ///   - loras: low-rank additions to the weights; several add up.
  ///   - embeddings: textual inversions: words that are added to the vocabulary.
  ///   - checksSafety: false leaves the folder's safety checker out.
  /// - Throws: `InputError` naming what is missing or malformed.
  public static func resolve(
    _ name: String? = nil, tokenizer: String? = nil, vae: String? = nil, ema: Bool = false, variant: String? = nil,
    precision: WeightPrecision? = nil, products: ProductPrecision = .f32, loras: [LoRA] = [], embeddings: [TextualInversion] = [],
    checksSafety: Bool = true, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> ModelSource {
    let hub = HubCache(environment: environment)
    let location = try name.map { try Location($0, hub) } ?? .folder(try Resources.embeddedModel())
    let label = name ?? "embedded model"
    var parts: Parts
    var ownFolder: URL?
    switch location {
    case .folder(let folder):
      guard !ema else {
        throw InputError(.usage, "\(label): a folder has no model_ema weights", hint: "--ema is for single-file training checkpoints")
      }
      parts = try Parts(folder: folder, replacingVAE: vae != nil, variant: variant)
      ownFolder = folder
    case .file(let url): parts = try Parts(file: url, label: label, ema: ema, replacingVAE: vae != nil)
    }
    if let vae { try parts.replaceVAE(Location(vae, hub), label: vae, variant: variant) }
    return ModelSource(
      displayName: name.map { location.isHub($0) ? $0 : URL(fileURLWithPath: $0).lastPathComponent } ?? "embedded", unetConfig: parts.unet,
      vaeConfig: parts.vae, textEncoderConfig: parts.textEncoder, schedulerConfig: parts.scheduler,
      tokenizerDirectory: try tokenizerFolder(tokenizer, location, hub, label), padToken: parts.padToken,
      weights: try WeightStore(parts.tensors, label: label, precision: precision, products: products, adapters: loras), loras: loras,
      embeddings: embeddings,
      folder: ownFolder, checksSafety: checksSafety, files: parts.files, warnings: parts.warnings)
  }

  /// The model's tokenizer, with the words of its textual inversions.
  /// - Throws: `InputError` when a file is malformed, or when an embedding has another width than the text encoder's.
  public func tokenizer() throws -> Tokenizer {
    var tokenizer = try Tokenizer(directory: tokenizerDirectory, padToken: padToken)
    guard !embeddings.isEmpty else { return tokenizer }
    let config = try CLIPTextConfig(textEncoderConfig)
    // Behind the rows of the text encoder's table, which may be longer than the vocabulary.
    var next = config.vocabularySize
    for embedding in embeddings {
      guard embedding.vectors.shape[1] == config.hiddenSize else {
        throw InputError(
          .badData, "\(embedding.name): a vector of \(embedding.vectors.shape[1]) values, the text encoder has \(config.hiddenSize)",
          hint: "it was made for another model")
      }
      tokenizer = try tokenizer.adding(embedding.token, ids: next..<next + embedding.vectors.shape[0])
      next += embedding.vectors.shape[0]
    }
    return tokenizer
  }

  /// Where a model lies.
  enum Location {
    case folder(URL)
    case file(URL)

    init(_ name: String, _ hub: HubCache) throws {
      var directory: ObjCBool = false
      if FileManager.default.fileExists(atPath: name, isDirectory: &directory) {
        let url = URL(fileURLWithPath: name)
        self = directory.boolValue ? .folder(url) : .file(url)
      } else if HubCache.isName(name) {
        self = .folder(try hub.snapshot(name))
      } else {
        let url = URL(fileURLWithPath: name)
        let siblings = (try? FileManager.default.contentsOfDirectory(atPath: url.deletingLastPathComponent().path)) ?? []
        let near = EditDistance.nearest(to: url.lastPathComponent, among: siblings, count: 1, limit: 3).first
        throw InputError(
          .missing, "\(name): no such file or folder\(near.map { "; did you mean \($0)?" } ?? "")",
          hint: "expected a diffusers folder, a .safetensors or .ckpt file, or a hub name such as org/name")
      }
    }

    func isHub(_ name: String) -> Bool {
      if case .folder(let url) = self { return url.path.contains("/models--") && HubCache.isName(name) }
      return false
    }
  }

  // MARK: - Tokenizer

  private static func tokenizerFolder(_ given: String?, _ location: Location, _ hub: HubCache, _ label: String) throws -> URL {
    func inside(_ folder: URL) -> URL? { [folder, folder.appendingPathComponent("tokenizer")].first(where: Tokenizer.isPresent) }
    if let given {
      let folder: URL
      switch try Location(given, hub) {
      case .folder(let url): folder = url
      case .file(let url): folder = url.deletingLastPathComponent()
      }
      if let found = inside(folder) { return found }
      throw InputError(
        .missing, "\(given): expected vocab.json and merges.txt, or tokenizer.json, in this folder",
        hint: "give the folder that holds CLIP's tokenizer")
    }
    switch location {
    case .folder(let folder):
      let own = folder.appendingPathComponent("tokenizer")
      if Tokenizer.isPresent(in: own) { return own }
      throw InputError(
        .missing, "\(label): \(own.path): expected vocab.json and merges.txt, or tokenizer.json, found neither",
        hint: "download the model again, or give --tokenizer DIR")
    case .file(let url):
      if let beside = inside(url.deletingLastPathComponent()) { return beside }
      let names = ["openai/clip-vit-large-patch14"] + hub.models
      for name in names { if let snapshot = try? hub.snapshot(name), let found = inside(snapshot) { return found } }
      throw InputError(
        .missing, "\(label): a single file carries no tokenizer and none was found beside it or in the hub cache",
        hint: "put CLIP's vocab.json and merges.txt beside the file, or give --tokenizer DIR")
    }
  }
}

/// Configs and weights while a model is put together.
private struct Parts {
  var unet: ConfigReader
  var vae: ConfigReader
  var textEncoder: ConfigReader
  var scheduler: ConfigReader
  var tensors: [StoredTensor]
  var files: [URL]
  var warnings: [String] = []
  var padToken: String?

  // MARK: - Folder

  init(folder: URL, replacingVAE: Bool, variant: String?) throws {
    let networks = ["text_encoder", "unet"] + (replacingVAE ? [] : ["vae"])
    let wanted = networks.map { "\($0)/config.json" } + ["scheduler/scheduler_config.json"]
    let missing = wanted.filter { !FileManager.default.fileExists(atPath: folder.appendingPathComponent($0).path) }
    guard missing.isEmpty else {
      throw InputError(.missing, "\(folder.path): missing \(missing.joined(separator: ", "))", hint: "expected a whole diffusers folder")
    }
    unet = try Self.config(folder.appendingPathComponent("unet/config.json"))
    vae = replacingVAE ? ConfigReader([:], file: "") : try Self.config(folder.appendingPathComponent("vae/config.json"))
    textEncoder = try Self.config(folder.appendingPathComponent("text_encoder/config.json"))
    scheduler = try Self.config(folder.appendingPathComponent("scheduler/scheduler_config.json"))
    tensors = []
    files = []
    for network in networks { try add(network, in: folder.appendingPathComponent(network), variant) }
  }

  private mutating func add(_ network: String, in folder: URL, _ variant: String?) throws {
    let bases = network == "text_encoder" ? ["model", "pytorch_model"] : ["diffusion_pytorch_model"]
    let found = try WeightFiles(in: folder, bases: bases, variant: variant)
    tensors += found.tensors.flatMap { Self.place($0, KeyMap.diffusers(network, $0.name)) }
    files += found.files
  }

  private static func config(_ url: URL) throws -> ConfigReader {
    let file = try FileBytes(mapping: url)
    guard file.count <= 4 << 20 else { throw InputError(.badData, "\(url.path): \(file.count) bytes are too many for a config") }
    return try ConfigReader(file.data, file: url.path)
  }

  // MARK: - Single file

  init(file url: URL, label: String, ema: Bool, replacingVAE: Bool) throws {
    let contents = try WeightFiles.read(url)
    let (stored, globalStep) = (contents.tensors, contents.globalStep)
    let (canonical, surplus) = try Self.canonical(stored, label: label, ema: ema)
    tensors = replacingVAE ? canonical.filter { !$0.name.hasPrefix("vae.") } : canonical
    files = [url]
    let inference = ConfigInference(canonical, label: label)
    unet = try inference.unet(globalStep: globalStep)
    vae = replacingVAE ? ConfigReader([:], file: "") : try inference.vae()
    textEncoder = try inference.textEncoder()
    scheduler = try inference.scheduler(globalStep: globalStep)
    // SD 2 came with OpenCLIP's text encoder, whose rows are filled up with `!`.
    padToken = stored.contains { $0.name.hasPrefix("cond_stage_model.model.") } ? "!" : "<|endoftext|>"
    if let surplus { warnings.append("\(label): \(surplus)") }
    if try scheduler.string("prediction_type", "epsilon") == "v_prediction" {
      warnings.append(
        "\(label): taken for Stable Diffusion 2 at 768 pixels, which predicts v; for a 512-pixel base model give --prediction epsilon")
    }
  }

  /// - Returns: the tensors under canonical names, and a line about what belongs to none of the three networks.
  static func canonical(_ stored: [StoredTensor], label: String, ema: Bool) throws -> ([StoredTensor], String?) {
    let layout = KeyMap.Layout(stored.map(\.name))
    var averages: [String: StoredTensor] = [:]
    for tensor in stored where tensor.name.hasPrefix("model_ema.") { averages[tensor.name] = tensor }
    guard !ema || !averages.isEmpty else {
      throw InputError(.usage, "\(label): has no model_ema weights", hint: "leave --ema out")
    }
    var out: [StoredTensor] = []
    var surplus: [String: Int] = [:]
    for tensor in stored {
      guard let target = KeyMap.canonical(tensor.name, layout) else {
        surplus[String(tensor.name.split(separator: ".").first ?? ""), default: 0] += 1
        continue
      }
      var source = tensor
      if ema, let name = KeyMap.emaName(tensor.name) {
        guard let average = averages[name] else {
          throw InputError(.badData, "\(label): \(name) is missing, the moving average of \(tensor.name)", hint: "leave --ema out")
        }
        source = average
        surplus["model_ema", default: 0] -= 1
      }
      out += place(source, target)
    }
    let counts = surplus.filter { $0.value > 0 }.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    guard !counts.isEmpty else { return (out, nil) }
    let shown = counts.prefix(6).map { "\($0.key) \($0.value)" }.joined(separator: ", ") + (counts.count > 6 ? ", …" : "")
    return (out, "\(counts.reduce(0) { $0 + $1.value }) tensors outside of the three networks are not used (\(shown))")
  }

  /// The tensor under its canonical name or names.
  private static func place(_ tensor: StoredTensor, _ target: KeyMap.Target) -> [StoredTensor] {
    var tensor = tensor
    switch target {
    case .unused: return []
    case .one(let name):
      tensor.name = name
      return [tensor]
    case .thirds(let names):
      // A shape that has no thirds is misshapen: its parts are, too, and are reported by their names.
      let rows = (tensor.shape.first ?? 0) / 3
      return names.enumerated().map { i, name in
        var part = tensor.shape.isEmpty ? tensor : tensor.rows(i * rows..<(i + 1) * rows)
        part.name = name
        return part
      }
    }
  }

  // MARK: - Another VAE

  mutating func replaceVAE(_ location: ModelSource.Location, label: String, variant: String?) throws {
    switch location {
    case .folder(let folder):
      let inner = folder.appendingPathComponent("vae")
      let own = FileManager.default.fileExists(atPath: inner.appendingPathComponent("config.json").path) ? inner : folder
      vae = try Self.config(own.appendingPathComponent("config.json"))
      try add("vae", in: own, variant)
    case .file(let url):
      // Alone, a VAE's names have no prefix; they are CompVis' or diffusers'.
      var stored = try WeightFiles.read(url).tensors
      if !stored.contains(where: { $0.name.hasPrefix("first_stage_model.") }) {
        stored = stored.filter { ["encoder", "decoder", "quant_conv", "post_quant_conv"].contains($0.name.prefix { $0 != "." }) }
        for i in stored.indices { stored[i].name = "first_stage_model.\(stored[i].name)" }
      }
      let found = try Self.canonical(stored, label: label, ema: false).0.filter { $0.name.hasPrefix("vae.") }
      vae = try ConfigInference(found, label: label).vae()
      tensors += found
      files.append(url)
    }
  }
}
