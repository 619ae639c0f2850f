import Engine
import Training

/// The judge's own accuracy: what it says of scenes that are drawn, and of the same after the way through an autoencoder.
struct SceneExamination {
  private(set) var drawn = SceneTable()
  private(set) var decoded = SceneTable()

  /// - Parameters:
  ///   - told: which factors are asked for; all when nil.
  ///   - side: pixels of the pictures that the autoencoder is made for; the judge sees them at its own size.
  init(
    _ judge: SceneJudge, scenes: [Scene], told: [Scene.Told]? = nil, vae: VAE, side: Int = SceneJudge.side, quiet: Bool
  ) throws {
    var bar = ProgressBar("asking the judge about drawn scenes", total: scenes.count, quiet: quiet)
    for start in stride(from: 0, to: scenes.count, by: 32) {
      let range = start..<min(start + 32, scenes.count)
      let pictures = Tensor.concatenated(try scenes[range].map { try $0.render(size: side).tensor })
      let back = try vae.pictures(vae.latents(pictures))
      let (before, after) = (pictures.asPictures(side: SceneJudge.side), back.asPictures(side: SceneJudge.side))
      for (i, (judged, after)) in zip(range, zip(judge.judgements(of: before), judge.judgements(of: after))) {
        drawn.add(judged, asked: scenes[i], told: told?[i])
        decoded.add(after, asked: scenes[i], told: told?[i])
      }
      bar.advance(by: range.count)
    }
  }

  /// A quarter of each group.
  static func balanced(_ count: Int, seed: UInt64) -> [Scene] { (0..<count).map { Scene.balanced(seed: seed, index: $0) } }
}

extension Tensor {
  /// Decoded pictures as they are on the disk, cut to the range and rounded to 8 bits, in this size.
  func asPictures(side: Int) -> Tensor {
    .concatenated(
      (0..<shape[0]).map { i in
        let picture = Picture(self, index: i)
        return (picture.width == side && picture.height == side ? picture : picture.resized(width: side, height: side)).tensor
      })
  }
}

extension SceneTable.Row {
  var text: String { proportion.text }
}

extension Proportion {
  /// In percent: `98.4 (97.1 to 99.2)`; a dash where nothing was asked.
  var text: String {
    guard let value, let interval else { return "–" }
    return "\(decimal(100 * value, 1)) (\(decimal(100 * interval.lowerBound, 1)) to \(decimal(100 * interval.upperBound, 1)))"
  }
}

extension SceneTable.Row: Encodable {
  private enum Key: String, CodingKey { case objects, heldOut, question }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: Key.self)
    try values.encode(group.objects, forKey: .objects)
    try values.encode(group.isHeldOut, forKey: .heldOut)
    try values.encode(question, forKey: .question)
    try proportion.encode(to: encoder)
  }
}
