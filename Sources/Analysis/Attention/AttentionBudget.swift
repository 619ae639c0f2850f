import Engine
import Foundation

/// What the attention is spent on: the share of the mass of the cross-attention that goes to BOS, the words, EOS and the padding, and how widely it is
/// spread, for each network call, layer and head.
///
/// CLIP's mask is causal: BOS can carry nothing of the prompt, EOS and the padding can. A large share of BOS is therefore attention that goes nowhere.
public final class AttentionBudget {
  public enum Kind: Int, CaseIterable, Sendable { case bos, words, eos, padding }

  /// What one head spent in one call, means over the pixels of one row.
  public struct Entry: Sendable, Equatable {
    /// In the order of `Kind`; their sum is 1.
    public var shares: [Double]
    /// `-sum p ln p` over the tokens, in nats: 0 (one token) to ln(tokens).
    public var entropy: Double

    public subscript(_ kind: Kind) -> Double { shares[kind.rawValue] }
  }

  /// Layers in network order.
  public private(set) var layers: [AttentionPlace] = []
  /// Number of heads of each layer.
  public private(set) var heads: [Int] = []
  /// The plan's step of each recorded network call.
  public private(set) var callSteps: [Int] = []

  private let kinds: [RowLabel.Half: [Kind]]
  private let steps: ((Int) -> Bool)?
  private var index: [Int: Int] = [:]  // site id -> layer
  private var entries: [RowLabel: [[[Entry]]]] = [:]  // [calls][layers][heads]

  /// - Parameters:
  ///   - prompt: the prompt as it was encoded.
  ///   - negative: what the unconditional rows were given; nil leaves these rows out.
  ///   - steps: which steps of the plan are recorded; nil for all.
  public init(prompt: TokenizedPrompt, negative: TokenizedPrompt? = nil, steps: ((Int) -> Bool)? = nil) {
    var kinds: [RowLabel.Half: [Kind]] = [.cond: Self.kinds(of: prompt)]
    if let negative { kinds[.uncond] = Self.kinds(of: negative) }
    self.kinds = kinds
    self.steps = steps
  }

  /// For each position of the embedding what stands there. A chunk is BOS, words, EOS, padding.
  ///
  /// EOS is the first place after the words, also where padding has the same id.
  public static func kinds(of prompt: TokenizedPrompt) -> [Kind] {
    let words = Set(prompt.words.flatMap(\.positions))
    return prompt.chunks.enumerated().flatMap { row, chunk in
      let last = words.lazy.filter { $0.chunk == row }.map(\.index).max() ?? 0
      return chunk.ids.indices.map { i in i == 0 ? Kind.bos : i <= last ? .words : i == last + 1 ? .eos : .padding }
    }
  }

  /// A probe for `StableDiffusion.denoising`. One budget serves one run.
  public func probes(_ model: StableDiffusion) throws -> Probes {
    try Probes(["unet.*.attn2.probs"], sites: model.sites) { [self] site, moment, tensor in
      try record(site, moment, tensor)
      return nil
    }
  }

  public func record(_ site: Site, _ moment: Moment, _ probabilities: Tensor) throws {
    if let steps, !steps(moment.step) { return }
    let shape = probabilities.shape
    let (heads, pixels, tokens) = (shape[1], shape[2], shape[3])
    if index[site.id] == nil {
      guard let place = AttentionPlace(site) else { return }
      index[site.id] = layers.count
      layers.append(place)
      self.heads.append(heads)
    }
    guard let layer = index[site.id] else { return }
    if layer == 0 { callSteps.append(moment.step) }
    try probabilities.withUnsafeBuffer { p in
      for (row, label) in moment.rows.enumerated() {
        guard let kinds = kinds[label.half] else { continue }
        guard kinds.count == tokens else {
          throw InputError(.usage, "attention budget: the prompt has \(kinds.count) positions, the run attends to \(tokens)")
        }
        let spent = (0..<heads).map { h in
          Self.entry(UnsafeBufferPointer(rebasing: p[((row * heads + h) * pixels * tokens)...].prefix(pixels * tokens)), kinds)
        }
        guard spent.allSatisfy({ $0.entropy.isFinite && $0.shares.allSatisfy(\.isFinite) }) else {
          throw InputError(.badData, "\(site.path): the attention of step \(moment.step) holds values that are not numbers")
        }
        if layer == 0 { entries[label, default: []].append([]) }
        entries[label, default: []][callSteps.count - 1].append(spent)
      }
    }
  }

  /// - Parameter p: `[pixels, tokens]`, every row a distribution.
  static func entry(_ p: UnsafeBufferPointer<Float>, _ kinds: [Kind]) -> Entry {
    let pixels = Double(p.count / kinds.count)
    var shares = [Double](repeating: 0, count: Kind.allCases.count)
    var entropy = 0.0
    for i in 0..<p.count {
      let value = Double(p[i])
      shares[kinds[i % kinds.count].rawValue] += value
      if value > 0 { entropy -= value * log(value) }
    }
    return Entry(shares: shares.map { $0 / pixels }, entropy: entropy / pixels)
  }

  /// `[calls][layers][heads]` of one image; empty when nothing of that kind was recorded.
  public func entries(image: Int, half: RowLabel.Half = .cond) -> [[[Entry]]] {
    entries[RowLabel(image: image, half: half)] ?? []
  }
}
