import Engine
import Foundation

/// All maps of a labelled picture's words, by every method: what the league compares.
public struct TruthMaps: Sendable {
  /// For each object of the picture, in its order, the maps at the latents' size.
  public let objects: [[Explanation: [Float]]]
  /// What `OutputMaps` is made of, for the choice of its layers: for each object a map a layer, before anything is cut off.
  let outputs: [[[Float]]]
  let outputLayers: [AttentionPlace]
  let selfAttention: SelfAttentionMaps
  let size: MapSize

  /// Names that others look for.
  public static let daam = Explanation(.method, "DAAM")
  public static let own = Explanation(.method, "sdlab")
  public static let blob = Explanation(.baseline, "centre blob")

  /// What is asked of every picture.
  public struct Settings: Sendable {
    /// Timesteps to which pictures are noised, rising.
    public var timesteps: [Int]
    /// Of the noise, of the random maps and of the information's samples.
    public var seed: UInt64
    /// Noise levels of the information maps; 0 leaves them out.
    public var informationSamples: Int
    /// Words that may be absent from a prompt: the first that is, is asked about.
    public var absent: [String]

    public init(timesteps: [Int] = [100, 200, 300, 400], seed: UInt64 = 42, informationSamples: Int = 8, absent: [String] = []) {
      self.timesteps = timesteps
      self.seed = seed
      self.informationSamples = informationSamples
      self.absent = absent
    }
  }

  /// - Parameters:
  ///   - latents: of the picture, `[1, h, w, c]`.
  /// - Throws: `InputError` for a word that the prompt does not have, a timestep outside of the schedule, or a model that needs more than a picture.
  public init(_ labelled: LabelledPicture, latents: Tensor, _ model: StableDiffusion, _ settings: Settings) throws {
    let size = MapSize(height: latents.shape[1], width: latents.shape[2])
    let levels = model.unet.config.blockOutChannels.count
    let prompt = try model.tokenize(labelled.prompt)
    let text = try model.embedding(prompt)
    let padding = try model.embedding(model.tokenize(""))
    let positions = try labelled.objects.map { object in
      try prompt.positions(of: object.word).flatMap { $0 }.map { $0.chunk * prompt.length + $0.index }
    }
    let without = positions.map { WordKnockOut.replaced(text, rows: $0, length: prompt.length, padding: padding) }
    let schedule = try NoisedPicture.schedule(of: model)
    var random = TorchRandom(seed: settings.seed)
    let noise = random.normal(nhwc: latents.shape)

    var watch = try Watch(model, prompt, labelled, settings, size, levels)
    let blank = [Float](repeating: 0, count: size.count)
    var changes = labelled.objects.map { _ in (knockOut: blank, gradient: blank, activation: blank) }
    for (step, t) in settings.timesteps.enumerated() {
      let noisy = try NoisedPicture.noised(latents, noise, timestep: t, schedule)
      try watch.pass(noisy, text, step: step, timestep: t)
      for (i, change) in try WordChange.of(model, noisy: noisy, timestep: Double(t), text: text, without: without).enumerated() {
        for p in 0..<size.count {
          changes[i].knockOut[p] += change.knockOut[p]
          changes[i].gradient[p] += change.gradient[p]
        }
      }
      for (i, map) in try GradCAM.maps(model, noisy: noisy, timestep: Double(t), text: text, without: without).enumerated() {
        let large = GradCAM.enlarged(map, to: size)
        for p in 0..<size.count { changes[i].activation[p] += large[p] }
      }
    }
    var found = try watch.maps(positions)
    for i in found.indices {
      found[i][Explanation(.method, "knock-out")] = changes[i].knockOut
      found[i][Explanation(.method, "gradient x input")] = changes[i].gradient
      found[i][Explanation(.method, "Grad-CAM")] = changes[i].activation
    }
    if settings.informationSamples > 0 {
      let prompts = try labelled.objects.map { try PromptContrast.text(prompt, without: $0.word) }
      let conditions = [text] + (try prompts.map { try model.embedding(model.tokenize($0)) })
      let information = try InformationMaps(
        model, latents: latents, conditions: conditions, contrasts: prompts.indices.map { (given: 0, without: $0 + 1) },
        samples: settings.informationSamples, seed: settings.seed)
      for i in found.indices { found[i][Explanation(.method, "information")] = information.orthogonal[i].map }
    }
    for i in found.indices {
      for (name, map) in Self.blind(size, seed: settings.seed &+ UInt64(i)) { found[i][Explanation(.baseline, name)] = map }
    }
    (outputs, outputLayers) = try watch.outputs(positions)
    selfAttention = try watch.written.selfAttention(image: 0)
    objects = found
    self.size = size
  }

  /// Maps of every layer and of every head.
  static func inside(_ attention: CrossAttentionRecorder, _ places: [Int], _ size: MapSize) -> [Explanation: [Float]] {
    var out: [Explanation: [Float]] = [:]
    for layer in attention.layers {
      let plane = layer.size.count * layer.tokens
      var whole = [Float](repeating: 0, count: size.count)
      for head in 0..<layer.heads {
        let small = (0..<layer.size.count).map { p in
          places.reduce(Float(0)) { $0 + layer.sums[0][head * plane + p * layer.tokens + $1] }
        }
        let large = Upsampling.bicubic.resize(small, layer.size, channels: 1, to: size).map { max(0, $0) }
        out[Explanation(.head, "\(layer.place.shortName) head \(head)")] = large
        for p in whole.indices { whole[p] += large[p] }
      }
      out[Explanation(.layer, layer.place.shortName)] = whole
    }
    return out
  }

  /// Maps of those who have not looked.
  static func blind(_ size: MapSize, seed: UInt64) -> [(String, [Float])] {
    // A quarter of the side, as wide as things usually are.
    let sigma = (Float(size.height) / 4, Float(size.width) / 4)
    let blob = (0..<size.count).map { p -> Float in
      let y = (Float(p / size.width) - Float(size.height - 1) / 2) / sigma.0
      let x = (Float(p % size.width) - Float(size.width - 1) / 2) / sigma.1
      return exp(-(y * y + x * x) / 2)
    }
    var random = TorchRandom(seed: seed)
    // As smooth as attention maps are: a quarter of the resolution, enlarged.
    let coarse = MapSize(height: max(2, size.height / 4), width: max(2, size.width / 4))
    let noise = Upsampling.bicubic.resize(random.uniform(count: coarse.count), coarse, channels: 1, to: size)
    return [("centre blob", blob), ("random", noise)]
  }
}

extension TruthMaps {
  /// `OutputMaps` with these layers, for each object.
  /// - Parameter layers: indices into `outputLayers`.
  func written(layers: [Int], refinement: Float) -> [[Float]] {
    outputs.map { maps in
      let sum = (0..<size.count).map { p in max(0, layers.reduce(Float(0)) { $0 + maps[$1][p] }) }
      return refinement > 0 ? selfAttention.refined(sum, size, channels: 1, share: refinement) : sum
    }
  }
}

/// Looks at a picture at several timesteps and keeps what all methods that watch attention need.
private struct Watch {
  let model: StableDiffusion
  let prompt: TokenizedPrompt
  let size: MapSize
  let timesteps: [Int]
  let attention: CrossAttentionRecorder
  private var single: [CrossAttentionRecorder] = []
  let written: OutputMapsRecorder
  /// Of each object's word alone, of the whole prompt, and of the prompt with a word behind it that is not in it.
  private let alone: [OVAMRecorder]
  private let whole: OVAMRecorder
  private let absent: (recorder: OVAMRecorder, places: [Int])?
  private let levels: Int

  init(
    _ model: StableDiffusion, _ prompt: TokenizedPrompt, _ labelled: LabelledPicture, _ settings: TruthMaps.Settings, _ size: MapSize,
    _ levels: Int
  ) throws {
    self.model = model
    self.prompt = prompt
    self.size = size
    self.levels = levels
    timesteps = settings.timesteps
    attention = CrossAttentionRecorder(levels: levels, latents: size)
    written = OutputMapsRecorder(levels: levels, latents: size)
    func asked(_ text: String) throws -> (recorder: OVAMRecorder, row: TokenizedPrompt) {
      let row = try model.tokenize(text)
      let content = row.words.reduce(0) { $0 + $1.positions.count }
      return (try OVAMRecorder(model: model, attribution: Array(row.ids.prefix(content + 2)), rows: .cond, latents: size), row)
    }
    alone = try labelled.objects.map { try asked($0.word).recorder }
    whole = try asked(labelled.prompt).recorder
    let there = Set(prompt.words.map { $0.text.lowercased() })
    absent = try settings.absent.first { !there.contains($0.lowercased()) }.map { word in
      let (recorder, row) = try asked(labelled.prompt + " " + word)
      return (recorder, try row.positions(of: word).flatMap { $0 }.map(\.index))
    }
  }

  mutating func pass(_ noisy: Tensor, _ text: Tensor, step: Int, timestep: Int) throws {
    let now = CrossAttentionRecorder(levels: levels, latents: size)
    single.append(now)
    let moment = Moment(step: step, timestep: Double(timestep), rows: [RowLabel(image: 0, half: .cond)])
    let patterns = ["unet.*.attn2.probs", "unet.*.attn2.q"] + written.patterns(model.sites)
    let (attention, written, others) = (attention, written, alone + [whole] + [absent?.recorder].compactMap { $0 })
    let probes = try Probes(patterns, sites: model.sites) { site, moment, tensor in
      if site.path.hasSuffix(".attn2.probs") {
        try attention.record(site, moment, tensor)
        try now.record(site, moment, tensor)
      } else if site.path.hasSuffix(".attn2.q") {
        for recorder in others { try recorder.record(site, moment, tensor) }
      } else {
        try written.record(site, moment, tensor)
      }
      return nil
    }
    _ = try model.unet(noisy, timesteps: [Double(timestep)], text: text, ForwardContext(probes: probes, moment: moment))
  }

  func maps(_ positions: [[Int]]) throws -> [[Explanation: [Float]]] {
    let daam = try DAAM(attention, image: 0, latents: size)
    let steps = try single.map { try DAAM($0, image: 0, latents: size) }
    let p2p = PromptToPromptMaps(attention, image: 0)
    let p2pMaps = TokenMaps(size: p2p.size, tokens: p2p.tokens, values: p2p.maps).resized(to: size)
    let own = try written.selfAttention(image: 0)
    return try positions.enumerated().map { i, places in
      var out: [Explanation: [Float]] = [:]
      let map = daam.map(places)
      out[TruthMaps.daam] = map
      out[Explanation(.method, "DAAM + self-attention")] = own.refined(map, size, channels: 1, share: OutputMaps.refinement)
      out[Explanation(.method, "P2P")] = try p2pMaps.word("", places).values
      out[Explanation(.method, "OVAM, word alone")] = try asked(alone[i], Array(1..<alone[i].tokens - 1))
      out[Explanation(.method, "OVAM, whole prompt")] = try asked(whole, places)
      if let absent { out[Explanation(.baseline, "absent word")] = try asked(absent.recorder, absent.places) }
      out[Explanation(.baseline, "beginning (BOS)")] = daam.map(token: 0)
      for (t, step) in zip(timesteps, steps) { out[Explanation(.timestep, "t = \(t)")] = step.map(places) }
      out.merge(TruthMaps.inside(attention, places, size)) { $1 }
      return out
    }
  }

  private func asked(_ recorder: OVAMRecorder, _ places: [Int]) throws -> [Float] {
    let (from, values) = try recorder.maps(image: 0)
    return try TokenMaps(size: from, tokens: recorder.tokens, values: values).resized(to: size).word("", places).values
  }

  func outputs(_ positions: [[Int]]) throws -> (maps: [[[Float]]], layers: [AttentionPlace]) {
    let maps = positions.map { places in
      written.layers.map { layer in
        let small = (0..<layer.size.count).map { p in
          places.reduce(Float(0)) { $0 + layer.sums[0][p * layer.tokens + $1] } / Float(places.count)
        }
        return Upsampling.bicubic.resize(small, layer.size, channels: 1, to: size)
      }
    }
    return (maps, written.layers.map(\.place))
  }
}
