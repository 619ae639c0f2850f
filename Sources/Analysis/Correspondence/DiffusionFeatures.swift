import Engine
import Foundation

/// What the UNet makes of a picture at each place: the output of one up block when the picture is noised to one timestep, mean over several noises.
///
/// Source: Tang et al., "Emergent Correspondence from Image Diffusion" (DIFT), NeurIPS 2023, and its published code, whose defaults for Stable Diffusion are these:
/// up block 1 counted from 0, its upsampling included; timestep 261; 8 noises; the same noises for every picture. The VAE's mean stands for the picture; the
/// published code draws a sample of the VAE for each noise, which differs from it by far less than the noise does.
public struct DiffusionFeatures: Sendable {
  public static let timestep = 261
  public static let ensemble = 8
  /// The positions that block 1 of Stable Diffusion v1 has for 512x512 pixels.
  private static let usualPositions = 32 * 32
  /// Latent positions that go through the UNet at the same time, over all rows.
  private static let positionsAtOnce = 8192

  public let size: MapSize
  public let channels: Int
  /// `[h, w, channels]`
  public let values: [Float]

  public init(size: MapSize, channels: Int, values: [Float]) {
    precondition(values.count == size.count * channels, "\(values.count) values for \(size.height)x\(size.width)x\(channels)")
    self.size = size
    self.channels = channels
    self.values = values
  }

  /// The block whose features are taken by default: 1 for a UNet of four levels, as published; otherwise the block with the number of positions nearest to
  /// 32x32, the first of several.
  public static func defaultBlock(levels: Int, latents: MapSize) -> Int {
    if levels == 4 { return 1 }
    var sizes = [latents]
    for _ in 1..<max(1, levels) {
      let s = sizes[sizes.count - 1]
      sizes.append(MapSize(height: (s.height + 1) / 2, width: (s.width + 1) / 2))
    }
    // Block i ends at the size of the level above its own; the last stays at the latents'.
    func distance(_ block: Int) -> Double {
      let size = sizes[max(0, levels - 2 - block)]
      return abs(log(Double(size.count) / Double(usualPositions)))
    }
    return (0..<max(1, levels)).min { distance($0) < distance($1) } ?? 0
  }

  /// - Parameters:
  ///   - latents: of the picture, `[1, h, w, c]`, as the UNet sees them.
  ///   - text: the prompt's embedding, `[1, tokens, width]`; the published code's default prompt is empty.
  ///   - noise: `[n, h, w, c]`, one for each member of the ensemble.
  ///   - each: called after every pass with the number of noises done.
  /// - Throws: `InputError` (usage) for a block or timestep that is not there and for models that need more than a noised picture.
  public init(
    _ model: StableDiffusion, latents: Tensor, text: Tensor, block: Int, timestep: Int = Self.timestep, noise: Tensor,
    each: (Int) -> Void = { _ in }
  ) throws {
    let levels = model.unet.config.blockOutChannels.count
    guard (0..<levels).contains(block) else { throw InputError(.usage, "up block \(block): expected 0 to \(levels - 1)") }
    let schedule = try NoisedPicture.schedule(of: model)
    let n = noise.shape[0]
    let rows = max(1, min(n, Self.positionsAtOnce / max(1, latents.shape[1] * latents.shape[2])))
    var found: Tensor?
    let probes = try Probes(["unet.up_blocks.\(block).out"], sites: model.sites) { _, _, tensor in
      found = tensor
      throw Enough()
    }
    var sum: [Float] = []
    var shape: (height: Int, width: Int, channels: Int) = (0, 0, 0)
    for start in stride(from: 0, to: n, by: rows) {
      let part = noise.slice(start..<min(start + rows, n))
      let count = part.shape[0]
      let x = try NoisedPicture.noised(Self.repeated(latents, count), part, timestep: timestep, schedule)
      let moment = Moment(step: 0, timestep: Double(timestep), rows: (0..<count).map { RowLabel(image: start + $0, half: .cond) })
      do {
        _ = try model.unet(
          x, timesteps: [Double(timestep)], text: Self.repeated(text, count), ForwardContext(probes: probes, moment: moment))
      } catch is Enough {}
      guard let output = found else { throw InputError(.badData, "up block \(block) gave nothing") }
      found = nil
      shape = (output.shape[1], output.shape[2], output.shape[3])
      let size = output.count / count
      if sum.isEmpty { sum = [Float](repeating: 0, count: size) }
      output.withUnsafeBuffer { values in
        for row in 0..<count { for i in 0..<size { sum[i] += values[row * size + i] } }
      }
      each(start + count)
    }
    let scale = 1 / Float(max(1, n))
    self.init(
      size: MapSize(height: shape.height, width: shape.width), channels: shape.channels, values: sum.map { $0 * scale })
  }

  /// The rest of the network is of no use here.
  private struct Enough: Error {}

  private static func repeated(_ tensor: Tensor, _ count: Int) -> Tensor {
    count == 1 ? tensor : .concatenated(Array(repeating: tensor, count: count))
  }
}
