import Engine

/// Class activation maps by gradients, with a word in the place of the class.
///
/// Source: Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based localization", ICCV 2017. A are the features of an up block of the UNet
/// while it looks at a noised picture with the prompt c. With c' the prompt without the word (its rows replaced by padding) and `u = eps(c) - eps(c')`, what the word changes,
/// `F = <u, eps(c)>` is how much of that the network says, u held fast. Channel k weighs `a_k = mean over the places of dF/dA_k`, and the map is `max(0, sum over k of a_k A_k)`.
/// A coarse method: it says which features matter for the word anywhere, and shows where they are large.
public enum GradCAM {
  /// Where A is taken: the last residual block of the up block whose features `DiffusionFeatures` takes.
  public static func site(_ config: UNetConfig, latents: MapSize) -> String {
    let levels = config.blockOutChannels.count
    let block = DiffusionFeatures.defaultBlock(levels: levels, latents: latents)
    return "unet.up_blocks.\(block).resnets.\(config.layersPerBlock[levels - 1 - block]).out"
  }

  /// - Parameters:
  ///   - noisy: the noised picture, `[1, h, w, c]`.
  ///   - text: the prompt's embedding, `[1, tokens, width]`.
  ///   - without: the same without each word (`WordKnockOut.replaced`).
  ///   - site: `site` unless told.
  /// - Returns: for each word the map at the features' own size.
  /// - Throws: `InputError` (badData) for answers that are not finite.
  public static func maps(
    _ model: StableDiffusion, noisy: Tensor, timestep: Double, text: Tensor, without: [Tensor], site: String? = nil
  ) throws -> [(size: MapSize, values: [Float])] {
    guard !without.isEmpty else { return [] }
    let path = site ?? Self.site(model.unet.config, latents: MapSize(height: noisy.shape[1], width: noisy.shape[2]))
    let n = without.count
    let others = try model.unet(.concatenated(Array(repeating: noisy, count: n)), timesteps: [timestep], text: .concatenated(without))
    return try (0..<n).map { i in
      var features: Tensor?
      let probes = try Probes([path], sites: model.sites) { _, _, tensor in
        features = tensor.recorded()
        return features
      }
      let answer = try model.unet(noisy, timesteps: [timestep], text: text, ForwardContext(probes: probes))
      let u = Tensor.combination((1, answer.detached), (-1, others.slice(i..<i + 1)))
      guard let a = features, let gradient = gradients(of: answer, seed: u, for: [a])[0], gradient.array.allSatisfy(\.isFinite) else {
        throw InputError(.badData, "the network's answer at t = \(timestep) has no gradient", hint: "the model is damaged")
      }
      return (MapSize(height: a.shape[1], width: a.shape[2]), classActivation(a, gradient: gradient))
    }
  }

  /// Of a picture: the sum over timesteps, all with the same noise, at the latents' size.
  ///
  /// - Parameters:
  ///   - latents: of the picture, `[1, h, w, c]`.
  ///   - words: for each word its rows of the embedding.
  ///   - seed: of the noise.
  /// - Throws: `InputError` (usage) for a timestep outside of the schedule, and for models that need more than a noised picture.
  public static func ofPicture(
    _ model: StableDiffusion, latents: Tensor, prompt: TokenizedPrompt, clipSkip: Int = 0, words: [[Int]], timesteps: [Int], seed: UInt64
  ) throws -> [[Float]] {
    let schedule = try NoisedPicture.schedule(of: model)
    let size = MapSize(height: latents.shape[1], width: latents.shape[2])
    let text = try model.embedding(prompt, clipSkip: clipSkip)
    let padding = try model.embedding(model.tokenize(""), clipSkip: clipSkip)
    let without = words.map { WordKnockOut.replaced(text, rows: $0, length: prompt.length, padding: padding) }
    var random = TorchRandom(seed: seed)
    let noise = random.normal(nhwc: latents.shape)
    var sums = words.map { _ in [Float](repeating: 0, count: size.count) }
    for t in timesteps {
      let noisy = try NoisedPicture.noised(latents, noise, timestep: t, schedule)
      for (i, map) in try maps(model, noisy: noisy, timestep: Double(t), text: text, without: without).enumerated() {
        let large = enlarged(map, to: size)
        for p in large.indices { sums[i][p] += large[p] }
      }
    }
    return sums
  }

  /// Bicubic, as other maps are enlarged; what swings below 0 is cut off.
  public static func enlarged(_ map: (size: MapSize, values: [Float]), to size: MapSize) -> [Float] {
    Upsampling.bicubic.resize(map.values, map.size, channels: 1, to: size).map { max(0, $0) }
  }
}
