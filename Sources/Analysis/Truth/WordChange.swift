import Engine

/// What a word does to the network's guess of the noise, place by place, in a picture that is there already: two ways to ask.
public struct WordChange: Sendable {
  /// `|eps(c) - eps(c')|` over the channels, `[h, w]`, c' being the prompt's embedding with the word's rows replaced by padding.
  public let knockOut: [Float]
  /// Gradient times input: `|J (c - c')|` over the channels, `[h, w]`, J being the derivative of eps by the embedding. With the whole way from c' to c in
  /// place of its end it would be integrated gradients, whose sum is the knock-out.
  public let gradient: [Float]

  /// Half of the way over which the derivative is taken, as a share of c - c': central differences err by its square, rounding by its inverse.
  static let step = 0.02

  /// One pass for all words.
  /// - Parameters:
  ///   - noisy: `[1, h, w, c]`.
  ///   - text: the prompt's embedding, `[1, tokens, width]`.
  ///   - without: the same without each word (`WordKnockOut.replaced`).
  public static func of(
    _ model: StableDiffusion, noisy: Tensor, timestep: Double, text: Tensor, without: [Tensor]
  ) throws -> [WordChange] {
    guard !without.isEmpty else { return [] }
    var rows = [text]
    for other in without {
      rows.append(other)
      rows.append(Tensor.combination((1 + step, text), (-step, other)))
      rows.append(Tensor.combination((1 - step, text), (step, other)))
    }
    let x = Tensor.concatenated(Array(repeating: noisy, count: rows.count))
    let eps = try model.unet(x, timesteps: [timestep], text: .concatenated(rows))
    let places = noisy.shape[1] * noisy.shape[2]
    let channels = eps.shape[3]
    func distance(_ a: Int, _ b: Int, _ scale: Float) -> [Float] {
      eps.withUnsafeBuffer { e in
        (0..<places).map { p in
          var sum: Float = 0
          for c in 0..<channels {
            let d = (e[(a * places + p) * channels + c] - e[(b * places + p) * channels + c]) * scale
            sum += d * d
          }
          return sum.squareRoot()
        }
      }
    }
    return without.indices.map { i in
      WordChange(knockOut: distance(0, 3 * i + 1, 1), gradient: distance(3 * i + 2, 3 * i + 3, Float(1 / (2 * step))))
    }
  }
}
