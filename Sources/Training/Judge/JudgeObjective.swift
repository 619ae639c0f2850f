import Engine
import Foundation

/// Drawn scenes with what the judge shall say of them.
struct LabelledScenes: Sendable {
  /// `[n, 64, 64, 3]` in [-1, 1]
  var pictures: Tensor
  /// Class of each cell, every second pixel of the picture: 0 background, then in the order of `Noun`; `[n * 32 * 32]`.
  var nouns: [Int]
  /// The same of colours.
  var colours: [Int]
  /// In the order of `Backdrop.all`.
  var backdrops: [Int]

  /// - Parameter change: of the pixels in [-1, 1] of scene i, `[64 * 64 * 3]`; may run on any thread.
  init(_ scenes: [Scene], change: @Sendable (_ i: Int, _ picture: Picture) -> [Float] = { $1.tensor.array }) throws {
    let all = try inParallel(scenes.count) { i in
      let drawn = try scenes[i].rendered(size: SceneJudge.side)
      return One(pixels: change(i, drawn.picture), labels: Self.cells(drawn.labels))
    }
    pictures = .concatenated(all.map { Tensor($0.pixels, [1, SceneJudge.side, SceneJudge.side, 3]) })
    func classes(_ of: (Scene.Object) -> Int?) -> [Int] {
      zip(scenes, all).flatMap { scene, one in
        let known = [0] + scene.objects.map { (of($0) ?? -1) + 1 }
        return one.labels.map { known[Int($0)] }
      }
    }
    nouns = classes { Noun.allCases.firstIndex(of: $0.noun) }
    colours = classes { ObjectColour.allCases.firstIndex(of: $0.colour) }
    backdrops = scenes.map { scene in
      Judgement.Backdrop.all.firstIndex(of: .init(setting: scene.setting, plain: scene.setting == .plain ? scene.plain : nil)) ?? 0
    }
  }

  /// Labels of pixels as labels of cells: the lower right of each four.
  private static func cells(_ labels: [UInt8]) -> [UInt8] {
    let half = SceneJudge.side / 2
    return (0..<half * half).map { labels[($0 / half * 2 + 1) * SceneJudge.side + $0 % half * 2 + 1] }
  }

  private struct One {
    let pixels: [Float]
    let labels: [UInt8]
  }
}

/// The loss of the judge on scenes that are drawn as the training goes: cross entropy of nouns (the background counts half), of colours, and a third as much of the
/// setting.
///
/// Step k sees scenes k * batch and following of a seed, held-out combinations among them, changed as a model's pictures differ from drawn ones: light, contrast and saturation,
/// softness as the VAE's decoder leaves it, noise. No scene is seen twice, so there is nothing to learn by heart.
public struct JudgeObjective: Sendable {
  public struct Settings: Codable, Equatable, Sendable {
    /// Brightness, contrast and saturation are multiplied by up to 1 ± this.
    public var jitter: Double
    /// Chance that a picture is softened: mixed with the mean of 3x3 pixels, by up to six tenths.
    public var blur: Double
    /// Largest deviation of the noise, of a range of 2.
    public var noise: Double

    public init(jitter: Double = 0.1, blur: Double = 0.6, noise: Double = 0.08) {
      (self.jitter, self.blur, self.noise) = (jitter, blur, noise)
    }
  }

  public let settings: Settings
  public let config: SegmentationNetConfig
  private let seed: UInt64

  /// - Parameter seed: of the scenes.
  public init(_ config: SegmentationNetConfig, _ settings: Settings = .init(), seed: UInt64) {
    (self.config, self.settings, self.seed) = (config, settings, seed)
  }

  /// The loss of one step, `[1]`.
  public func loss(_ parameters: RecordedParameters, step: Int, batch: Int) throws -> Tensor {
    try loss(parameters, examples(step: step, batch: batch))
  }

  /// The loss on scenes as they are drawn, unchanged, `[1]`.
  public func loss(_ parameters: RecordedParameters, scenes: [Scene]) throws -> Tensor { try loss(parameters, LabelledScenes(scenes)) }

  private func loss(_ parameters: RecordedParameters, _ examples: LabelledScenes) -> Tensor {
    let out = SegmentationNet(parameters.store, config)(examples.pictures)
    var weights = [Float](repeating: 1, count: config.maps[0])
    weights[0] = 0.5
    return Tensor.combination(
      (1, out.maps[0].crossEntropy(examples.nouns, weights: weights)), (1, out.maps[1].crossEntropy(examples.colours)),
      (0.3, out.classes.crossEntropy(examples.backdrops)))
  }

  func examples(step: Int, batch: Int) throws -> LabelledScenes {
    let first = step * batch
    return try LabelledScenes((0..<batch).map { Scene.sample(seed: seed, index: first + $0, heldOut: .allowed) }) { i, picture in
      changed(picture, NumPyRandom(seed: seed, UInt64(first + i), 0x1d9e))
    }
  }

  private func changed(_ picture: Picture, _ generator: NumPyRandom) -> [Float] {
    var random = generator
    let light = (0..<3).map { _ in random.uniform(1 - settings.jitter, 1 + settings.jitter) }
    let (isSoft, softness) = (random.isTrue(settings.blur), random.uniform(0, 0.6))
    let deviation = Float(random.uniform(0, settings.noise))
    var noises = TorchRandom(seed: random.bits64())
    var pixels = picture.relit(brightness: light[0], contrast: light[1], saturation: light[2]).tensor.array
    if isSoft { pixels = Self.softened(pixels, width: picture.width, height: picture.height, by: Float(softness)) }
    for (i, noise) in noises.normal(count: pixels.count).enumerated() { pixels[i] += deviation * noise }
    return pixels
  }

  /// Mixed with the mean of each pixel and its eight neighbours; beyond the edge the outermost pixels go on.
  private static func softened(_ pixels: [Float], width: Int, height: Int, by share: Float) -> [Float] {
    func mean(_ p: [Float], _ count: Int, step: Int, _ place: (Int) -> Int) -> [Float] {
      p.indices.map { i in
        let at = place(i)
        return (p[at > 0 ? i - step : i] + p[i] + p[at + 1 < count ? i + step : i]) / 3
      }
    }
    let rows = mean(pixels, width, step: 3) { $0 / 3 % width }
    let both = mean(rows, height, step: 3 * width) { $0 / (3 * width) }
    return zip(pixels, both).map { $0 + share * ($1 - $0) }
  }
}
