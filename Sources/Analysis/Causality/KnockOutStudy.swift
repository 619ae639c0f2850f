import Engine

/// One word of one prompt: its DAAM heatmap, what changes in the picture when the word is knocked out under the same noise, and whether the map beats its
/// controls. Three runs of the request, and one more when there is an absent word to ask about.
public struct KnockOutStudy: Sendable {
  /// With and without the word.
  public let picture: Picture
  public let without: Picture
  /// Of heatmap and change map: the latents'.
  public let size: MapSize
  /// The word's DAAM map, `[h, w]`.
  public let heatmap: [Float]
  /// `[h, w]` in 0...1.
  public let change: [Float]
  public let trust: MapTrust

  /// - Parameters:
  ///   - request: of one image; its first is taken.
  ///   - absent: a word that is not in the prompt; its map is OVAM's with the prompt and this word behind it, from the same queries.
  ///   - otherSeed: seed of the picture whose map of the word is a control.
  ///   - shuffle: seed of the other tokens drawn.
  /// - Throws: `InputError` when the prompt has no such word, or has the absent one.
  public init(
    _ model: StableDiffusion, _ request: GenerationRequest, word: String, absent: String?, otherSeed: UInt64, shuffle: UInt64 = 0
  ) throws {
    var request = request
    request.count = 1
    guard request.longPrompt == .truncate else {
      throw InputError(.usage, "a knock-out study takes prompts of one row", hint: "leave --long-prompt chunk out")
    }
    let prompt = try model.tokenize(request.prompt, emphasis: request.emphasis)
    let positions = try prompt.positions(of: word).flatMap { $0 }.map(\.index)
    let content = Array(Set(prompt.words.flatMap(\.positions).map(\.index))).sorted()
    let given = try model.conditioning(request)

    let (latents, size, maps) = try Self.observed(model, request, given)
    let picture = Picture(try model.decode(latents))
    let knockOut = try WordKnockOut(word, model, request)
    let run = try model.denoising(request, conditioning: knockOut.conditioning)
    while try run.next() != nil {}
    let without = Picture(try model.decode(run.latents))
    let change = try ChangeMap.between(picture, without, size: size)
    let heatmap = maps.map(positions)

    var controls: [(kind: MapTrust.Control, map: [Float])] = []
    let others = MapTrust.shuffledPositions(of: positions, content: content, seed: shuffle)
    if !others.isEmpty { controls.append((.shuffledTokens, maps.map(others))) }
    var elsewhere = request
    elsewhere.seed = otherSeed
    controls.append((.otherSeed, try Self.observed(model, elsewhere, given).maps.map(positions)))
    if let absent { controls.append((.absentWord, try Self.absentMap(model, request, given, absent, prompt, size))) }

    (self.picture, self.without, self.size, self.heatmap, self.change) = (picture, without, size, heatmap, change)
    trust = MapTrust(map: heatmap, change: change, controls: controls)
  }

  private static func observed(_ model: StableDiffusion, _ request: GenerationRequest, _ conditioning: Conditioning) throws -> (
    latents: Tensor, size: MapSize, maps: DAAM
  ) {
    let factor = model.vae.config.factor
    let size = MapSize(
      height: (request.height ?? model.nativeSize.height) / factor, width: (request.width ?? model.nativeSize.width) / factor)
    let recorder = CrossAttentionRecorder(model: model, latents: size)
    let run = try model.denoising(request, conditioning: conditioning, probes: recorder.probes(model))
    while try run.next() != nil {}
    return (run.latents, size, try DAAM(recorder, image: 0, latents: size))
  }

  private static func absentMap(
    _ model: StableDiffusion, _ request: GenerationRequest, _ conditioning: Conditioning, _ absent: String, _ prompt: TokenizedPrompt,
    _ size: MapSize
  ) throws -> [Float] {
    if let found = try? prompt.positions(of: absent), !found.isEmpty {
      throw InputError(.usage, "'\(absent)' is in the prompt: a control must not be", hint: "name a word that is not there")
    }
    let asked = try model.tokenize("\(request.prompt) \(absent)", emphasis: request.emphasis)
    let positions = try asked.positions(of: absent).flatMap { $0 }.map(\.index)
    let last = asked.words.flatMap(\.positions).map(\.index).max() ?? 0
    let ids = Array(asked.chunks[0].ids.prefix(last + 2))
    let recorder = try OVAMRecorder(model: model, attribution: ids, rows: .cond, latents: size)
    let run = try model.denoising(request, conditioning: conditioning, probes: recorder.probes(model))
    while try run.next() != nil {}
    let (found, maps) = try recorder.maps(image: 0)
    let large = Upsampling.bilinear.resize(maps, found, channels: ids.count, to: size)
    return (0..<size.count).map { pixel in positions.reduce(Float(0)) { $0 + large[pixel * ids.count + $1] / Float(positions.count) } }
  }
}
