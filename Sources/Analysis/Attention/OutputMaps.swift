import COpenBLAS
import Engine

/// Where in the picture the network writes each word: maps in the output space of cross-attention (`--method sdlab`).
///
/// A layer adds to the place p the sum over tokens of P[p, j] c_j, c_j being what token j would write if all attention went to it (its value after
/// to_out). The map of a token in a layer is
/// `<o_p - mean over places of o, c_j / |c_j|>`,
/// o being the layer's whole output: how far the place moves towards what the word says. Probabilities do not show that: a head may write an object by
/// looking away from its word, and its probabilities are then inverted. The idea is that of ConceptAttention (Helbling et al., ICML 2025), which compares
/// outputs in a diffusion transformer; in a UNet the words have no outputs, and their contributions stand in for them.
///
/// `M = (1 - s) S + s A S`, `S = max(0, sum over calls and layers of the maps, bicubic to the latents' size)`, A being the mean self-attention and s
/// `refinement`. Layers that write much count for much. Which layers enter was chosen by `sdlab truth` where scenes with known masks could be had.
public struct OutputMaps: Sendable {
  /// The share of the map that is spread by self-attention.
  public static let refinement: Float = 0.5

  /// Latent size.
  public let size: MapSize
  public let tokens: Int
  /// `[h, w, tokens]`, never negative.
  public let maps: [Float]
  /// Layers that entered.
  public let layers: [AttentionPlace]

  /// - Parameters:
  ///   - image: index of the image in the run.
  ///   - isWanted: which layers enter; by default those of the down and up blocks, as DAAM's.
  ///   - refinement: 0 leaves the self-attention out.
  /// - Throws: `InputError` (usage) when no layer is left.
  public init(
    _ recorder: OutputMapsRecorder, image: Int, where isWanted: ((AttentionPlace, MapSize) -> Bool)? = nil,
    refinement: Float = OutputMaps.refinement
  ) throws {
    let wanted = recorder.layers.filter { layer in isWanted?(layer.place, layer.size) ?? (layer.place.side != .mid) }
    guard let first = wanted.first else {
      throw InputError(.usage, "no cross-attention layer is left to make a map of", hint: "widen --layers or --at-steps")
    }
    guard first.sums.indices.contains(image) else { throw InputError(.usage, "image \(image): the run has \(first.sums.count)") }
    size = recorder.latents
    tokens = first.tokens
    layers = wanted.map(\.place)
    var total = [Float](repeating: 0, count: size.count * tokens)
    for layer in wanted {
      let large = Upsampling.bicubic.resize(layer.sums[image], layer.size, channels: tokens, to: size)
      for i in total.indices { total[i] += large[i] }
    }
    let written = total.map { max(0, $0) }
    maps = refinement > 0 ? try recorder.selfAttention(image: image).refined(written, size, channels: tokens, share: refinement) : written
  }
}

/// Watches a run and keeps what `OutputMaps` needs: sums over the network's calls.
///
/// Only rows that carry the prompt are looked at.
public final class OutputMapsRecorder {
  /// One cross-attention layer.
  public struct Layer: Sendable {
    public let place: AttentionPlace
    public let size: MapSize
    public let tokens: Int
    /// For each image the sum over the calls: `[pixels, tokens]`, of either sign.
    public internal(set) var sums: [[Float]]
  }

  /// In network order.
  public private(set) var layers: [Layer] = []
  public let latents: MapSize
  /// The level whose self-attention refines: the largest with at most 1,024 places, so that a matrix of places by places stays small.
  public let level: MapSize

  private static let mostPlaces = 1024
  private let levels: [MapSize]
  private let steps: ((Int) -> Bool)?
  private var index: [String: Int] = [:]
  /// Of each layer what the tokens would write, `[rows, tokens, channels]`, and whose rows they are. The text alone decides it, so a call's is any call's.
  private var contributions: [String: (rows: [RowLabel], values: Tensor)] = [:]
  private var selfSums: [[Float]] = []
  private var selfCounts: [Int] = []
  private var selfLayers: Set<String> = []
  private var selfSteps: Set<Int> = []

  /// - Parameters:
  ///   - depth: number of levels of the UNet.
  ///   - steps: which steps are recorded; nil for all.
  public init(levels depth: Int, latents: MapSize, steps: ((Int) -> Bool)? = nil) {
    self.latents = latents
    self.steps = steps
    levels = latents.levels(depth)
    level = levels.first { $0.count <= Self.mostPlaces } ?? levels[levels.count - 1]
  }

  /// Self-attention layers of `level` among `sites`: others are never computed.
  public func selfAttentionSites(_ sites: [Site]) -> [String] {
    sites.filter { site in
      guard site.path.hasSuffix(".attn1.probs"), let place = AttentionPlace(site) else { return false }
      return levels[min(place.level(of: levels.count), levels.count - 1)] == level
    }
    .map(\.path)
  }

  /// What has to be looked at.
  public func patterns(_ sites: [Site]) -> [String] { ["unet.*.attn2.contribution", "unet.*.attn2.out"] + selfAttentionSites(sites) }

  /// A probe for `StableDiffusion.denoising`. One recorder serves one run.
  public func probes(_ model: StableDiffusion) throws -> Probes {
    try Probes(patterns(model.sites), sites: model.sites) { [self] site, moment, tensor in
      try record(site, moment, tensor)
      return nil
    }
  }

  func record(_ site: Site, _ moment: Moment, _ tensor: Tensor) throws {
    if let steps, !steps(moment.step) { return }
    guard let place = AttentionPlace(site) else { return }
    if site.path.hasSuffix(".attn2.contribution") {
      contributions[place.path] = (moment.rows, tensor)
    } else if site.path.hasSuffix(".attn2.out") {
      try recordOutput(site, place, moment, tensor)
    } else if site.path.hasSuffix(".attn1.probs"), tensor.shape[2] == level.count {
      recordSelfAttention(place, moment, tensor)
    }
  }

  private func recordOutput(_ site: Site, _ place: AttentionPlace, _ moment: Moment, _ outputs: Tensor) throws {
    guard let written = contributions[place.path] else { return }
    let (pixels, channels, tokens) = (outputs.shape[1], outputs.shape[2], written.values.shape[1])
    let rows = moment.rows.enumerated().filter { $0.element.half == .cond }
    let images = (rows.map(\.element.image).max() ?? -1) + 1
    if index[place.path] == nil {
      guard let size = MapSize(pixels: pixels, latents: latents) else {
        throw InputError(.badData, "\(site.path): \(pixels) positions fit no level of \(latents.height)x\(latents.width) latents")
      }
      index[place.path] = layers.count
      let empty = [Float](repeating: 0, count: pixels * tokens)
      layers.append(Layer(place: place, size: size, tokens: tokens, sums: Array(repeating: empty, count: images)))
    }
    guard let at = index[place.path] else { return }
    for (row, label) in rows {
      guard let from = written.rows.firstIndex(of: label) else { continue }
      let centred = Self.centred(outputs, row: row, pixels: pixels, channels: channels)
      let directions = Self.directions(written.values, row: from, tokens: tokens, channels: channels)
      layers[at].sums[label.image].withUnsafeMutableBufferPointer { sum in
        cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, Int32(pixels), Int32(tokens), Int32(channels), 1, centred, Int32(channels), directions,
          Int32(channels), 1, sum.baseAddress, Int32(tokens))
      }
    }
  }

  private static func centred(_ outputs: Tensor, row: Int, pixels: Int, channels: Int) -> [Float] {
    outputs.withUnsafeBuffer { o in
      let o = UnsafeBufferPointer(rebasing: o[row * pixels * channels..<(row + 1) * pixels * channels])
      var mean = [Double](repeating: 0, count: channels)
      for p in 0..<pixels { for c in 0..<channels { mean[c] += Double(o[p * channels + c]) } }
      let middle = mean.map { Float($0 / Double(pixels)) }
      return [Float](unsafeUninitializedCapacity: pixels * channels) { out, count in
        for p in 0..<pixels { for c in 0..<channels { out[p * channels + c] = o[p * channels + c] - middle[c] } }
        count = pixels * channels
      }
    }
  }

  /// Contributions of length 1.
  private static func directions(_ values: Tensor, row: Int, tokens: Int, channels: Int) -> [Float] {
    values.withUnsafeBuffer { v in
      (0..<tokens).flatMap { j in
        let from = (row * tokens + j) * channels
        let length = (0..<channels).reduce(0.0) { $0 + Double(v[from + $1]) * Double(v[from + $1]) }.squareRoot()
        return (0..<channels).map { length > 0 ? Float(Double(v[from + $0]) / length) : 0 }
      }
    }
  }

  private func recordSelfAttention(_ place: AttentionPlace, _ moment: Moment, _ p: Tensor) {
    let n = level.count
    let heads = p.shape[1]
    for (row, label) in moment.rows.enumerated() where label.half == .cond {
      while selfSums.count <= label.image {
        selfSums.append([Float](repeating: 0, count: n * n))
        selfCounts.append(0)
      }
      selfCounts[label.image] += 1
      p.withUnsafeBuffer { p in
        selfSums[label.image].withUnsafeMutableBufferPointer { sum in
          let weight = 1 / Float(heads)
          for h in 0..<heads { for i in 0..<n * n { sum[i] += weight * p[(row * heads + h) * n * n + i] } }
        }
      }
    }
    selfLayers.insert(place.path)
    selfSteps.insert(moment.step)
  }

  /// The mean self-attention of `level`.
  /// - Throws: `InputError` (usage) when there was none.
  public func selfAttention(image: Int) throws -> SelfAttentionMaps {
    guard selfCounts.indices.contains(image), selfCounts[image] > 0 else {
      throw InputError(.usage, "no self-attention of \(level.height)x\(level.width) places was recorded", hint: "widen --at-steps")
    }
    let weight = 1 / Float(selfCounts[image])
    return SelfAttentionMaps(size: level, values: selfSums[image].map { $0 * weight }, layers: selfLayers.count, steps: selfSteps.sorted())
  }
}

extension OutputMapsRecorder {
  /// What a run has to keep for it.
  public static func captures(levels: Int, latents: MapSize, sites: [Site]) -> [CaptureSpec] {
    [CaptureSpec("unet.*.attn2.contribution"), CaptureSpec("unet.*.attn2.out")]
      + OutputMapsRecorder(levels: levels, latents: latents).selfAttentionSites(sites).map { CaptureSpec($0, reduce: .heads) }
  }

  /// Of a stored run.
  /// - Throws: `InputError` when the run did not keep what is needed, or no call is among `steps`.
  public convenience init(_ run: RunFolder, levels: Int, steps: ((Int) -> Bool)? = nil) throws {
    self.init(levels: levels, latents: run.latents, steps: steps)
    for (pattern, reductions) in [
      ("unet.*.attn2.contribution", [CaptureSpec.Reduction.none]), ("unet.*.attn2.out", [.none]), ("unet.*.attn1.probs", [.none, .heads]),
    ] {
      try run.replay(pattern, reductions) { [self] site, moment, tensor in
        try record(site, moment, tensor)
        return nil
      }
    }
    guard !layers.isEmpty else {
      throw InputError(
        .usage, "\(run.url.relativePath): no step that was kept is among those asked for",
        hint: "the run has steps 0 to \(run.manifest.timesteps.count - 1)")
    }
  }
}

extension SelfAttentionMaps {
  /// Maps spread along the self-attention: `(1 - share) M + share A M`, A M being taken at this level's size.
  ///
  /// - Parameters:
  ///   - maps: `[h, w, channels]` at `size`; made smaller and larger again bilinearly where that is not the level's.
  ///   - share: 0...1.
  public func refined(_ maps: [Float], _ mapSize: MapSize, channels: Int, share: Float) -> [Float] {
    let n = size.count
    let small = Upsampling.bilinear.resize(maps, mapSize, channels: channels, to: size)
    var spread = [Float](repeating: 0, count: n * channels)
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, Int32(n), Int32(channels), Int32(n), 1, values, Int32(n), small, Int32(channels), 0,
      &spread,
      Int32(channels))
    let large = Upsampling.bilinear.resize(spread, size, channels: channels, to: mapSize)
    return zip(maps, large).map { (1 - share) * $0 + share * $1 }
  }
}
