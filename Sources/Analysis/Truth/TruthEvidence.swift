import Engine
import Foundation

/// What scenes with known masks have taught about a model's maps: kept in a file, so that reports can say which maps to believe.
public struct TruthEvidence: Codable, Sendable {
  /// A noun's line.
  public struct Word: Codable, Sendable {
    public let word: String
    /// Objects that it was scored on.
    public let count: Int
    public let iou: Double
    /// 95 %; the same number twice when there was one picture.
    public let low: Double
    public let high: Double
    public let auc: Double
    /// Share of inverted maps.
    public let inverted: Double

    public init(word: String, count: Int, iou: Double, low: Double, high: Double, auc: Double, inverted: Double) {
      (self.word, self.count, self.iou, self.low, self.high, self.auc, self.inverted) = (word, count, iou, low, high, auc, inverted)
    }
  }

  /// A method's line.
  public struct Method: Codable, Sendable {
    public let name: String
    public let iou: Double
    public let low: Double
    public let high: Double
    public let words: [Word]

    public init(name: String, iou: Double, low: Double, high: Double, words: [Word]) {
      (self.name, self.iou, self.low, self.high, self.words) = (name, iou, low, high, words)
    }

    public func word(_ text: String) -> Word? { words.first { $0.word == text.lowercased() } }
  }

  public let modelSha256: String
  /// Test pictures.
  public let scenes: Int
  /// Paths of the layers that `OutputMaps` takes.
  public let outputLayers: [String]
  /// Mean IoU of the best map that looks at nothing.
  public let baseline: Double
  public let methods: [Method]

  public init(modelSha256: String, scenes: Int, outputLayers: [String], baseline: Double, methods: [Method]) {
    self.modelSha256 = modelSha256
    self.scenes = scenes
    self.outputLayers = outputLayers
    self.baseline = baseline
    self.methods = methods
  }

  public func method(_ name: String) -> Method? { methods.first { $0.name == name } }

  /// What to make of a word's map, in one line; the rule is a convention, written where it is shown.
  public enum Verdict: String, Sendable, Codable { case believed, doubtful, refuted }

  /// A map is believed when the noun's interval lies above the baseline by `margin` and hardly any map is inverted, refuted when a fifth is inverted or
  /// the noun's IoU does not reach the baseline, and doubtful else.
  public func verdict(_ word: Word) -> Verdict {
    if word.inverted >= Self.mostInverted || word.iou <= baseline { return .refuted }
    return word.low > baseline + Self.margin && word.inverted < Self.mostInverted / 2 ? .believed : .doubtful
  }

  public static let margin = 0.2
  public static let mostInverted = 0.2

  /// The evidence that comes with the program, or nil when it is of another model.
  /// - Throws: `InputError` when the file is damaged.
  public static func stored(_ file: URL, modelSha256: String) throws -> TruthEvidence? {
    guard let data = try? Data(contentsOf: file) else { return nil }
    let evidence: TruthEvidence
    do { evidence = try JSONDecoder().decode(TruthEvidence.self, from: data) } catch {
      throw InputError(.badData, "\(file.path): is no evidence of `sdlab truth`", hint: "make it again with `sdlab truth --evidence`")
    }
    return evidence.modelSha256 == modelSha256 ? evidence : nil
  }
}
