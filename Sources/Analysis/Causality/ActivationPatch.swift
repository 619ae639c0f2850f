import Engine

/// The one intervention of which activation patching, prompt swaps, head ablation and token knock-out are cases: at some sites, in some steps, in some
/// rows of the batch, something else stands in place of what the network computed.
public struct ActivationPatch {
  /// Rows of a batch under classifier-free guidance.
  public enum Rows: String, Sendable, CaseIterable {
    /// Those that carry the prompt.
    case cond
    /// Those and the unconditional ones.
    case both
  }

  /// What comes in place of an activation.
  public enum Replacement {
    /// What another run had at the same site, in the same call and row.
    case activations(StoredActivations)
    /// Keys and values of another text, by site.
    case text(TextActivations)
    /// Nothing: the channels of these heads become 0. At `….mixed`, where head h of H has the columns h*c/H ..< (h+1)*c/H.
    case zeroHeads(Set<Int>, of: Int)
    /// Nothing at all: every value becomes 0.
    case zero
  }

  /// Paths, in network order.
  public let sites: [String]
  /// Steps of the run, from 0; nil for all.
  public let steps: Set<Int>?
  public let rows: Rows
  public let replacement: Replacement

  public init(sites: [String], steps: Set<Int>? = nil, rows: Rows = .cond, _ replacement: Replacement) {
    self.sites = sites
    self.steps = steps
    self.rows = rows
    self.replacement = replacement
  }

  /// Everything that decides what this does to a run: the key under which the store keeps it.
  public var name: [String: String] {
    var out = [
      "patch_sites": sites.sorted().joined(separator: " "), "patch_rows": rows.rawValue,
      "patch_steps": steps.map { $0.sorted().map(String.init).joined(separator: " ") } ?? "all",
    ]
    switch replacement {
    case .activations(let stored): out["patch_with"] = "activations of run \(stored.digest)"
    case .text(let text): out["patch_with"] = "text: \(text.name)"
    case .zeroHeads(let heads, let count):
      out["patch_with"] = "zero heads \(heads.sorted().map(String.init).joined(separator: " ")) of \(count)"
    case .zero: out["patch_with"] = "zero"
    }
    return out
  }

  /// The first site of every call of the network: it counts them.
  static let clock = "unet.time_embedding.out"

  /// For `Tracer`, or as a probe of a live run.
  /// - Parameter firstStep: index in the plan of the run's first step (not 0 for image to image).
  public func intervention(firstStep: Int = 0) -> Tracer.Intervention {
    let wanted = Set(sites)
    var call = -1
    return Tracer.Intervention(name, patterns: [Self.clock] + sites) { site, moment, tensor in
      if site.path == Self.clock { call += 1 }
      guard wanted.contains(site.path), steps?.contains(moment.step - firstStep) ?? true else { return nil }
      return try replaced(site, moment, tensor, call: call)
    }
  }

  private func replaced(_ site: Site, _ moment: Moment, _ tensor: Tensor, call: Int) throws -> Tensor {
    guard !site.isProbabilities else {
      throw InputError(.usage, "\(site.path): probabilities cannot be replaced", hint: "patch the layer's q, k, v, mixed or out")
    }
    guard tensor.shape[0] == moment.rows.count, !tensor.isEmpty else {
      throw InputError(
        .usage, "\(site.path): its \(tensor.shape[0]) rows are not the \(moment.rows.count) of the batch and cannot be patched")
    }
    var out = tensor
    let size = tensor.count / tensor.shape[0]
    for (row, label) in moment.rows.enumerated() where rows == .both || label.half == .cond {
      let range = row * size..<(row + 1) * size
      switch replacement {
      case .activations(let stored):
        try Self.copy(stored.row(site, call: call, label), to: &out, range, site)
      case .text(let text):
        try Self.copy(text.row(site, label), to: &out, range, site)
      case .zero:
        out.withUnsafeMutableBuffer { o in for i in range { o[i] = 0 } }
      case .zeroHeads(let heads, let count):
        let channels = tensor.shape[-1]
        guard count > 0, channels % count == 0, heads.allSatisfy({ (0..<count).contains($0) }) else {
          throw InputError(.usage, "\(site.path): heads \(heads.sorted()) of \(count) do not divide \(channels) channels")
        }
        let width = channels / count
        out.withUnsafeMutableBuffer { o in for i in range where heads.contains(i % channels / width) { o[i] = 0 } }
      }
    }
    return out
  }

  private static func copy(_ values: [Float], to out: inout Tensor, _ range: Range<Int>, _ site: Site) throws {
    guard values.count == range.count else {
      throw InputError(
        .usage, "\(site.path): \(values.count) values of the one run for \(range.count) of the other",
        hint: "both runs need one size, and prompts of as many rows of tokens")
    }
    guard values.allSatisfy(\.isFinite) else { throw InputError(.badData, "\(site.path): the values to be put in are not all numbers") }
    out.withUnsafeMutableBuffer { o in for (i, v) in zip(range, values) { o[i] = v } }
  }
}

/// What a stored run had at some sites, call by call; read from the disk when it is wanted.
public struct StoredActivations {
  /// Digest of the run's specification.
  public let digest: String
  private struct Entry {
    let values: StoredTensor
    let rows: [RowLabel]
    /// Call of the network -> entry of the file.
    let calls: [Int: Int]
  }
  private let entries: [String: Entry]
  private let place: String

  /// - Parameter sites: paths; the run captured each of them whole (`CaptureSpec.Reduction.none`).
  /// - Throws: `InputError` (usage) naming a site that was not kept.
  public init(_ run: RunFolder, sites: [String]) throws {
    digest = run.manifest.specSha256
    let place = run.url.relativePath
    self.place = place
    var entries: [String: Entry] = [:]
    for path in sites {
      guard let capture = run.manifest.captures.first(where: { $0.site == path && $0.reduction == .none }) else {
        throw InputError(
          .usage, "\(place): the run has not kept \(path)", hint: "make it again with `sdlab trace --sites '\(path)@none' --rows all`")
      }
      let rows = try capture.rows.map { row in
        guard let half = RowLabel.Half(rawValue: row.half) else {
          throw InputError(.badData, "\(place): \(path): rows are \(row.half), expected cond or uncond")
        }
        return RowLabel(image: row.image, half: half)
      }
      entries[path] = Entry(
        values: try run.storedTensor(capture.file, "values"), rows: rows,
        calls: Dictionary(capture.calls.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { a, _ in a }))
    }
    self.entries = entries
  }

  func row(_ site: Site, call: Int, _ label: RowLabel) throws -> [Float] {
    guard let entry = entries[site.path], let at = entry.calls[call], let row = entry.rows.firstIndex(of: label) else {
      throw InputError(
        .usage, "\(place): \(site.path) was not kept for call \(call), \(label.half.rawValue) row of image \(label.image)",
        hint: "both runs need the same sampler, steps and number of images")
    }
    let all = try entry.values.entry(at).float32()
    let size = all.count / max(1, entry.rows.count)
    return all.withUnsafeBuffer { Array($0[row * size..<(row + 1) * size]) }
  }
}

/// Keys and values that the cross-attention layers make of a text: `W_k text` and `W_v text`. They depend on the text alone, so one pass over the
/// smallest latents gives those of every step.
public struct TextActivations {
  /// Says which text: part of the name of every run that is made with it.
  public let name: String
  private let rows: [String: [RowLabel.Half: [Float]]]

  /// - Parameters:
  ///   - name: must tell this conditioning from all others of the model and the request.
  ///   - sites: paths that end in `attn2.k` or `attn2.v`.
  public init(_ name: String, _ conditioning: Conditioning, sites: [String], model: StableDiffusion) throws {
    self.name = name
    var found: [String: [RowLabel.Half: [Float]]] = [:]
    // The same rows in the same order as in a run, so that the products are rounded alike.
    let halves: [RowLabel.Half] = conditioning.negative == nil ? [.cond] : [.uncond, .cond]
    let text = conditioning.negative.map { Tensor.concatenated([$0, conditioning.prompt]) } ?? conditioning.prompt
    for site in sites where !(site.hasSuffix(".attn2.k") || site.hasSuffix(".attn2.v")) {
      throw InputError(.usage, "\(site): a text has no values there", hint: "'unet.*.attn2.k' and 'unet.*.attn2.v' are made of the text")
    }
    let probes = try Probes(sites, sites: model.sites) { site, _, tensor in
      let size = tensor.count / halves.count
      for (row, half) in halves.enumerated() {
        found[site.path, default: [:]][half] = tensor.withUnsafeBuffer { Array($0[row * size..<(row + 1) * size]) }
      }
      return nil
    }
    let side = model.unet.config.downFactor
    _ = try model.unet(
      Tensor.zeros([halves.count, side, side, model.unet.config.inChannels]), timesteps: [0], text: text,
      guidanceEmbedding: model.unet.config.timeCondProjDim.map { Tensor.zeros([1, $0]) },
      ForwardContext(probes: probes))
    rows = found
  }

  func row(_ site: Site, _ label: RowLabel) throws -> [Float] {
    guard let values = rows[site.path]?[label.half] else {
      throw InputError(.usage, "\(site.path): the text has no \(label.half.rawValue) row there")
    }
    return values
  }
}
