import Engine
import Foundation

/// How far a reconstruction is from what it should be.
public struct ReconstructionError: Sendable, Equatable {
  /// Mean of the squared differences; of pictures on the scale 0...255.
  public let meanSquare: Double
  /// Peak signal-to-noise ratio in decibels, 10 log10(peak^2 / mean square). Of pictures the peak is 255, of latents the difference of the largest and the
  /// smallest value of the reference. nil when nothing differs.
  public let psnr: Double?

  /// - Parameter reference: `[n, h, w, c]`, the same shape.
  public init(latents: Tensor, reference: Tensor) {
    precondition(latents.shape == reference.shape, "\(latents.shape) beside \(reference.shape)")
    let values = reference.array
    let peak = Double(values.max() ?? 0) - Double(values.min() ?? 0)
    self.init(zip(latents.array, values).reduce(0) { $0 + pow(Double($1.0) - Double($1.1), 2) } / Double(max(1, values.count)), peak: peak)
  }

  /// - Throws: `InputError` (usage) when the sizes differ.
  public init(picture: Picture, reference: Picture) throws {
    guard picture.width == reference.width, picture.height == reference.height else {
      throw InputError(
        .usage, "pictures of \(picture.width)x\(picture.height) and \(reference.width)x\(reference.height) cannot be compared")
    }
    let sum = zip(picture.pixels, reference.pixels).reduce(0) { $0 + (Int($1.0) - Int($1.1)) * (Int($1.0) - Int($1.1)) }
    self.init(Double(sum) / Double(max(1, picture.pixels.count)), peak: 255)
  }

  private init(_ meanSquare: Double, peak: Double) {
    self.meanSquare = meanSquare
    psnr = meanSquare > 0 && peak > 0 ? 10 * log10(peak * peak / meanSquare) : nil
  }
}

/// How much an inverted noise is like the noise that a model was trained with: mean 0, deviation 1, neighbours independent.
public struct NoiseStatistics: Sendable, Equatable {
  public let mean: Double
  public let deviation: Double
  /// Pearson's correlation of values beside and below each other, over all channels; 0 for white noise, positive where the picture is still seen.
  public let neighbourCorrelation: Double

  /// - Parameter noise: `[n, h, w, c]`
  public init(_ noise: Tensor) {
    let (values, s) = (noise.array.map(Double.init), noise.shape)
    let count = Double(max(1, values.count))
    let mean = values.reduce(0, +) / count
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
    var (sum, pairs) = (0.0, 0.0)
    for n in 0..<s[0] {
      for y in 0..<s[1] {
        for x in 0..<s[2] {
          for c in 0..<s[3] {
            let at = ((n * s[1] + y) * s[2] + x) * s[3] + c
            if x + 1 < s[2] {
              sum += (values[at] - mean) * (values[at + s[3]] - mean)
              pairs += 1
            }
            if y + 1 < s[1] {
              sum += (values[at] - mean) * (values[at + s[2] * s[3]] - mean)
              pairs += 1
            }
          }
        }
      }
    }
    self.mean = mean
    deviation = variance.squareRoot()
    neighbourCorrelation = pairs > 0 && variance > 0 ? sum / pairs / variance : 0
  }
}
