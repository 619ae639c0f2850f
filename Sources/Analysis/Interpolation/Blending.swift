import Engine
import Foundation

/// The way from one tensor to another.
public enum Blending: String, CaseIterable, Sendable {
  /// The straight line `(1 - t) a + t b`.
  case lerp
  /// The great circle `(sin((1 - t) w) a + sin(t w) b) / sin w` with `w` the angle between the flattened tensors (Shoemake 1985); the straight line where
  /// |cos w| > 0.9995, where the formula loses its digits.
  case slerp

  /// Above this |cosine| a great circle is as good as a line.
  public static let parallel = 0.9995

  /// A point on the way between two embeddings of prompts, `[1, tokens, width]` each; t is 0 at `a`, 1 at `b`.
  /// - Throws: `InputError` (usage) when the prompts have different numbers of chunks.
  public func embedding(_ a: Tensor, _ b: Tensor, _ t: Double) throws -> Tensor {
    guard a.shape == b.shape else {
      throw InputError(
        .usage, "embeddings of \(a.shape) and \(b.shape) have no way between them", hint: "pad both prompts to the same number of chunks")
    }
    let (from, to) = weights(a, b, t)
    return Tensor.combination((from, a), (to, b))
  }

  /// A point on the way between two draws of standard normal noise of one shape.
  ///
  /// Halfway on a line the variance is a half and the picture blurs: the line is divided by `sqrt((1 - t)^2 + t^2)`, so that its points are
  /// standard normal again. That holds for independent draws only: where the cosine is above 0.9995, as of a draw and itself, it would take the noise
  /// out of its scale, and the line is left as it is.
  /// - Throws: `InputError` (usage) when the shapes differ.
  public func noise(_ a: Tensor, _ b: Tensor, _ t: Double) throws -> Tensor {
    guard a.shape == b.shape else { throw InputError(.usage, "noise of \(a.shape) and \(b.shape) has no way between it") }
    var (from, to) = weights(a, b, t)
    if self == .lerp, abs(Self.cosine(a, b)) <= Self.parallel {
      let scale = 1 / ((1 - t) * (1 - t) + t * t).squareRoot()
      (from, to) = (from * scale, to * scale)
    }
    return Tensor.combination((from, a), (to, b))
  }

  /// A point on the way between the latents of two pictures, of one shape. Nothing is rescaled: latents of pictures are no draws of noise.
  /// - Throws: `InputError` (usage) when the shapes differ.
  public func latents(_ a: Tensor, _ b: Tensor, _ t: Double) throws -> Tensor {
    guard a.shape == b.shape else { throw InputError(.usage, "latents of \(a.shape) and \(b.shape) have no way between them") }
    let (from, to) = weights(a, b, t)
    return Tensor.combination((from, a), (to, b))
  }

  private func weights(_ a: Tensor, _ b: Tensor, _ t: Double) -> (Double, Double) {
    let cosine = Self.cosine(a, b)
    if self == .lerp || abs(cosine) > Self.parallel { return (1 - t, t) }
    let angle = acos(cosine)
    return (sin((1 - t) * angle) / sin(angle), sin(t * angle) / sin(angle))
  }

  /// Cosine of the angle between two tensors as vectors, in double; 1 when one of them is zero, so that the way is a line.
  static func cosine(_ a: Tensor, _ b: Tensor) -> Double {
    let (x, y) = (a.array, b.array)
    var (xy, xx, yy) = (0.0, 0.0, 0.0)
    for i in x.indices {
      let (u, v) = (Double(x[i]), Double(y[i]))
      xy += u * v
      xx += u * u
      yy += v * v
    }
    return xx > 0 && yy > 0 ? xy / (xx.squareRoot() * yy.squareRoot()) : 1
  }
}

extension Blending {
  /// What the network is told on the way between two prompts.
  /// - Throws: `InputError` (usage) when only one of them has a negative, or the numbers of chunks differ.
  public func conditioning(_ a: Conditioning, _ b: Conditioning, _ t: Double) throws -> Conditioning {
    let negative: Tensor?
    switch (a.negative, b.negative) {
    case (let x?, let y?): negative = try embedding(x, y, t)
    case (nil, nil): negative = nil
    default: throw InputError(.usage, "one end is guided and the other is not", hint: "give both a guidance above 1, or both 1")
    }
    return Conditioning(prompt: try embedding(a.prompt, b.prompt, t), negative: negative)
  }
}

extension StableDiffusion {
  /// Conditionings of several prompts with one negative prompt, all of the same number of chunks, as interpolation needs them.
  /// - Parameter request: what is used of it: negative prompt, guidance, clip skip, long-prompt rule, emphasis.
  public func conditionings(_ prompts: [String], _ request: GenerationRequest) throws -> [Conditioning] {
    let contrast = request.usesGuidance && unet.config.timeCondProjDim == nil
    var tokenized = try (prompts + (contrast ? [request.negativePrompt] : [])).map {
      try tokenize($0, longPrompt: request.longPrompt, emphasis: request.emphasis)
    }
    TokenizedPrompt.equalizeChunks(&tokenized)
    // As in the pipeline, clip skip does not reach the negative prompt.
    let negative = contrast ? try tokenized.last.map { try embedding($0) } : nil
    return try tokenized.prefix(prompts.count).map { prompt in
      Conditioning(
        prompt: try embedding(prompt, clipSkip: request.clipSkip), negative: negative, warnings: [prompt.warning].compactMap { $0 })
    }
  }
}
