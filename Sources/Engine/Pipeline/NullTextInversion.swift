extension StableDiffusion {
  /// Embeddings of the empty prompt, one a step, with which guided sampling follows the path of an inversion (null-text inversion; Mokady et al., CVPR 2023).
  ///
  /// A path that was gone without guidance is left at once by guided steps. So in each step the negative embedding is moved by Adam until the guided step
  /// ends where the path does: the loss is the mean squared error of the latents after the step, the rate falls from 0.01 to half of it, and a step is
  /// done when the loss is below 1e-5, and up to 1e-3 more towards the end. The prompt's own embedding and the network stay as they are, so that another prompt
  /// changes what it names and keeps the rest. As the published code has it (google/prompt-to-prompt), whose 50 steps stand in place of `steps`.
  /// - Parameters:
  ///   - path: of DDIM inversion without guidance: `[1, h, w, c]` before each step, noisiest first, and the picture's own.
  ///   - conditioning: of the guided request.
  ///   - turns: of Adam, at most, in each step.
  ///   - progress: called after each step.
  /// - Returns: for each step `[1, tokens, width]`.
  func nullText(
    _ path: [Tensor], _ conditioning: Conditioning, _ request: GenerationRequest, turns: Int = 10, progress: (Int) -> Void
  ) throws -> [Tensor] {
    guard var negative = conditioning.negative, conditioning.prompt.shape[0] == 1 else {
      throw InputError(
        .usage, "null-text inversion: guidance \(request.guidance) has no use for a negative prompt",
        hint: "give a guidance above 1, such as 7.5")
    }
    let sampler = try DDIM(source.schedulerConfig, steps: request.steps, options: request.samplerOptions)
    var x = path[0]
    return try sampler.plan.indices.map { i in
      let t = sampler.plan.timesteps[i]
      let told = try unet(x, timesteps: [t], text: conditioning.prompt)
      /// The guided step for an answer to the negative embedding.
      func next(_ answer: Tensor) -> Tensor {
        var state = SamplerState()
        let guided = Tensor.combination((1 - request.guidance, answer), (request.guidance, told))
        return sampler.step(i, x, state: &state, denoise: { _, _ in guided }, noise: { .zeros(x.shape) }).sample
      }
      let share = Double(i) / Double(request.steps)
      var moved = Parameters([("negative", negative)])
      var adam = AdamW()
      for _ in 0..<turns {
        let recorded = moved.recorded()
        let loss = next(try unet(x, timesteps: [t], text: recorded["negative"] ?? negative)).meanSquaredError(path[i + 1])
        adam.step(&moved, recorded.gradients(of: loss), rate: 1e-2 * (1 - share / 2), decay: { _, _ in 0 })
        if Double(loss.array[0]) < 1e-5 + 1e-3 * share { break }
      }
      negative = moved.values[0].detached
      x = next(try unet(x, timesteps: [t], text: negative))
      progress(i)
      return negative
    }
  }
}
