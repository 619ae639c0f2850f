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

  /// - Parameter bend: where each pixel of scene i comes from, in pixels; may be called on any thread. They stay where they are without it.
  init(_ scenes: [Scene], bend: ((_ i: Int) -> [(x: Double, y: Double)])? = nil) throws {
    let all = try inParallel(scenes.count) { i in
      let drawn = try scenes[i].rendered(size: SceneJudge.side)
      guard let places = bend?(i) else { return One(picture: drawn.picture.tensor, labels: Self.cells(drawn.labels)) }
      let bent = drawn.picture.resampled { places[Int($1) * SceneJudge.side + Int($0)] }
      return One(picture: bent.tensor, labels: Self.cells(Self.bent(drawn.labels, places)))
    }
    pictures = .concatenated(all.map(\.picture))
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

  /// The labels of a picture that was bent: each pixel's is that of the pixel next to where it comes from.
  private static func bent(_ labels: [UInt8], _ places: [(x: Double, y: Double)]) -> [UInt8] {
    func inside(_ place: Double) -> Int { Picture.reflected(Int(place.rounded()), SceneJudge.side) }
    return places.map { labels[inside($0.y) * SceneJudge.side + inside($0.x)] }
  }

  /// Labels of pixels as labels of cells: the lower right of each four.
  private static func cells(_ labels: [UInt8]) -> [UInt8] {
    let half = SceneJudge.side / 2
    return (0..<half * half).map { labels[($0 / half * 2 + 1) * SceneJudge.side + $0 % half * 2 + 1] }
  }

  private struct One {
    let picture: Tensor
    let labels: [UInt8]
  }
}

/// The loss of the judge on scenes that are drawn as the training goes: cross entropy of nouns (the background counts half), of colours, and a third as much of the
/// setting.
///
/// Step k sees scenes k * batch and following of a seed, held-out combinations among them, changed as a model's pictures differ from drawn ones: outlines are bent, a share of them has
/// been through an autoencoder; light, contrast and saturation, softness, blurred places, noise. No scene is seen twice, so there is nothing to learn by heart.
public struct JudgeObjective {
  public struct Settings: Codable, Equatable, Sendable {
    /// Largest shift of a pixel, in pixels: shapes are bent in waves.
    public var bend: Double
    /// Chance that a picture goes through the autoencoder before what follows.
    public var decoded: Double
    /// Brightness, contrast and saturation are multiplied by up to 1 ± this.
    public var jitter: Double
    /// Chance that a picture is softened: mixed with the mean of 3x3 pixels, by up to six tenths.
    public var blur: Double
    /// Share of the mean of 9x9 pixels where a picture is most blurred; this goes in waves, too.
    public var smudge: Double
    /// Largest deviation of the noise, of a range of 2.
    public var noise: Double

    public init(
      bend: Double = 2, decoded: Double = 0.5, jitter: Double = 0.1, blur: Double = 0.6, smudge: Double = 0.6, noise: Double = 0.08
    ) {
      (self.bend, self.decoded, self.jitter, self.blur, self.smudge, self.noise) = (bend, decoded, jitter, blur, smudge, noise)
    }
  }

  public let settings: Settings
  public let config: SegmentationNetConfig
  public let vae: VAE
  private let seed: UInt64

  /// - Parameters:
  ///   - vae: whose marks on pictures are learnt to be seen through: that of the models that will be judged.
  ///   - seed: of the scenes.
  public init(_ config: SegmentationNetConfig, _ settings: Settings = .init(), vae: VAE, seed: UInt64) {
    (self.config, self.settings, self.vae, self.seed) = (config, settings, vae, seed)
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
    let range = step * batch..<(step + 1) * batch
    func random(_ i: Int, _ purpose: UInt64) -> NumPyRandom { NumPyRandom(seed: seed, UInt64(range.lowerBound + i), purpose) }
    var examples = try LabelledScenes(range.map { Scene.sample(seed: seed, index: $0, heldOut: .allowed) }) { bend(random($0, 0xbe2d)) }
    let pictures = try decoded(examples.pictures) { random($0, 0xdec0) }
    examples.pictures = .concatenated(
      try inParallel(batch) { i in
        Tensor(changed(Picture(pictures, index: i), random(i, 0x1d9e)), [1, SceneJudge.side, SceneJudge.side, 3])
      })
    return examples
  }

  /// A picture's bending.
  private func bend(_ generator: NumPyRandom) -> [(x: Double, y: Double)] {
    var random = generator
    let reach = random.uniform(0, settings.bend)
    let (right, down) = (Waves(&random), Waves(&random))
    let side = SceneJudge.side
    return (0..<side * side).map { i in
      let (x, y) = (Double(i % side), Double(i / side))
      let (u, v) = (x / Double(side), y / Double(side))
      return (x + reach * right.height(u, v), y + reach * down.height(u, v))
    }
  }

  /// Some of the pictures as they come back from the autoencoder.
  private func decoded(_ pictures: Tensor, _ random: (Int) -> NumPyRandom) throws -> Tensor {
    let chosen = (0..<pictures.shape[0]).map { i in
      var random = random(i)
      return random.isTrue(settings.decoded)
    }
    guard chosen.contains(true) else { return pictures }
    let rows = chosen.indices.map { pictures.slice($0..<$0 + 1) }
    let back = try vae.pictures(vae.latents(.concatenated(zip(rows, chosen).filter(\.1).map(\.0))))
    var next = 0
    return .concatenated(
      zip(rows, chosen).map { row, isChosen in
        guard isChosen else { return row }
        defer { next += 1 }
        return back.slice(next..<next + 1)
      })
  }

  private func changed(_ picture: Picture, _ generator: NumPyRandom) -> [Float] {
    var random = generator
    let light = (0..<3).map { _ in random.uniform(1 - settings.jitter, 1 + settings.jitter) }
    let (isSoft, softness) = (random.isTrue(settings.blur), Float(random.uniform(0, 0.6)))
    let (smudge, places) = (random.uniform(0, settings.smudge), Waves(&random))
    let deviation = Float(random.uniform(0, settings.noise))
    var noises = TorchRandom(seed: random.bits64())
    var pixels = picture.relit(brightness: light[0], contrast: light[1], saturation: light[2]).tensor.array
    let (width, height) = (picture.width, picture.height)
    if isSoft { pixels = Self.softened(pixels, width: width, height: height, reach: 1) { _, _ in softness } }
    pixels = Self.softened(pixels, width: width, height: height, reach: 4) { x, y in
      Float(smudge * max(0, places.height(Double(x) / Double(width), Double(y) / Double(height))))
    }
    for (i, noise) in noises.normal(count: pixels.count).enumerated() { pixels[i] += deviation * noise }
    return pixels
  }

  /// Mixed with the mean of the pixels up to `reach` away in both directions; beyond the edge the outermost pixels go on.
  /// - Parameter share: of the mean, at (x, y).
  private static func softened(_ pixels: [Float], width: Int, height: Int, reach: Int, share: (Int, Int) -> Float) -> [Float] {
    func mean(_ p: [Float], count: Int, step: Int) -> [Float] {
      p.indices.map { i in
        let at = i / step % count
        let sum = (-reach...reach).reduce(Float(0)) { $0 + p[i + (min(max(at + $1, 0), count - 1) - at) * step] }
        return sum / Float(2 * reach + 1)
      }
    }
    let both = mean(mean(pixels, count: width, step: 3), count: height, step: 3 * width)
    return pixels.indices.map { pixels[$0] + share($0 / 3 % width, $0 / 3 / width) * (both[$0] - pixels[$0]) }
  }
}
