import Foundation

/// Everything that is needed to make a picture again, in the form in which it travels inside the picture: one JSON object under the keyword
/// `sdlab`.
///
/// Names of samplers and options are those of the command line. Digests are SHA-256 in lower-case hexadecimal.
public struct GenerationParameters: Codable, Sendable, Equatable {
  /// The keyword of the PNG text chunk.
  public static let keyword = "sdlab"
  /// The version of this structure; readers refuse later ones.
  public static let schema = 1

  /// A file that took part.
  public struct Source: Codable, Sendable, Equatable {
    /// As the person named it.
    public var name: String
    /// SHA-256 of its content; for a model folder, as the program defines it.
    public var sha256: String?
    public init(name: String, sha256: String? = nil) {
      self.name = name
      self.sha256 = sha256
    }
  }

  /// A LoRA that was added to the model.
  public struct Added: Codable, Sendable, Equatable {
    public var name: String
    /// How much of it.
    public var weight: Double
    public init(name: String, weight: Double) { (self.name, self.weight) = (name, weight) }
  }

  /// A textual inversion, and the word that stands for it.
  public struct Word: Codable, Sendable, Equatable {
    public var name: String
    public var token: String
    public init(name: String, token: String) { (self.name, self.token) = (name, token) }
  }

  public var schema = Self.schema
  /// The version of the program that made the picture.
  public var sdlabVersion: String
  public var prompt: String
  public var negativePrompt = ""
  /// `ddpm`, `euler-a`, `dpmpp-2m-karras`, …
  public var sampler = "ddpm"
  public var steps = 50
  /// Scale of classifier-free guidance; at 1 and below there is none.
  public var guidance = 8.0
  /// Seed of the first image of the run; image `index` uses `seed + index`.
  public var seed: UInt64 = 42
  /// This image's place among the `count` of its run, from 0.
  public var index = 0
  /// Text that was hidden in the pixels; nil for none.
  public var watermark: String?
  public var count = 1
  /// Pixels.
  public var width: Int
  public var height: Int
  /// Images computed at the same time. Rounding depends on it: a picture is made again bit for bit in a batch of the same size. nil: one.
  public var batch: Int?
  public var model: Source
  /// Another autoencoder than the model's own.
  public var vae: Source?
  /// Another tokenizer than the model's own.
  public var tokenizer: Source?
  /// Variant of the model's files, such as `fp16`.
  public var variant: String?
  /// True when the UNet's moving average was used.
  public var ema: Bool?
  /// `f16` when weights were rounded to half precision; nil for as they lie in the files.
  public var weights: String?
  /// `bf16` when matrix products were made in bfloat16; nil for float32.
  public var precision: String?
  /// What was added to the model; the model's digest covers it.
  public var loras: [Added]?
  public var embeddings: [Word]?
  /// `on`, `off` or `auto` (nil): whether the picture was decoded in tiles.
  public var vaeTiling: String?
  /// Share of the steps that an initial picture goes through, 0 to 1; only with `initImage`.
  public var strength: Double?
  public var eta = 0.0
  /// Layers of the text encoder left out at the end, as diffusers counts; A1111's number is one more.
  public var clipSkip = 0
  /// How brackets in the prompt were read: `none` or `a1111`.
  public var emphasis = "none"
  /// What became of a prompt that is too long: `cut` or `chunk`.
  public var longPrompt = "cut"
  /// Where the noise came from: `cpu` (torch's generator) or `cuda` (Philox).
  public var rng = "cpu"
  /// Settings that override the model's: timestep spacing, Karras sigmas, what the network predicts.
  public var spacing: String?
  public var karras: Bool?
  public var prediction: String?
  /// Pictures and latents that the run began with.
  public var initImage: Source?
  public var mask: Source?
  public var initLatents: Source?
  /// The inversion that the run went on from, and how many of its steps were left out.
  public var inversion: Source?
  public var skip: Int?
  /// What was done to the run besides: `knock_out: house`. Such a picture does not come out of the parameters alone.
  public var intervention: [String: String]?
  /// What the model's safety checker said of this image; nil when none looked at it.
  public var safety: SafetyChecker.Verdict?

  public init(sdlabVersion: String, prompt: String, width: Int, height: Int, model: Source) {
    self.sdlabVersion = sdlabVersion
    self.prompt = prompt
    self.width = width
    self.height = height
    self.model = model
  }

  /// One JSON object with sorted snake_case keys; nil values are left out. The same values give the same text.
  ///
  /// - Throws: `InputError` `.usage` when a number is not finite.
  public func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else { throw InputError(.usage, "generation parameters: expected finite numbers") }
    return String(decoding: data, as: UTF8.self)
  }

  /// From the text of the `sdlab` chunk of the picture `name`.
  ///
  /// - Throws: `InputError` `.badData` for what is not JSON, missing keys, wrong types, values out of range and later schemas.
  public init(json: String, name: String) throws {
    func wrong(_ key: String, _ expected: String) -> InputError {
      InputError(
        .badData, "\(name): sdlab metadata: \(key.isEmpty ? "" : "\(key): ")\(expected)", hint: "give the parameters on the command line")
    }
    func path(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
      (context.codingPath + (last.map { [$0] } ?? [])).map(\.stringValue).joined(separator: ".")
    }
    struct Schema: Decodable { let schema: Int }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let data = Data(json.utf8)
    do {
      let found = try decoder.decode(Schema.self, from: data).schema
      guard found == Self.schema else {
        throw InputError(.badData, "\(name): sdlab metadata: schema: expected \(Self.schema), found \(found)", hint: "use a newer sdlab")
      }
      self = try decoder.decode(Self.self, from: data)
    } catch DecodingError.keyNotFound(let key, let context) {
      throw wrong(path(context, key), "missing")
    } catch DecodingError.typeMismatch(let type, let context) {
      throw wrong(path(context), "expected \(type)")
    } catch DecodingError.valueNotFound(let type, let context) {
      throw wrong(path(context), "expected \(type), found null")
    } catch DecodingError.dataCorrupted(let context) {
      throw wrong(path(context), context.codingPath.isEmpty ? "not valid JSON" : "out of range")
    }
    func check(_ ok: Bool, _ key: String, _ expected: String) throws { if !ok { throw wrong(key, "expected \(expected)") } }
    try check((1...100_000).contains(steps), "steps", "1 to 100000")
    try check(guidance.isFinite && abs(guidance) <= 1000, "guidance", "at most 1000")
    try check((1...1_000_000).contains(count), "count", "1 to 1000000")
    try check((0..<count).contains(index), "index", "0 to count - 1")
    try check(batch.map { (1...count).contains($0) } ?? true, "batch", "1 to count")
    try check((1...Picture.maximumSide).contains(width), "width", "1 to \(Picture.maximumSide)")
    try check((1...Picture.maximumSide).contains(height), "height", "1 to \(Picture.maximumSide)")
    try check((0...100).contains(clipSkip), "clip_skip", "0 to 100")
    try check((0...1).contains(eta), "eta", "0 to 1")
    try check(skip.map { (0..<steps).contains($0) } ?? true, "skip", "0 to steps - 1")
    try check(strength.map { (0...1).contains($0) } ?? true, "strength", "0 to 1")
  }
}
