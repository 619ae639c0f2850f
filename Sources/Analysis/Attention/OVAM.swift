import Engine

/// Open-vocabulary attention maps (Marcos-Manchon et al., CVPR 2024): the run's queries against the keys of another prompt, so that one can ask
/// about words that were not in it.
///
/// Softmax over the tokens of the attribution prompt, BOS and EOS included and unpadded (values are not comparable with DAAM's), summed over calls
/// and heads, bilinear to the largest map, summed over the layers of the down and up blocks.
public final class OVAMRecorder {
  /// Rows whose queries are used.
  public enum Rows: String, Sendable, CaseIterable {
    /// Those that carry the prompt.
    case cond
    /// The unconditional ones, as in the published code, which takes batch row 0.
    case uncond
  }

  public let tokens: Int
  private let keys: [String: Tensor]
  private let heads: [String: Int]
  private let rows: Rows
  private let latents: MapSize
  private let steps: ((Int) -> Bool)?
  private var sums: [String: (size: MapSize, images: [[Float]])] = [:]

  /// - Parameter ids: token ids of the attribution prompt, BOS and EOS included, not padded.
  public init(model: StableDiffusion, attribution ids: [Int], rows: Rows, latents: MapSize, steps: ((Int) -> Bool)? = nil) throws {
    self.rows = rows
    self.latents = latents
    self.steps = steps
    tokens = ids.count
    let embedding = try model.text.promptEmbedding([ids])
    // The layers' own key projections, read off a pass over a tiny latent: keys depend on the text alone.
    var keys: [String: Tensor] = [:]
    var heads: [String: Int] = [:]
    let probes = try Probes(["unet.*.attn2.k", "unet.*.attn2.probs"], sites: model.sites) { site, _, tensor in
      guard let place = AttentionPlace(site) else { return nil }
      if site.path.hasSuffix(".k") { keys[place.path] = tensor } else { heads[place.path] = tensor.shape[1] }
      return nil
    }
    let factor = model.unet.config.downFactor
    _ = try model.unet(
      Tensor.zeros([1, factor, factor, model.unet.config.inChannels]), timesteps: [0], text: embedding,
      guidanceEmbedding: model.unet.config.timeCondProjDim.map { Tensor.zeros([1, $0]) }, ForwardContext(probes: probes))
    self.keys = keys
    self.heads = heads
  }

  public func probes(_ model: StableDiffusion) throws -> Probes {
    try Probes(["unet.*.attn2.q"], sites: model.sites) { [self] site, moment, queries in
      try record(site, moment, queries)
      return nil
    }
  }

  /// Takes the queries of a stored run.
  /// - Throws: `InputError` when the run kept none of them.
  public func replay(_ run: RunFolder) throws {
    try run.replay("unet.*.attn2.q") { [self] site, moment, queries in
      try record(site, moment, queries)
      return nil
    }
  }

  func record(_ site: Site, _ moment: Moment, _ queries: Tensor) throws {
    if let steps, !steps(moment.step) { return }
    guard let place = AttentionPlace(site), place.side != .mid, let k = keys[place.path], let heads = heads[place.path] else { return }
    let pixels = queries.shape[1]
    guard let size = MapSize(pixels: pixels, latents: latents) else {
      throw InputError(.badData, "\(site.path): \(pixels) positions fit no level of \(latents.height)x\(latents.width) latents")
    }
    let wanted = moment.rows.enumerated().filter { $0.element.half.rawValue == rows.rawValue }
    guard !wanted.isEmpty else {
      throw InputError(.usage, "rows \(rows.rawValue): the run has no such rows", hint: "give a guidance above 1")
    }
    var sum = sums[place.path] ?? (size, Array(repeating: [Float](repeating: 0, count: pixels * tokens), count: wanted.count))
    for (row, label) in wanted {
      let p = Attention.probabilities(queries.slice(row..<row + 1), k, heads: heads)
      p.withUnsafeBuffer { p in
        for h in 0..<heads { for i in 0..<pixels * tokens { sum.images[label.image][i] += p[h * pixels * tokens + i] } }
      }
    }
    sums[place.path] = sum
  }

  /// The map at the size of the largest layer, `[h, w, tokens]`.
  public func maps(image: Int) throws -> (size: MapSize, maps: [Float]) {
    guard let largest = sums.values.map(\.size).max(by: { $0.count < $1.count }) else {
      throw InputError(.usage, "no cross-attention was recorded", hint: "widen --at-steps")
    }
    var total = [Float](repeating: 0, count: largest.count * tokens)
    for (_, layer) in sums.sorted(by: { $0.key < $1.key }) {
      let large = Upsampling.bilinear.resize(layer.images[image], layer.size, channels: tokens, to: largest)
      for i in 0..<total.count { total[i] += large[i] }
    }
    return (largest, total)
  }
}
