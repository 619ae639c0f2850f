import Foundation

/// diffusers' StableDiffusionSafetyChecker (Rando et al., "Red-teaming the Stable Diffusion safety filter", 2022): a picture's CLIP embedding beside 17 concepts that only
/// the makers know, each with a threshold, and three of special care, which make the others stricter.
///
/// A filter by likeness: it misses much and flags what is harmless.
public struct SafetyChecker: @unchecked Sendable {
  private let weights: WeightStore
  private let vision: CLIPVision
  private let projection: Linear
  private let preprocessing: CLIPPreprocessing
  /// Unit vectors `[n, dimension]`.
  private let (conceptVectors, specialVectors): (Tensor, Tensor)
  private let (conceptThresholds, specialThresholds): ([Float], [Float])

  /// Number of concepts, the special ones left out.
  public var concepts: Int { conceptThresholds.count }

  /// What is said of a picture.
  public struct Verdict: Codable, Sendable, Equatable {
    /// Cosine minus threshold, raised by 0.01 behind a special one above 0, rounded to 3 digits; above 0 means alike.
    public let specialScores: [Double]
    public let conceptScores: [Double]
    /// True when a concept's score is above 0.
    public var isFlagged: Bool { conceptScores.contains { $0 > 0 } }
  }

  /// The checker of a diffusers folder.
  /// - Returns: nil when the folder has no `safety_checker`.
  /// - Throws: `InputError` when what it has is not whole.
  public init?(model folder: URL) throws {
    let own = folder.appendingPathComponent("safety_checker")
    guard FileManager.default.fileExists(atPath: own.appendingPathComponent("config.json").path) else { return nil }
    let config = try ConfigReader(file: own.appendingPathComponent("config.json"), of: "a safety checker")
    let visionConfig = try CLIPVisionConfig(config.object("vision_config"))
    let dimension = try config.int("projection_dim", 512, in: 1...65536)
    preprocessing = try CLIPPreprocessing(
      besides: folder.appendingPathComponent("feature_extractor/preprocessor_config.json"), side: visionConfig.imageSize)
    var tensors = try WeightFiles(in: own, bases: ["model", "pytorch_model"], variant: nil).tensors
    for i in tensors.indices {
      // Older transformers nest the tower once more.
      let name = tensors[i].name.hasPrefix("vision_model.vision_model.") ? String(tensors[i].name.dropFirst(13)) : tensors[i].name
      tensors[i].name = "safety_checker." + name
    }
    weights = try WeightStore(tensors, label: own.relativePath)
    let scope = weights["safety_checker"]
    vision = CLIPVision(scope["vision_model"], visionConfig)
    projection = Linear(scope["visual_projection"], visionConfig.hiddenSize, dimension, bias: false)
    func rows(_ name: String) -> Int { scope.stored(name)?.shape.first ?? 0 }
    let (n, m) = (rows("concept_embeds"), rows("special_care_embeds"))
    conceptVectors = scope.take("concept_embeds", [n, dimension]).unitRows()
    specialVectors = scope.take("special_care_embeds", [m, dimension]).unitRows()
    conceptThresholds = scope.take("concept_embeds_weights", [n]).array
    specialThresholds = scope.take("special_care_embeds_weights", [m]).array
    try weights.finish(ignoring: ["*"])
  }

  /// One verdict a picture. The network's memory, more than a gigabyte, is given back.
  public func check(_ pictures: [Picture]) throws -> [Verdict] {
    defer { weights.release("safety_checker") }
    return try pictures.map { picture in
      let embedding = projection(try vision(preprocessing([picture])).pooled).unitRows()
      var adjustment = 0.0
      func scores(_ rows: Tensor, _ thresholds: [Float], special: Bool) -> [Double] {
        thresholds.indices.map { i in
          let cosine = zip(rows.slice(i..<i + 1).array, embedding.array).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
          let score = (1000 * (cosine - Double(thresholds[i]) + adjustment)).rounded(.toNearestOrEven) / 1000
          if special, score > 0 { adjustment = 0.01 }
          return score
        }
      }
      let special = scores(specialVectors, specialThresholds, special: true)
      return Verdict(specialScores: special, conceptScores: scores(conceptVectors, conceptThresholds, special: false))
    }
  }
}
