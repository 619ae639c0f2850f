import Engine

/// A picture that is there already, noised to a timestep, so that the network can look at it.
public enum NoisedPicture {
  /// Attention over the picture: it is noised to some timesteps and the network looks at it once at each.
  ///
  /// - Parameters:
  ///   - latents: of the picture, `[1, h, w, c]`, as the UNet sees them.
  ///   - text: the prompt's embedding, `[1, tokens, width]`.
  ///   - timesteps: of the training schedule; the k-th is step k for the probes.
  ///   - seed: of the noise; the same at every timestep, so that they differ in its strength only.
  ///   - probes: look at the network; the batch has one row, which carries the prompt.
  /// - Throws: `InputError` (usage) for a timestep outside of the schedule and for models that need more than a noised picture.
  public static func pass(
    _ model: StableDiffusion, latents: Tensor, text: Tensor, timesteps: [Int], seed: UInt64, probes: Probes
  ) throws {
    let schedule = try schedule(of: model)
    var random = TorchRandom(seed: seed)
    let noise = random.normal(nhwc: latents.shape)
    for (step, t) in timesteps.enumerated() {
      let x = try noised(latents, noise, timestep: t, schedule)
      let moment = Moment(step: step, timestep: Double(t), rows: [RowLabel(image: 0, half: .cond)])
      _ = try model.unet(x, timesteps: [Double(t)], text: text, ForwardContext(probes: probes, moment: moment))
    }
  }

  /// What the model was trained with.
  /// - Throws: `InputError` (usage) for models that need more than a noised picture.
  public static func schedule(of model: StableDiffusion) throws -> NoiseSchedule {
    guard !model.isInpaintingModel, model.unet.config.timeCondProjDim == nil else {
      throw InputError(
        .usage, "\(model.source.displayName): an existing picture cannot be looked at with inpainting and latent consistency models",
        hint: "give another --model")
    }
    return try NoiseSchedule(model.source.schedulerConfig)
  }

  /// x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps (Ho et al. 2020, equation 4).
  /// - Parameters: tensors of one shape.
  /// - Throws: `InputError` (usage) for a timestep outside of the schedule.
  public static func noised(_ latents: Tensor, _ noise: Tensor, timestep t: Int, _ schedule: NoiseSchedule) throws -> Tensor {
    guard schedule.alphasCumprod.indices.contains(t) else {
      throw InputError(.usage, "timestep \(t): expected 0 to \(schedule.trainSteps - 1)")
    }
    let abar = Double(schedule.alphasCumprod[t])
    return Tensor.combination((abar.squareRoot(), latents), ((1 - abar).squareRoot(), noise))
  }
}
