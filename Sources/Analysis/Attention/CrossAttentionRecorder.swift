import Engine
import Foundation

/// Watches the cross-attention of a run and keeps what the heatmap methods need: nothing of the size of a whole run is ever held.
///
/// Only rows that carry the prompt are looked at (label `cond`); without guidance these are all rows.
public final class CrossAttentionRecorder {
  /// One cross-attention layer.
  public struct Layer: Sendable {
    public let place: AttentionPlace
    public let size: MapSize
    public let heads: Int
    public let tokens: Int
    /// For each image the sum over the network's calls of the probabilities: `[heads, pixels, tokens]`.
    public internal(set) var sums: [[Float]]
  }

  /// Layers in network order.
  public private(set) var layers: [Layer] = []
  /// Network calls that were recorded.
  public private(set) var calls = 0
  /// For each call and image the mean over heads and layers at the level nearest to 16x16: `[pixels, tokens]`.
  public private(set) var levelMaps: [[[Float]]] = []
  /// That level.
  public let level: MapSize

  private let latents: MapSize
  private let steps: ((Int) -> Bool)?
  private var index: [Int: Int] = [:]  // site id -> layer

  /// - Parameters:
  ///   - latents: size of the run's latents.
  ///   - steps: which steps of the plan are recorded; nil for all.
  public convenience init(model: StableDiffusion, latents: MapSize, steps: ((Int) -> Bool)? = nil) {
    self.init(levels: model.unet.config.blockOutChannels.count, latents: latents, steps: steps)
  }

  /// - Parameter depth: number of levels of the UNet.
  public init(levels depth: Int, latents: MapSize, steps: ((Int) -> Bool)? = nil) {
    self.latents = latents
    self.steps = steps
    // "16x16" in the papers means 256 positions of a 64x64 latent: here the level whose number of positions is nearest to it.
    let levels = latents.levels(depth)
    level = levels.min { abs(log(Double($0.count) / 256)) < abs(log(Double($1.count) / 256)) } ?? latents
  }

  /// A probe for `StableDiffusion.denoising`. One recorder serves one run.
  public func probes(_ model: StableDiffusion) throws -> Probes {
    try Probes(["unet.*.attn2.probs"], sites: model.sites) { [self] site, moment, tensor in
      try record(site, moment, tensor)
      return nil
    }
  }

  func record(_ site: Site, _ moment: Moment, _ probabilities: Tensor) throws {
    if let steps, !steps(moment.step) { return }
    let shape = probabilities.shape
    let (heads, pixels, tokens) = (shape[1], shape[2], shape[3])
    let rows = moment.rows.enumerated().filter { $0.element.half == .cond }
    let images = (rows.map(\.element.image).max() ?? -1) + 1
    if index[site.id] == nil {
      guard let place = AttentionPlace(site), let size = MapSize(pixels: pixels, latents: latents) else {
        throw InputError(.badData, "\(site.path): \(pixels) positions fit no level of \(latents.height)x\(latents.width) latents")
      }
      index[site.id] = layers.count
      let empty = [Float](repeating: 0, count: heads * pixels * tokens)
      layers.append(Layer(place: place, size: size, heads: heads, tokens: tokens, sums: Array(repeating: empty, count: images)))
    }
    guard let at = index[site.id] else { return }
    if at == 0 {
      calls += 1
      levelMaps.append(Array(repeating: [], count: images))
    }
    let size = heads * pixels * tokens
    let atLevel = layers[at].size == level
    probabilities.withUnsafeBuffer { p in
      for (row, label) in rows {
        let from = row * size
        layers[at].sums[label.image].withUnsafeMutableBufferPointer { sum in
          for i in 0..<size { sum[i] += p[from + i] }
        }
        if atLevel {
          if levelMaps[calls - 1][label.image].isEmpty { levelMaps[calls - 1][label.image] = [Float](repeating: 0, count: pixels * tokens) }
          levelMaps[calls - 1][label.image].withUnsafeMutableBufferPointer { mean in
            let weight = 1 / Float(heads)
            for h in 0..<heads { for i in 0..<pixels * tokens { mean[i] += weight * p[from + h * pixels * tokens + i] } }
          }
        }
      }
    }
  }

  /// Mean over heads and layers at `level` for each call: `[calls][pixels, tokens]`.
  public func levelMeans(image: Int) -> [[Float]] {
    let layersAtLevel = Float(max(1, layers.count { $0.size == level }))
    return levelMaps.map { maps in maps[image].map { $0 / layersAtLevel } }
  }
}
