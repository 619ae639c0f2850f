/// The way from a picture's latents back to noise, and what is needed to go forward again.
public struct Inversion: Sendable {
  public enum Method: String, CaseIterable, Sendable {
    /// DDIM's steps undone one by one (`DDIMInversion`): a single noise, approximate.
    case ddim
    /// Huberman-Spiegelglas et al., CVPR 2024: noised latents of every level, drawn independently, and the noise that leads from each to the next; exact.
    case editFriendly = "edit-friendly"
    /// Mokady et al., CVPR 2023: DDIM's noise, and for each step the embedding of the empty prompt with which guided sampling keeps to its path.
    case nullText = "null-text"
  }

  public let method: Method
  /// Latents before each step of sampling, noisiest first, and the picture's own at the end: steps + 1 of `[1, h, w, c]`.
  public let trajectory: [Tensor]
  /// Edit-friendly: z of each step of sampling, `[1, h, w, c]` each, the last one 0 as in the published code. Otherwise empty.
  public let noises: [Tensor]
  /// Edit-friendly: what the last step, without noise, leaves of the picture's latents, `[1, h, w, c]`. The published code drops it.
  public let remainder: Tensor?
  /// Null-text: what stands in place of the negative prompt's embedding in each step, `[1, tokens, width]` each. Otherwise empty.
  public let negatives: [Tensor]

  /// The inverted noise.
  public var noise: Tensor { trajectory[0] }
  public var steps: Int { trajectory.count - 1 }

  public init(method: Method, trajectory: [Tensor], noises: [Tensor] = [], remainder: Tensor? = nil, negatives: [Tensor] = []) {
    precondition(trajectory.count >= 2, "an inversion has at least a step")
    (self.method, self.trajectory, self.noises, self.remainder) = (method, trajectory, noises, remainder)
    self.negatives = negatives
  }
}

extension Inversion {
  /// Where a run goes on from an inversion.
  public struct Start: Sendable {
    public var inversion: Inversion
    /// Steps left out at the beginning.
    public var skipped: Int
    /// False: edit-friendly's remainder is left out at the end, as the published code has it.
    public var keepsRemainder: Bool

    public init(_ inversion: Inversion, skipping skipped: Int = 0, keepsRemainder: Bool = true) {
      (self.inversion, self.skipped, self.keepsRemainder) = (inversion, skipped, keepsRemainder)
    }
  }
}

extension StableDiffusion {
  /// Takes the latents of a picture back to noise.
  ///
  /// The request's prompt, guidance, steps and scheduler options are those of the inversion; its sampler, eta and initial picture are not looked at. Its seed draws
  /// edit-friendly's noise: one `randn` a level, from the least noisy to the noisiest, as the published code draws them.
  /// - Parameters:
  ///   - latents: `[1, h, w, c]` as the UNet sees them, of the request's size: `encode(picture)`, the mean.
  ///   - probes: looks at or replaces tensors of the UNet meanwhile; not while null-text inversion looks for embeddings.
  ///   - progress: called with the number of evaluations done and the number of all.
  /// - Throws: `InputError` for a request that the model does not take, and when a number is no longer finite.
  public func invert(
    _ latents: Tensor, _ method: Inversion.Method, _ request: GenerationRequest, probes: Probes? = nil,
    progress: (Int, Int) -> Void = { _, _ in }
  ) throws -> Inversion {
    let request = request.forInversion(method)
    let conditioning = try conditioning(request)
    switch method {
    case .nullText:
      var unguided = request
      unguided.guidance = 1
      let path = try invert(latents, .ddim, unguided, probes: probes) { progress($0, 2 * $1) }.trajectory
      let negatives = try nullText(path, conditioning, request) { progress(request.steps + $0 + 1, 2 * request.steps) }
      return try Inversion(method: method, trajectory: path, negatives: negatives).checked()
    case .ddim:
      let sampler = try DDIMInversion(source.schedulerConfig, steps: request.steps, options: request.samplerOptions)
      let run = try denoising(request, conditioning, .init(sampler: sampler, first: 0, latents: latents), probes)
      var path = [latents]
      while let step = try run.next() {
        path.append(run.latents)
        progress(step.number + 1, step.total)
      }
      return try Inversion(method: method, trajectory: path.reversed()).checked()
    case .editFriendly:
      let sampler = try DDIM(source.schedulerConfig, steps: request.steps, options: request.samplerOptions)
      let plan = sampler.plan
      var path = drawn(latents, plan, seed: request.seed)
      let silent = GivenNoise(base: sampler, noises: [], remainder: nil)
      let run = try denoising(request, conditioning, .init(sampler: silent, first: 0, latents: path[0]), probes)
      var noises: [Tensor] = []
      var remainder: Tensor?
      while let step = try run.next() {
        // Without noise the step ends at its mean.
        let mean = run.latents
        let target = path[step.index + 1]
        let deviation = sampler.variance(step.index).squareRoot()
        if step.index == plan.timesteps.count - 1 {
          noises.append(Tensor.zeros(target.shape))
          remainder = target - mean
        } else {
          let z = deviation > 0 ? (target - mean) / deviation : Tensor.zeros(target.shape)
          noises.append(z)
          // The published code's correction: rounding must not add up.
          path[step.index + 1] = mean + deviation * z
        }
        run.latents = path[step.index + 1]
        progress(step.number + 1, step.total)
      }
      return try Inversion(method: method, trajectory: path, noises: noises, remainder: remainder).checked()
    }
  }

  /// A run from an inversion: with its own request the reconstruction, with another prompt the edit. The same as a request that has `inverted`.
  ///
  /// - Parameters:
  ///   - request: steps and scheduler options are the inversion's; prompt and guidance may be others.
  ///   - skipped: steps left out at the beginning; the run starts with the inversion's latents there.
  ///   - keepsRemainder: adds edit-friendly's remainder at the end; without it the result is the published code's.
  /// - Throws: `InputError` (usage) when the request has another number of steps, or all of them are left out.
  public func denoising(
    _ request: GenerationRequest, from inversion: Inversion, skipping skipped: Int = 0, keepsRemainder: Bool = true, probes: Probes? = nil
  ) throws -> Denoising {
    var request = request
    request.inverted = Inversion.Start(inversion, skipping: skipped, keepsRemainder: keepsRemainder)
    return try denoising(request, probes: probes)
  }

  /// A run of a request that has `inverted`.
  func denoising(
    _ request: GenerationRequest, from start: Inversion.Start, _ conditioning: Conditioning, _ probes: Probes?, original: Probes?
  ) throws -> Denoising {
    let inversion = start.inversion
    guard request.steps == inversion.steps else {
      throw InputError(
        .usage, "\(request.steps) steps from an inversion of \(inversion.steps)", hint: "give as many as it was inverted with")
    }
    guard (0..<inversion.steps).contains(start.skipped) else {
      throw InputError(.usage, "\(start.skipped) of \(inversion.steps) steps left out: expected 0 to \(inversion.steps - 1)")
    }
    guard request.count == 1 else { throw InputError(.usage, "count \(request.count): an inversion is of one picture") }
    let request = request.forInversion(inversion.method)
    let ddim = try DDIM(source.schedulerConfig, steps: request.steps, options: request.samplerOptions)
    let sampler: any Sampler =
      inversion.method == .editFriendly
      ? GivenNoise(base: ddim, noises: inversion.noises, remainder: start.keepsRemainder ? inversion.remainder : nil) : ddim
    if let own = inversion.negatives.first, conditioning.negative != nil, own.shape[1] != conditioning.prompt.shape[1] {
      throw InputError(
        .usage, "a prompt of \(conditioning.prompt.shape[1]) tokens from an inversion with embeddings of \(own.shape[1])",
        hint: "a shorter prompt, or another method of inversion")
    }
    return try denoising(
      request, conditioning,
      .init(sampler: sampler, first: start.skipped, latents: inversion.trajectory[start.skipped], negatives: inversion.negatives), probes,
      original: original)
  }

  private func denoising(
    _ request: GenerationRequest, _ conditioning: Conditioning, _ start: Denoising.Start, _ probes: Probes?, original: Probes? = nil
  ) throws -> Denoising {
    let (height, width) = try latentSize(request)
    let expected: Shape = [1, height, width, vae.config.latentChannels]
    guard start.latents.shape == expected else {
      throw InputError(.usage, "latents to invert: expected \(expected), found \(start.latents.shape)")
    }
    return try Denoising(self, request, conditioning: conditioning, probes: probes, original: original, start: start)
  }

  /// x_t of every level of the plan, drawn independently from q(x_t | x_0), and x_0.
  private func drawn(_ latents: Tensor, _ plan: SamplingPlan, seed: UInt64) -> [Tensor] {
    var random = TorchRandom(seed: seed)
    var path = [latents]
    for i in plan.indices.reversed() { path.append(plan.addNoise(latents, random.normal(nhwc: latents.shape), at: i)) }
    return path.reversed()
  }
}

extension GenerationRequest {
  fileprivate func forInversion(_ method: Inversion.Method) -> GenerationRequest {
    var request = self
    request.sampler = .ddim
    request.samplerOptions.eta = method == .editFriendly ? 1 : 0
    request.count = 1
    request.mask = nil
    request.initialImage = nil
    request.initialLatents = nil
    return request
  }
}

extension Inversion {
  fileprivate func checked() throws -> Inversion {
    guard (trajectory + noises + negatives).allSatisfy({ $0.array.allSatisfy(\.isFinite) }) else {
      throw InputError(
        .badData, "the inversion is not finite: steps so large, or guidance so strong, lead nowhere",
        hint: "take more steps or a guidance of 1")
    }
    return self
  }
}
