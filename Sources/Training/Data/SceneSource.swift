import Engine
import Foundation

/// Scenes as data, drawn when they are asked for. The caption changes with the epoch, and with it which details are told.
public struct SceneSource: ExampleSource {
  public let count: Int
  private let scenes: SceneFolder
  private let pairs: Double?

  /// - Parameters:
  ///   - pairs: share of scenes with two objects, 0 to 1; nil as the world has it (0.4). The others are those of `SceneFolder`; `count` scenes make an epoch.
  public init(seed: UInt64, count: Int, size: Int = 64, objects: Int? = nil, pairs: Double? = nil, heldOut: HeldOut.Rule = .never) {
    precondition(count > 0, "\(count) scenes")
    self.count = count
    self.pairs = pairs
    scenes = SceneFolder(seed: seed, count: count, size: size, objects: objects, heldOut: heldOut)
  }

  public func scene(_ index: Int) -> Scene {
    guard let pairs else { return scenes.scene(index) }
    var random = NumPyRandom(seed: scenes.seed, UInt64(index), 0x9a12)
    return Scene.sample(seed: scenes.seed, index: index, objects: random.isTrue(pairs) ? 2 : 1, heldOut: scenes.heldOut)
  }

  public func example(_ index: Int, epoch: Int) throws -> Example {
    let scene = scene(index)
    return Example(picture: try scene.render(size: scenes.size), caption: scene.caption(variant: epoch))
  }

  public func caption(_ index: Int, epoch: Int) -> String { scene(index).caption(variant: epoch) }

  /// Of the factors: they decide every pixel.
  public func digest(_ index: Int) throws -> ContentDigest {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return ContentDigest(String(decoding: try encoder.encode(scene(index)), as: UTF8.self))
  }
}
