import Engine

extension CrossAttentionRecorder {
  /// The attention of a stored run.
  ///
  /// - Parameters:
  ///   - levels: number of the UNet's levels.
  ///   - steps: which steps enter; nil for all.
  ///   - averaged: captures that were averaged over the heads will do too. DAAM cuts negative values off head by head, so its maps then differ
  ///     slightly from the definition; means (Prompt-to-Prompt, neglect) do not.
  ///   - budget: is shown the same attention, so that the files are read once. It has its own choice of steps.
  /// - Throws: `InputError` when the run has no cross-attention, or no call among `steps`.
  public convenience init(
    _ run: RunFolder, levels: Int, steps: ((Int) -> Bool)? = nil, averaged: Bool = false, budget: AttentionBudget? = nil
  ) throws {
    self.init(levels: levels, latents: run.latents, steps: steps)
    try run.replay("unet.*.attn2.probs", averaged ? [.none, .heads] : [.none]) { [self] site, moment, tensor in
      try record(site, moment, tensor)
      try budget?.record(site, moment, tensor)
      return nil
    }
    guard calls > 0 else {
      throw InputError(
        .usage, "\(run.url.relativePath): no step that was kept is among those asked for",
        hint: "the run has steps 0 to \(run.manifest.timesteps.count - 1)")
    }
  }
}

extension DAAM {
  /// What one step of a stored run adds, for scrubbing: maps of each call, `[calls]`, each over all layers that enter.
  ///
  /// The definition sums over time before it cuts negative values off, so the maps of the steps need not add up to the map of the run.
  public static func stepwise(_ run: RunFolder, levels: Int, image: Int, averaged: Bool = false) throws -> [DAAM] {
    var maps: [DAAM] = []
    var recorder: CrossAttentionRecorder?
    var current = -1
    func close() throws {
      if let recorder { maps.append(try DAAM(recorder, image: image, latents: run.latents)) }
    }
    // Calls, not steps: a sampler may ask the network twice at one step.
    try run.replay("unet.*.attn2.probs", averaged ? [.none, .heads] : [.none]) { site, moment, tensor in
      if moment.step != current {
        try close()
        recorder = CrossAttentionRecorder(levels: levels, latents: run.latents)
        current = moment.step
      }
      try recorder?.record(site, moment, tensor)
      return nil
    }
    try close()
    return maps
  }
}
