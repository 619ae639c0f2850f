import Engine
import Foundation

/// What decides the content of a run. Equal specifications give equal runs, so a run that is there need not be made again.
public struct RunSpec: Codable, Sendable, Equatable {
  /// With the digests of the model and of all pictures that take part.
  public var parameters: GenerationParameters
  public var captures: [CaptureSpec]
  /// What was done to the run besides its parameters: `knock_out: house`, `embedding: lerp …`. Empty for a plain one.
  public var intervention: [String: String]

  public init(_ parameters: GenerationParameters, captures: [CaptureSpec] = [], intervention: [String: String] = [:]) {
    self.parameters = parameters
    self.captures = captures
    self.intervention = intervention
  }

  /// SHA-256 over the canonical JSON of this.
  public func digest() throws -> String { try Digest.of(RunManifest.encoder.encode(self)) }
}

/// `manifest.json` of a run: what it is, how it was made, which files it has.
public struct RunManifest: Codable, Sendable {
  /// The version of this structure; readers refuse later ones.
  public static let schema = 1

  public struct File: Codable, Sendable, Equatable {
    public var path: String
    public var bytes: Int
    public var sha256: String
  }

  /// One evaluation of the network.
  public struct Call: Codable, Sendable, Equatable {
    /// Step of the run, from 0.
    public var step: Int
    public var timestep: Double
  }

  /// One captured site.
  public struct Capture: Codable, Sendable, Equatable {
    public var site: String
    public var file: String
    public var axes: String
    public var reduction: CaptureSpec.Reduction
    /// Labels of the rows: `[image, "cond"]`.
    public var rows: [Row]
    /// Indices into `calls`, one for each entry of the first dimension.
    public var calls: [Int]
    /// `[calls, rows, …]`, as the file has it.
    public var shape: [Int]

    public struct Row: Codable, Sendable, Equatable {
      public var image: Int
      public var half: String
    }
  }

  public struct Word: Codable, Sendable, Equatable {
    public var text: String
    /// Places of its tokens in `tokens`.
    public var positions: [Int]
  }

  public var schema = Self.schema
  public var id: String
  public var spec: RunSpec
  public var specSha256: String
  /// The command line that made it.
  public var command: String
  /// ISO 8601, UTC.
  public var created: String
  /// SHA-256 of the model's weights.
  public var modelSha256: String
  public var modelClass = "StableDiffusion"
  /// Height and width of the latents.
  public var latentSize: [Int]
  /// Timesteps of the run's steps and the noise level there: `alphas_cumprod`, the share of the signal's variance.
  public var timesteps: [Double]
  public var alphasCumprod: [Double]
  public var calls: [Call]
  /// The prompt as the model reads it, padding included.
  public var tokens: [String]
  /// Number of tokens of the prompt itself; they stand at 1...promptTokens.
  public var promptTokens: Int
  public var words: [Word]
  public var captures: [Capture]
  public var threads: Int
  public var instructionSet: String
  /// Seconds of each part.
  public var seconds: [String: Double]
  public var files: [File]
  /// What the model's safety checker said of each image; nil when none looked at them.
  public var safety: [SafetyChecker.Verdict]?

  /// True when an image of the run was flagged: reports hide such pictures until somebody asks for them.
  public var isFlagged: Bool { safety?.contains(where: \.isFlagged) == true }

  static var encoder: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
    return encoder
  }

  static var decoder: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return decoder
  }
}
