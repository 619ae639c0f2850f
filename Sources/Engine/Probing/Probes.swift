/// Which picture a row of a batch belongs to, and which side of classifier-free guidance it is. Never guessed from the row's number.
public struct RowLabel: Sendable, Hashable {
  public enum Half: String, Sendable { case cond, uncond }
  public let image: Int
  public let half: Half
  public init(image: Int, half: Half) {
    self.image = image
    self.half = half
  }
}

/// When a tensor passed a site.
public struct Moment: Sendable {
  /// Index of the sampling step, from 0.
  public var step: Int
  /// The timestep the network is asked about, 0 (clean) to 999 (noise); fractional for some samplers.
  public var timestep: Double
  /// One label a batch row.
  public var rows: [RowLabel]
  public init(step: Int = 0, timestep: Double = 0, rows: [RowLabel] = []) {
    self.step = step
    self.timestep = timestep
    self.rows = rows
  }
}

/// Someone who looks at sites while a network runs. A value passed to a run: there is nothing to unregister afterwards.
public struct Probes {
  /// Called with the tensor at a site; nil leaves it as it is, a tensor of the same shape replaces it.
  ///
  /// Attention probabilities (`….probs`) and what values would write (`….contribution`) are computed beside the attention only when a probe looks
  /// at them, and cannot be replaced.
  public typealias Handler = (_ site: Site, _ moment: Moment, _ tensor: Tensor) throws -> Tensor?

  private let wanted: [Bool]
  private let handler: Handler

  /// - Parameters:
  ///   - patterns: site paths, `*` standing for any run of characters (`unet.*.attn2.probs`).
  ///   - sites: the model's sites (`StableDiffusion.sites`).
  /// - Throws: `InputError` when a pattern matches no site, with near misses.
  public init(_ patterns: [String], sites: [Site], handler: @escaping Handler) throws {
    var wanted = [Bool](repeating: false, count: sites.count)
    for pattern in patterns {
      let matching = sites.filter { Glob.matches(pattern, $0.path) }
      if matching.isEmpty {
        let near = Self.nearMisses(pattern, sites)
        throw InputError(
          .usage, "no site matches '\(pattern)'",
          hint: (near.isEmpty ? "" : "did you mean \(near.joined(separator: ", "))? ") + "`sdlab inspect MODEL --sites` lists all")
      }
      for site in matching { wanted[site.id] = true }
    }
    self.wanted = wanted
    self.handler = handler
  }

  /// Sites that were probably meant; behind a star only the rest of the pattern is compared, with ends of paths of as many parts.
  private static func nearMisses(_ pattern: String, _ sites: [Site]) -> [String] {
    guard let star = pattern.lastIndex(of: "*") else { return EditDistance.nearest(to: pattern, among: sites.map(\.path), count: 3) }
    let (head, tail) = (pattern[...star], pattern[pattern.index(after: star)...])
    let parts = tail.split(separator: ".", omittingEmptySubsequences: false).count - (tail.hasPrefix(".") ? 1 : 0)
    let ends = Set(sites.map { $0.path.split(separator: ".").suffix(max(1, parts)).joined(separator: ".") })
    let wanted = String(tail.drop { $0 == "." })
    return EditDistance.nearest(to: wanted, among: ends, count: 3, limit: max(2, wanted.count / 2)).map { "\(head).\($0)" }
  }

  func wants(_ site: Site) -> Bool { wanted[site.id] }

  func call(_ site: Site, _ moment: Moment, _ tensor: Tensor) throws -> Tensor? {
    guard let replacement = try handler(site, moment, tensor) else { return nil }
    guard replacement.shape == tensor.shape else {
      throw InputError(.usage, "a probe at \(site.path) returned \(replacement.shape), expected \(tensor.shape)")
    }
    return replacement
  }
}

/// What a forward pass carries besides its tensors.
public struct ForwardContext {
  /// nil when nobody looks: a site then costs one comparison.
  public var probes: Probes?
  public var moment: Moment
  /// When gradients are recorded, keep only what goes in and out of residual blocks and transformers, and compute their inside again on the
  /// way back. Not done where probes look on.
  public var recomputes = false
  /// What earlier passes with the same text have made of it.
  var textProjections: TextProjections?

  public init(probes: Probes? = nil, moment: Moment = Moment(), recomputes: Bool = false) {
    self.probes = probes
    self.moment = moment
    self.recomputes = recomputes
  }

  /// The context of a part that is to be recomputed as a whole; nil when it is not.
  @inline(__always)
  func recomputing(_ a: Tensor, _ b: Tensor? = nil) -> ForwardContext? {
    guard recomputes, probes == nil, records(a, b) else { return nil }
    return ForwardContext(moment: moment)
  }

  /// Shows `tensor` to a probe at `site`, which may replace it.
  @inline(__always)
  func visit(_ site: Site, _ tensor: inout Tensor) throws {
    guard let probes, probes.wants(site) else { return }
    if let replacement = try probes.call(site, moment, tensor) { tensor = replacement }
  }

  @inline(__always)
  func wants(_ site: Site) -> Bool { probes?.wants(site) ?? false }
}
