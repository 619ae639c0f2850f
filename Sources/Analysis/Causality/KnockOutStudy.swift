import Engine

/// One word of one prompt: its DAAM heatmap, what changes in the picture when the word is knocked out under the same noise, and whether the map beats its
/// controls. Everything is read from runs that are there.
public struct KnockOutStudy: Sendable {
  public let word: String
  /// The picture without the word.
  public let without: Picture
  /// The word's DAAM map, `[h, w]` at the latents' size.
  public let heatmap: [Float]
  /// `[h, w]` in 0...1.
  public let change: [Float]
  public let trust: MapTrust

  /// What all words of a run are compared with, read once.
  public struct Evidence: Sendable {
    public let prompt: TokenizedPrompt
    public let picture: Picture
    /// Of heatmaps and change maps: the latents'.
    public let size: MapSize
    let maps: TokenMaps
    /// The maps of the same prompt in another picture: where a map would be if the word lit the same place everywhere.
    let elsewhere: TokenMaps
    /// The map of a word that is not in the prompt, from the same queries: what a map looks like when there is nothing to find.
    let absent: [Float]?

    /// - Parameters:
    ///   - run: kept `unet.*.attn2.q`, for the absent word; `attention` is its cross-attention.
    ///   - other: a run of the same prompt from another seed that kept `unet.*.attn2.probs`.
    ///   - candidates: words one of which may be absent from the prompt; the first that is, is asked about.
    /// - Throws: `InputError` when a run did not keep what is needed.
    public init(
      _ model: StableDiffusion, run: RunFolder, attention: CrossAttentionRecorder, other: RunFolder, prompt: TokenizedPrompt,
      absent candidates: [String]
    ) throws {
      self.prompt = prompt
      picture = try run.picture(0)
      size = run.latents
      maps = TokenMaps(try DAAM(attention, image: 0, latents: run.latents))
      let levels = model.unet.config.blockOutChannels.count
      elsewhere = TokenMaps(try DAAM(CrossAttentionRecorder(other, levels: levels), image: 0, latents: run.latents))
      absent = try Self.absentMap(model, run, prompt, candidates)
    }

    private static func absentMap(
      _ model: StableDiffusion, _ run: RunFolder, _ prompt: TokenizedPrompt, _ candidates: [String]
    ) throws -> [Float]? {
      let there = Set(prompt.words.map { $0.text.lowercased() })
      guard let word = candidates.first(where: { !there.contains($0) }) else { return nil }
      let row = try model.tokenize(prompt.text + " " + word, emphasis: prompt.emphasis)
      let positions = try row.positions(of: word).flatMap { $0 }
      // A word that found no room in the row has no map.
      guard row.cutTokens == 0, row.chunks.count == 1, !positions.isEmpty else { return nil }
      let content = row.words.reduce(0) { $0 + $1.positions.count }
      let recorder = try OVAMRecorder(
        model: model, attribution: Array(row.ids.prefix(content + 2)), rows: .cond, latents: run.latents)
      try recorder.replay(run)
      let (size, values) = try recorder.maps(image: 0)
      return try TokenMaps(size: size, tokens: recorder.tokens, values: values).resized(to: run.latents).word(word, positions.map(\.index))
        .values
    }
  }

  /// - Parameters:
  ///   - word: of the prompt, one or several in a row.
  ///   - without: the picture of the run from the same noise with `WordKnockOut`'s conditioning.
  ///   - shuffle: seed of the other tokens that are drawn as a control.
  /// - Throws: `InputError` when the prompt has no such word or the pictures do not compare.
  public init(_ word: String, without: Picture, _ evidence: Evidence, shuffle: UInt64 = 0) throws {
    let prompt = evidence.prompt
    func places(_ positions: [TokenPosition]) -> [Int] { positions.map { $0.chunk * prompt.length + $0.index } }
    let positions = places(try prompt.positions(of: word).flatMap { $0 })
    let content = places(prompt.words.flatMap(\.positions))
    heatmap = try evidence.maps.word(word, positions).values
    change = try ChangeMap.between(evidence.picture, without, size: evidence.size)
    var controls: [(kind: MapTrust.Control, map: [Float])] = [(.otherSeed, try evidence.elsewhere.word(word, positions).values)]
    if let absent = evidence.absent { controls.append((.absentWord, absent)) }
    let others = MapTrust.shuffledPositions(of: positions, content: content, seed: shuffle)
    if !others.isEmpty { controls.append((.shuffledTokens, try evidence.maps.word("other tokens", others).values)) }
    self.word = word
    self.without = without
    trust = MapTrust(map: heatmap, change: change, controls: controls)
  }
}
