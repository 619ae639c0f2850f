import Engine
import Foundation

/// Mean and deviation of each channel of latents.
public struct LatentStatistics: Sendable, Equatable {
  public let mean: [Double]
  public let deviation: [Double]

  public init(mean: [Double], deviation: [Double]) { (self.mean, self.deviation) = (mean, deviation) }

  /// Of raw latents (not scaled): the means of the encoder's distributions.
  /// - Parameter pictures: each `[n, h, w, 3]` in [-1, 1].
  public init(_ vae: VAE, _ pictures: [Tensor]) throws {
    let c = vae.config.latentChannels
    var (sums, squares, count) = ([Double](repeating: 0, count: c), [Double](repeating: 0, count: c), 0.0)
    for batch in pictures {
      let latents = try vae.encode(batch).mean
      latents.withUnsafeBuffer { values in
        for (i, value) in values.enumerated() {
          sums[i % c] += Double(value)
          squares[i % c] += Double(value) * Double(value)
        }
      }
      count += Double(latents.count / c)
    }
    precondition(count > 0, "statistics of no latents")
    let mean = sums.map { $0 / count }
    self.init(mean: mean, deviation: zip(squares, mean).map { max(0, $0 / count - $1 * $1).squareRoot() })
  }

  /// The same of latents as the UNet sees them: shifted and scaled.
  public func scaled(_ config: VAEConfig) -> LatentStatistics {
    LatentStatistics(
      mean: mean.map { ($0 - config.shiftFactor) * config.scalingFactor }, deviation: deviation.map { $0 * abs(config.scalingFactor) })
  }
}

extension Parameters {
  /// The same autoencoder with other latents: as the UNet sees them, each channel has the mean 0 and the deviation 1. The scaling factor stays.
  ///
  /// Raw latents become z' = a (z - mean) + shift with a = 1 / (deviation * scaling factor): the last layer of the encoder, a 1x1 convolution, gives them, and the first of the decoder, another one, takes
  /// them back. The distribution's deviation is multiplied by a, too.
  /// - Parameters:
  ///   - statistics: of the raw latents.
  ///   - config: of an autoencoder with both 1x1 convolutions (`canFoldLatents`).
  /// - Throws: `InputError` (badData) when a channel does not vary.
  public func foldingLatents(_ statistics: LatentStatistics, _ config: VAEConfig) throws -> Parameters {
    precondition(config.canFoldLatents, "latents are folded into 1x1 convolutions that are not there")
    let c = config.latentChannels
    if let dead = statistics.deviation.firstIndex(where: { !($0 > 1e-6) }) {
      throw InputError(
        .badData, "channel \(dead) of the latents is the same everywhere: it cannot be given a deviation of 1",
        hint: "train longer, or without --fold")
    }
    let factors = statistics.deviation.map { 1 / ($0 * abs(config.scalingFactor)) }
    func changed(_ name: String, _ change: (inout [Double]) -> Void) -> (String, Tensor) {
      guard let tensor = self[name] else { preconditionFailure("\(name) is not among the parameters") }
      var values = tensor.array.map(Double.init)
      change(&values)
      return (name, Tensor(values.map(Float.init), tensor.shape))
    }
    // PyTorch's order: [out, in, 1, 1].
    let new = [
      changed("vae.quant_conv.weight") { w in for i in 0..<c * 2 * c { w[i] *= factors[i / (2 * c)] } },
      changed("vae.quant_conv.bias") { b in
        for i in 0..<c {
          b[i] = factors[i] * (b[i] - statistics.mean[i]) + config.shiftFactor
          b[c + i] += 2 * log(factors[i])
        }
      },
      changed("vae.post_quant_conv.bias") { b in
        guard let weight = self["vae.post_quant_conv.weight"]?.array else { return }
        for o in 0..<c {
          for i in 0..<c { b[o] += Double(weight[o * c + i]) * (statistics.mean[i] - config.shiftFactor / factors[i]) }
        }
      },
      changed("vae.post_quant_conv.weight") { w in for i in 0..<c * c { w[i] /= factors[i % c] } },
    ]
    let byName = Dictionary(uniqueKeysWithValues: new)
    return Parameters(zip(names, values).map { ($0, byName[$0] ?? $1) })
  }
}

extension VAEConfig {
  /// True where a factor and a shift of the latents can be put into the weights to the bit of rounding. Without the 1x1 convolutions a shift would have to go through the decoder's
  /// first 3x3 convolution, which sees zeros beyond the edge.
  public var canFoldLatents: Bool { useQuantConv && usePostQuantConv }
}
