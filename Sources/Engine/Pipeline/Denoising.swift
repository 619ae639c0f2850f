/// One run from noise to latents: a sequence of steps that the caller drives.
///
/// `next()` does one evaluation of the network and returns what came of it; whoever stops calling has stopped the run. Latents, predictions
/// and noise are channels-last, `[n, h, w, c]`; random numbers are drawn in PyTorch's order, so that equal seeds give diffusers' pictures.
public final class Denoising {
  public let request: GenerationRequest
  public let sampler: any Sampler
  public var plan: SamplingPlan { sampler.plan }
  /// Indices into the plan that this run visits: all of them, or the last part of them for image to image.
  public let indices: Range<Int>
  /// The latents now: `[n, h, w, c]`. The result when the run has ended. May be replaced between steps.
  public var latents: Tensor

  private let model: StableDiffusion
  private let conditioning: Conditioning
  /// For each step of the plan what stands in place of the negative prompt's embedding; empty for that itself.
  private let negatives: [Tensor]
  private let isGuided: Bool
  /// The text of every step that has none of its own, `[rows, tokens, width]`, and what the attentions make of it.
  private let text: TextProjections
  private let guidanceEmbedding: Tensor?
  private let probes: Probes?
  private let original: Probes?
  private let painting: Inpainting?
  private let labels: [RowLabel]
  private var noise: NoiseSource
  private var state = SamplerState()
  private var at: Int

  /// What one step gives.
  public struct Step: Sendable {
    /// Index into the plan.
    public let index: Int
    /// Number of this step within the run, from 0, and how many there are.
    public let number: Int
    public let total: Int
    public let timestep: Double
    /// x0 as the model sees it at this step, for previews: `[n, h, w, c]`.
    public let predictedOriginal: Tensor
  }

  /// A run that does not begin as its request says: by a sampler that has no name, at a step of its plan, with given latents.
  struct Start {
    let sampler: any Sampler
    /// Index into the sampler's plan.
    let first: Int
    /// As they are before step `first`: `[count, h, w, c]`.
    let latents: Tensor
    /// For each step of the plan what stands in place of the negative prompt's embedding; empty for that itself.
    var negatives: [Tensor] = []
  }

  init(
    _ model: StableDiffusion, _ request: GenerationRequest, conditioning: Conditioning, probes: Probes?, original: Probes? = nil,
    start: Start? = nil
  ) throws {
    self.model = model
    self.request = request
    self.conditioning = conditioning
    negatives = start?.negatives ?? []
    self.probes = probes
    self.original = original
    let n = request.count
    let (height, width) = try model.latentSize(request)
    let channels = model.vae.config.latentChannels
    sampler =
      try start?.sampler
      ?? request.sampler.sampler(model.source.schedulerConfig, steps: request.steps, options: request.samplerOptions)
    guard original == nil || sampler is any AsymmetricSampler else {
      throw InputError(
        .usage, "the predicted x0 alone can be changed with ddim only, not with \(request.sampler.rawValue)", hint: "use --sampler ddim")
    }
    let plan = sampler.plan
    var noise = NoiseSource(request, shape: [1, height, width, channels])

    if let given = request.initialLatents, given.shape != [n, height, width, channels] {
      throw InputError(
        .usage, "initial latents: expected \([n, channels, height, width]), found \(given.nchw().shape)",
        hint: "give the size and count that they were made with")
    }
    // The order of the draws is diffusers': the VAE's sample, the noise, the VAE's sample of the masked picture; then the steps'.
    if let start {
      guard !model.isInpaintingModel else {
        throw InputError(.usage, "\(model.source.displayName) is an inpainting model: it needs a picture and a mask at every step")
      }
      precondition(
        start.latents.shape == [n, height, width, channels] && plan.indices.contains(start.first),
        "\(start.latents.shape) at step \(start.first) for \(n) images of \(width)x\(height) latents")
      indices = start.first..<plan.indices.upperBound
      latents = start.latents
      painting = nil
    } else if let mask = request.mask {
      guard let image = request.initialImage else { throw InputError(.usage, "a mask needs an initial image") }
      let strongest = request.strength == 1
      indices = try plan.indices(strength: request.strength)
      let needsImage = !model.isInpaintingModel || (request.initialLatents == nil && !strongest)
      let known = needsImage ? try Self.encode(model, image, &noise) : nil
      let drawn = request.initialLatents ?? noise.next()
      if let known, !strongest, request.initialLatents == nil {
        latents = plan.addNoise(known, drawn, at: indices.lowerBound)
      } else {
        latents = plan.initialLatents(drawn)
      }
      painting = try Inpainting(model, image: image, mask: mask, known: known, noise: drawn, &noise)
    } else if let image = request.initialImage {
      guard !model.isInpaintingModel else {
        throw InputError(.usage, "\(model.source.displayName) is an inpainting model and needs a mask", hint: "give --mask")
      }
      indices = try plan.indices(strength: request.strength)
      let known = try Self.encode(model, image, &noise)
      latents = plan.addNoise(known, request.initialLatents ?? noise.next(), at: indices.lowerBound)
      painting = nil
    } else {
      guard !model.isInpaintingModel else {
        throw InputError(
          .usage, "\(model.source.displayName) is an inpainting model and needs a picture and a mask", hint: "give --init-image and --mask")
      }
      indices = plan.indices
      latents = plan.initialLatents(request.initialLatents ?? noise.next())
      painting = nil
    }
    self.noise = noise
    at = indices.lowerBound
    isGuided = conditioning.negative != nil
    text = TextProjections(of: conditioning.negative.map { conditioning.both(rows: n, $0) } ?? conditioning.positive(rows: n))
    let halves: [RowLabel.Half] = isGuided ? [.uncond, .cond] : [.cond]
    labels = halves.flatMap { half in (0..<n).map { RowLabel(image: $0, half: half) } }
    guidanceEmbedding = model.unet.config.timeCondProjDim.map { dim in
      // Latent consistency models are told the guidance scale instead of running twice (Luo et al. 2023): 1000 (w - 1), sine first.
      sinusoidalEmbedding(
        Array(repeating: request.guidance - 1, count: n), dim: dim, flipSinToCos: false, freqShift: 1, scale: 1000)
    }
  }

  /// One evaluation of the network; nil when the run has ended.
  public func next() throws -> Step? {
    guard at < indices.upperBound else { return nil }
    let i = at
    let result: SamplerStep
    if let original, let sampler = sampler as? any AsymmetricSampler {
      result = try sampler.step(
        i, latents, denoise: { try evaluate($0, $1, step: i, probes) }, original: { try evaluate($0, $1, step: i, original) },
        noise: { noise.next() })
    } else {
      result = try sampler.step(i, latents, state: &state, denoise: { try evaluate($0, $1, step: i, probes) }, noise: { noise.next() })
    }
    latents = try painting?.keep(result.sample, plan, next: i + 1 < indices.upperBound ? i + 1 : nil) ?? result.sample
    at += 1
    return Step(
      index: i, number: i - indices.lowerBound, total: indices.count, timestep: plan.timesteps[i],
      predictedOriginal: result.predictedOriginal)
  }

  /// The guided prediction for scaled latents at a timestep.
  private func evaluate(_ x: Tensor, _ t: Double, step: Int, _ probes: Probes?) throws -> Tensor {
    let text =
      isGuided && !negatives.isEmpty ? TextProjections(of: conditioning.both(rows: x.shape[0], negatives[step])) : self.text
    var context = ForwardContext(probes: probes, moment: Moment(step: step, timestep: t, rows: labels))
    context.textProjections = text
    let input = painting?.networkInput(x) ?? x
    guard isGuided else {
      return try model.unet(input, timesteps: [t], text: text.text, guidanceEmbedding: guidanceEmbedding, context)
    }
    let n = x.shape[0]
    let both = try model.unet(Tensor.concatenated([input, input]), timesteps: [t], text: text.text, context)
    let (uncond, cond) = (both.slice(0..<n), both.slice(n..<2 * n))
    return uncond + request.guidance * (cond - uncond)
  }

  private static func encode(_ model: StableDiffusion, _ image: Tensor, _ noise: inout NoiseSource) throws -> Tensor {
    // The picture is encoded once; every image draws its own sample of it.
    let distribution = try model.vae.encode(image, tiling: .auto)
    let n = noise.count
    let repeated = VAE.Distribution(
      mean: .concatenated(Array(repeating: distribution.mean, count: n)),
      logVariance: .concatenated(Array(repeating: distribution.logVariance, count: n)))
    return model.vae.config.scalingFactor * repeated.sample(noise.next())
  }

  /// What inpainting adds to a run: the known part of the picture.
  private struct Inpainting {
    /// `[n, h, w, 1]` at latent size: 1 where to paint.
    let mask: Tensor
    /// Latents of the picture, for the blend of a 4-channel model.
    let known: Tensor?
    let noise: Tensor
    /// Mask and latents of the masked picture, joined, for a 9-channel model.
    let extraChannels: Tensor?

    init(_ model: StableDiffusion, image: Tensor, mask pixels: Tensor, known: Tensor?, noise drawn: Tensor, _ noise: inout NoiseSource)
      throws
    {
      guard pixels.shape == [1, image.shape[1], image.shape[2], 1] else {
        throw InputError(.usage, "mask of \(pixels.shape[2])x\(pixels.shape[1]) for a picture of \(image.shape[2])x\(image.shape[1])")
      }
      let small = pixels.resizedNearest(height: drawn.shape[1], width: drawn.shape[2])
      mask = .concatenated(Array(repeating: small, count: drawn.shape[0]))
      self.noise = drawn
      var masked = image
      let channels = image.shape[3]
      masked.withUnsafeMutableBuffer { m in
        pixels.withUnsafeBuffer { p in
          for i in 0..<m.count where p[i / channels] >= 0.5 { m[i] = 0 }
        }
      }
      // Drawn by diffusers also where the 4-channel model has no use for it.
      let maskedLatents = try Denoising.encode(model, masked, &noise)
      extraChannels = model.isInpaintingModel ? mask.joinedChannels(maskedLatents) : nil
      self.known = model.isInpaintingModel ? nil : known
    }

    func networkInput(_ x: Tensor) -> Tensor { extraChannels.map { x.joinedChannels($0) } ?? x }

    /// The 4-channel blend: outside the mask the latents are the picture's, with the noise of the next step.
    func keep(_ x: Tensor, _ plan: SamplingPlan, next: Int?) throws -> Tensor {
      guard let known else { return x }
      var out = next.map { plan.addNoise(known, noise, at: $0) } ?? known
      let channels = x.shape[3]
      out.withUnsafeMutableBuffer { o in
        x.withUnsafeBuffer { painted in
          mask.withUnsafeBuffer { m in
            for i in 0..<o.count { o[i] = (1 - m[i / channels]) * o[i] + m[i / channels] * painted[i] }
          }
        }
      }
      return out
    }
  }
}

/// Noise for a batch of images, each from a generator of its own.
private struct NoiseSource {
  private var generators: [any RandomSource]
  private let shape: Shape
  var count: Int { generators.count }

  /// - Parameter shape: of one image, `[1, h, w, c]`.
  init(_ request: GenerationRequest, shape: Shape) {
    self.shape = shape
    generators = (0..<request.count).map { i in
      let seed = request.seed &+ UInt64(i)
      switch request.randomNumbers {
      case .cpu: return TorchRandom(seed: seed)
      case .cuda: return PhiloxRandom(seed: seed)
      }
    }
  }

  mutating func next() -> Tensor {
    .concatenated(generators.indices.map { generators[$0].normal(nhwc: shape) })
  }
}

extension StableDiffusion {
  /// Begins a run; nothing is computed but the text's and the picture's encoding until `next()` is called.
  /// - Parameter probes: looks at or replaces tensors of the UNet during the run.
  public func denoising(_ request: GenerationRequest, probes: Probes? = nil) throws -> Denoising {
    try denoising(request, conditioning: conditioning(request), probes: probes)
  }

  /// The same with embeddings that did not come of the request's prompt: interpolated, knocked out, of another encoder.
  ///
  /// The request's prompt, negative prompt, clip skip, emphasis and long-prompt rule are not looked at; whether the run is guided is up to
  /// `conditioning.negative`, its scale to the request.
  /// - Parameters:
  ///   - conditioning: embeddings `[1, tokens, width]` of this model's width, or a row an image; the negative of the same number of tokens.
  ///   - original: asks the network a second time at every step, with these probes, and takes the predicted x0 from that answer; the direction back to
  ///     the noise stays that of the first (Asyrp: Kwon et al. 2023). For `ddim`.
  /// - Throws: `InputError` (usage) when shapes do not fit the model, or the sampler cannot tell x0 and direction apart.
  public func denoising(
    _ request: GenerationRequest, conditioning: Conditioning, probes: Probes? = nil, original: Probes? = nil
  ) throws -> Denoising {
    try check(conditioning, images: request.count)
    if let start = request.inverted { return try denoising(request, from: start, conditioning, probes, original: original) }
    return try Denoising(self, request, conditioning: conditioning, probes: probes, original: original)
  }

  /// Refuses embeddings that are not of this model's shape.
  func check(_ conditioning: Conditioning, images: Int = 1) throws {
    let shape = conditioning.prompt.shape
    let width = unet.config.crossAttentionDim
    guard shape.rank == 3, shape[0] == 1 || shape[0] == images, shape[1] >= 1, shape[2] == width else {
      throw InputError(.usage, "conditioning: expected [1, tokens, \(width)], found \(shape)")
    }
    if let negative = conditioning.negative {
      guard negative.shape == [1, shape[1], width] else {
        throw InputError(.usage, "conditioning: the negative is \(negative.shape), the prompt \(shape)", hint: "give both as many chunks")
      }
      guard unet.config.timeCondProjDim == nil else {
        throw InputError(.usage, "conditioning: this model is told the guidance and takes no negative")
      }
    }
  }

  /// Latent height and width for a request, checked.
  func latentSize(_ request: GenerationRequest) throws -> (height: Int, width: Int) {
    let factor = vae.config.factor
    let image = request.initialImage?.shape
    let width = request.width ?? image?[2] ?? nativeSize.width
    let height = request.height ?? image?[1] ?? nativeSize.height
    for (name, side) in [("width", width), ("height", height)] {
      guard side >= factor, side <= 16384, side % factor == 0 else {
        throw InputError(
          .usage, "\(name) \(side): expected a multiple of \(factor) from \(factor) to 16384",
          hint: "the nearest is \(max(factor, min(16384, (side + factor / 2) / factor * factor)))")
      }
    }
    if let image, image[1] != height || image[2] != width {
      throw InputError(.usage, "initial image of \(image[2])x\(image[1]) for a picture of \(width)x\(height)")
    }
    guard (1...4096).contains(request.count) else { throw InputError(.usage, "count \(request.count): expected 1 to 4096") }
    guard request.guidance.isFinite else { throw InputError(.usage, "guidance \(request.guidance): expected a finite number") }
    return (height / factor, width / factor)
  }
}
