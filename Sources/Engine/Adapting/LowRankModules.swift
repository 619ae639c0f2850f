/// The modules of a model that get a low-rank addition which is trained while their weights are frozen (Hu et al., LoRA, ICLR 2022).
///
/// The two matrices of a module are parameters beside the model's own, under PEFT's names: `….to_q.lora_A.weight` (down) and `….to_q.lora_B.weight` (up).
public struct LowRankModules: Sendable, Equatable {
  /// Which linear layers.
  public enum Targets: Sendable, Equatable {
    /// Queries, keys, values and outputs of all attentions.
    case attention
    /// All linear layers. Convolutions of 1x1 are convolutions.
    case allLinear
    /// Those whose names are, or end behind a dot with, one of these: PEFT's `target_modules`.
    case named([String])
  }

  /// Rank of the additions, alpha: what is added is alpha / rank times the product.
  public let rank: Int
  public let alpha: Double
  /// Canonical names in their order, `unet.mid_block.….to_q`.
  public let names: [String]
  /// Ends of names that describe the modules of each network (`unet`, `text_encoder`): PEFT's `target_modules`.
  public let ends: [String: [String]]
  /// `[out, in]` of the weights, by module.
  private let shapes: [String: Shape]

  private static let attention = [
    "unet": ["to_q", "to_k", "to_v", "to_out.0"], "text_encoder": ["q_proj", "k_proj", "v_proj", "out_proj"],
  ]
  private static let others = [
    "unet": ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "time_emb_proj", "linear_1", "linear_2"], "text_encoder": ["fc1", "fc2"],
  ]

  /// - Parameters:
  ///   - parameters: the model's, under canonical names.
  ///   - rank: 1 or more.
  ///   - trainsText: modules of the text encoder too.
  /// - Throws: `InputError` when a name fits no module, or one that is no linear layer.
  public init(_ parameters: Parameters, rank: Int, alpha: Double, targets: Targets, trainsText: Bool) throws {
    precondition(rank > 0, "rank \(rank)")
    (self.rank, self.alpha) = (rank, alpha)
    let networks = trainsText ? ["text_encoder", "unet"] : ["unet"]
    let weights = zip(parameters.names, parameters.values).compactMap { name, tensor -> (network: String, module: String, shape: Shape)? in
      guard name.hasSuffix(".weight"), let network = networks.first(where: { name.hasPrefix("\($0).") }) else { return nil }
      return (network, String(name.dropLast(".weight".count)), tensor.shape)
    }
    var shapes: [String: Shape] = [:]
    var ends: [String: [String]] = [:]
    for network in networks {
      for end in Self.ends(targets, network) {
        let found = weights.filter { $0.network == network && Self.fits($0.module, end) }
        let linear = found.filter { Self.isLinear($0.module, $0.shape) }
        if case .named = targets, let stranger = found.first(where: { !Self.isLinear($0.module, $0.shape) }) {
          throw InputError(
            .usage, "\(end): fits \(stranger.module), whose weight is \(stranger.shape): expected linear layers",
            hint: "name ends such as to_q or attn2.to_v")
        }
        for module in linear { shapes[module.module] = module.shape }
        // PEFT adds to everything that an end fits: one that fits convolutions too describes nothing here.
        if !linear.isEmpty, linear.count == found.count { ends[network, default: []].append(end) }
      }
    }
    if case .named(let given) = targets, let lost = given.first(where: { end in !ends.values.contains { $0.contains(end) } }) {
      throw InputError(
        .usage, "\(lost): fits no linear layer of the \(networks.joined(separator: " or ").replacing("_", with: " "))",
        hint: "name ends such as to_q or attn2.to_v")
    }
    self.shapes = shapes.filter { module, _ in
      networks.contains { network in module.hasPrefix("\(network).") && (ends[network] ?? []).contains { Self.fits(module, $0) } }
    }
    self.ends = ends
    names = self.shapes.keys.sorted()
  }

  private static func ends(_ targets: Targets, _ network: String) -> [String] {
    switch targets {
    case .attention: attention[network] ?? []
    case .allLinear: (attention[network] ?? []) + (others[network] ?? [])
    case .named(let ends): ends
    }
  }

  private static func fits(_ module: String, _ end: String) -> Bool { module.hasSuffix(".\(end)") }

  /// Tables of embeddings have two dimensions too.
  private static func isLinear(_ module: String, _ shape: Shape) -> Bool { shape.rank == 2 && !module.contains("embeddings.") }

  public static func down(_ module: String) -> String { "\(module).lora_A.weight" }
  public static func up(_ module: String) -> String { "\(module).lora_B.weight" }
  /// True for the name of a matrix of an addition.
  public static func isPart(_ name: String) -> Bool { name.hasSuffix(".lora_A.weight") || name.hasSuffix(".lora_B.weight") }

  /// What training begins with: down `[rank, in]` normal with a deviation of 1 / rank (PEFT's `gaussian`), up `[out, rank]` zero, so that nothing is added yet.
  public func initial(seed: UInt64) -> [(name: String, tensor: Tensor)] {
    var random = TorchRandom(seed: seed)
    return names.flatMap { module -> [(name: String, tensor: Tensor)] in
      let shape = shapes[module] ?? [0, 0]
      let values = random.normal(count: rank * shape[1]).map { $0 / Float(rank) }
      return [(Self.down(module), Tensor(values, [rank, shape[1]])), (Self.up(module), .zeros([shape[0], rank]))]
    }
  }

  /// The weights that networks are built from: the modules' with what is added to them. Gradients go back to the matrices that are recorded.
  public func store(_ parameters: RecordedParameters) -> WeightStore {
    var tensors = parameters.tensors
    for module in names {
      let weight = "\(module).weight"
      guard let own = tensors[weight], let down = tensors.removeValue(forKey: Self.down(module)),
        let up = tensors.removeValue(forKey: Self.up(module))
      else { preconditionFailure("\(module): its weight or a matrix of its addition is not among the parameters") }
      tensors[weight] = own.addingLowRank(up, down, scale: Float(alpha / Double(rank)))
    }
    return WeightStore(inMemory: tensors)
  }
}
