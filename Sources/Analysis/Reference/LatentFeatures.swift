import Engine

/// Where a picture with its prompt lies in three spaces of a model.
public struct LatentFeatures: Sendable {
  /// The picture's latents (the mean of the VAE's distribution, scaled), `h * w * c` values, channels last.
  public let latents: [Float]
  /// h-space (Kwon et al. 2023): the output of the UNet's middle block for the latents noised to `timestep`, told the prompt, mean over positions.
  public let h: [Float]
  /// The text encoder's last hidden state at the end of the prompt (EOS), which has seen all of it.
  public let text: [Float]

  /// Half of the way: abar is about 0.28 with Stable Diffusion's schedule, so that composition is decided and detail is not.
  public static let timestep = 500
  /// Of the noise, the same for all pictures: they differ in what they show only.
  public static let seed: UInt64 = 42

  public init(latents: [Float], h: [Float], text: [Float]) {
    self.latents = latents
    self.h = h
    self.text = text
  }

  /// - Parameters:
  ///   - latents: `[n, h, w, c]`, as the UNet sees them.
  ///   - prompts: one for each.
  /// - Throws: `InputError` for prompts that cannot be read and models that need more than latents.
  public static func of(_ latents: Tensor, prompts: [String], model: StableDiffusion) throws -> [LatentFeatures] {
    precondition(latents.shape[0] == prompts.count, "\(latents.shape[0]) latents, \(prompts.count) prompts")
    guard !model.isInpaintingModel, model.unet.config.timeCondProjDim == nil else {
      throw InputError(.usage, "\(model.source.displayName): h-space needs a model that takes latents and a prompt alone")
    }
    let schedule = try NoiseSchedule(model.source.schedulerConfig)
    let abar = Double(schedule.alphasCumprod[min(timestep, schedule.trainSteps - 1)])
    let one: Shape = [1, latents.shape[1], latents.shape[2], latents.shape[3]]
    var random = TorchRandom(seed: seed)
    let noise = random.normal(nhwc: one)
    let size = one.count
    var out: [LatentFeatures] = []
    let batch = max(1, 2048 / max(1, one[1] * one[2]))
    for start in stride(from: 0, to: prompts.count, by: batch) {
      let range = start..<min(start + batch, prompts.count)
      let x = latents.slice(range)
      let noisy = Tensor.combination(
        (abar.squareRoot(), x), ((1 - abar).squareRoot(), .concatenated(Array(repeating: noise, count: range.count))))
      var ids: [[Int]] = []
      var ends: [Int] = []
      for prompt in prompts[range] {
        let tokens = try model.tokenize(prompt)
        ids.append(tokens.chunks[0].ids)
        ends.append(1 + (tokens.words.flatMap(\.positions).filter { $0.chunk == 0 }.map(\.index).max() ?? 0))
      }
      let hidden = try model.text(ids).lastHiddenState
      let width = hidden.shape[2]
      var pooled: [[Float]] = []
      let probes = try Probes(["unet.mid_block.out"], sites: model.sites) { _, _, h in
        let channels = h.shape[3]
        let pixels = h.shape[1] * h.shape[2]
        pooled = h.withUnsafeBuffer { p in
          (0..<h.shape[0]).map { row in
            var sums = [Double](repeating: 0, count: channels)
            for i in 0..<pixels { for c in 0..<channels { sums[c] += Double(p[(row * pixels + i) * channels + c]) } }
            return sums.map { Float($0 / Double(pixels)) }
          }
        }
        return nil
      }
      _ = try model.unet(noisy, timesteps: [Double(timestep)], text: hidden, ForwardContext(probes: probes))
      x.withUnsafeBuffer { x in
        hidden.withUnsafeBuffer { t in
          for i in 0..<range.count {
            let at = (i * hidden.shape[1] + ends[i]) * width
            out.append(
              LatentFeatures(latents: Array(x[i * size..<(i + 1) * size]), h: pooled[i], text: Array(t[at..<at + width])))
          }
        }
      }
    }
    return out
  }
}
