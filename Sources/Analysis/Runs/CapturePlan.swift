import Engine

/// What a set of captures will take, before anything is computed.
public struct CapturePlan: Sendable {
  public struct Entry: Sendable {
    public let site: String
    public let reduction: CaptureSpec.Reduction
    /// `[calls, rows, …]` as the file will have it.
    public let shape: [Int]
    public let bytes: Int
  }

  public let entries: [Entry]
  /// The largest tensor that exists beside the run because somebody looks at it (attention probabilities), in bytes.
  public let peakBytes: Int
  public var bytes: Int { entries.reduce(0) { $0 + $1.bytes } }

  /// Shapes come from one pass over the smallest latents that the UNet takes; the number of positions is then scaled to the run's.
  ///
  /// - Parameters:
  ///   - latents: size of the run's latents.
  ///   - images: number of images; halves: 2 under guidance, else 1.
  ///   - steps: evaluations of the network.
  ///   - tokens: length of the prompt's rows, all chunks together.
  /// - Throws: `InputError` (usage) for a pattern without a site and a reduction that does not fit.
  public init(
    _ captures: [CaptureSpec], model: StableDiffusion, latents: MapSize, images: Int, halves: Int, steps: Int, tokens: Int
  ) throws {
    let factor = model.unet.config.downFactor
    let small = MapSize(height: factor, width: factor)
    var shapes: [Int: (Site, Shape)] = [:]
    if !captures.isEmpty {
      let probes = try Probes(captures.map(\.sites), sites: model.sites) { site, _, tensor in
        shapes[site.id] = (site, tensor.shape)
        return nil
      }
      let config = model.unet.config
      _ = try model.unet(
        Tensor.zeros([1, factor, factor, config.inChannels]), timesteps: [0], text: Tensor.zeros([1, tokens, config.crossAttentionDim]),
        guidanceEmbedding: config.timeCondProjDim.map { Tensor.zeros([1, $0]) }, ForwardContext(probes: probes))
    }
    func scaled(_ pixels: Int) -> Int { MapSize(pixels: pixels, latents: small, scaledTo: latents)?.count ?? pixels }
    var entries: [Entry] = []
    var peak = 0
    for spec in captures {
      for (site, shape) in shapes.values.sorted(by: { $0.0.id < $1.0.id }) where Glob.matches(spec.sites, site.path) {
        var d = shape.dimensions
        if site.isProbabilities {
          d[2] = scaled(d[2])
          if site.path.contains("attn1") { d[3] = d[2] }
        } else if d.count == 4 {
          let size = MapSize(pixels: d[1] * d[2], latents: small, scaledTo: latents) ?? MapSize(height: d[1], width: d[2])
          (d[1], d[2]) = (size.height, size.width)
        } else if d.count == 3, !(site.path.contains("attn2") && (site.path.hasSuffix(".k") || site.path.hasSuffix(".v"))) {
          d[1] = scaled(d[1])
        }
        let rows = images * (spec.rows == .all ? halves : 1)
        let calls = spec.steps.map { wanted in wanted.count { $0 < steps } } ?? steps
        let kept = [calls, rows] + (try spec.reducedShape(Shape(d), site: site))
        entries.append(
          Entry(
            site: site.path, reduction: spec.reduction, shape: kept, bytes: kept.reduce(spec.precision == .float32 ? 4 : 2, *)))
        if site.isProbabilities { peak = max(peak, 4 * images * halves * d.dropFirst().reduce(1, *)) }
      }
    }
    self.entries = entries
    peakBytes = peak
  }
}

extension MapSize {
  /// The level of `latents` at the depth at which a UNet over `small` has `pixels` positions.
  fileprivate init?(pixels: Int, latents small: MapSize, scaledTo latents: MapSize) {
    var (from, to) = (small, latents)
    while from.count > pixels, from.count > 1 {
      from = MapSize(height: (from.height + 1) / 2, width: (from.width + 1) / 2)
      to = MapSize(height: (to.height + 1) / 2, width: (to.width + 1) / 2)
    }
    guard from.count == pixels else { return nil }
    self = to
  }
}
