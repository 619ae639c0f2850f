/// The weights of a model under their canonical names, which of them the networks have taken, and what was wrong.
///
/// Canonical names are those of diffusers' state dicts with the network before them: `unet.`, `vae.`, `text_encoder.`.
public final class WeightStore {
  /// Where the weights come from, for error lines.
  public let label: String
  public private(set) var tensors: [String: StoredTensor]
  /// Places to probe, in network order: filled while the networks are built.
  public private(set) var sites: [Site] = []

  /// How packed weights are kept; nil for as they lie in the file.
  private let precision: WeightPrecision?
  private let products: ProductPrecision
  /// Low-rank additions by the canonical name of the weight that they add to.
  private let deltas: [String: [LowRankDelta]]
  /// Numbers kept in two bytes.
  private var halves = 0
  private var packed: [(path: String, weight: any PackedWeight)] = []
  /// Tensors that lie in no file: the parameters of a network in training, recorded or frozen.
  private let inMemory: [String: Tensor]
  private var consumed: Set<String> = []
  private var problems: [String] = []

  /// - Parameter adapters: what is added to the weights as they are read.
  public init(
    _ tensors: [StoredTensor], label: String, precision: WeightPrecision? = nil, products: ProductPrecision = .f32, adapters: [LoRA] = []
  ) throws {
    self.label = label
    inMemory = [:]
    (self.precision, self.products) = (precision, products)
    var byName: [String: StoredTensor] = [:]
    byName.reserveCapacity(tensors.count)
    for tensor in tensors {
      if let other = byName.updateValue(tensor, forKey: tensor.name) {
        throw InputError(.badData, "\(tensor.file): \(tensor.name) is there twice (also in \(other.file))")
      }
    }
    self.tensors = byName
    var deltas: [String: [LowRankDelta]] = [:]
    let shapes = adapters.isEmpty ? [:] : byName.mapValues(\.shape)
    for adapter in adapters {
      for (name, delta) in try adapter.deltas(for: shapes) { deltas[name, default: []].append(delta) }
    }
    self.deltas = deltas
  }

  /// Tensors in memory under their canonical names, in PyTorch's order of dimensions; what is recorded stays so.
  init(inMemory: [String: Tensor]) {
    label = "parameters"
    (precision, products) = (nil, .f32)
    deltas = [:]
    self.inMemory = inMemory
    tensors = [:]
  }

  fileprivate func has(_ name: String) -> Bool { tensors[name] != nil || inMemory[name] != nil }

  /// The scope of one network: `store["unet"]`.
  public subscript(_ network: String) -> WeightScope { WeightScope(store: self, path: network) }

  /// Names the networks have taken so far.
  public var taken: Set<String> { consumed }

  /// Ends the building of the networks.
  ///
  /// - Parameter patterns: names that may be left over without a word; `*` stands for any text.
  /// - Returns: the names that nobody took, sorted.
  /// - Throws: one `InputError` that names every missing, misshapen or damaged tensor (ten spelled out, then a count).
  @discardableResult
  public func finish(ignoring patterns: [String] = []) throws -> [String] {
    if !problems.isEmpty {
      let shown = problems.prefix(10).joined(separator: "; ")
      let more = problems.count > 10 ? "; and \(problems.count - 10) more" : ""
      throw InputError(
        .badData,
        "\(label): \(problems.count) \(problems.count == 1 ? "tensor is" : "tensors are") not as the config says: \(shown)\(more)",
        hint: "config and weights must come from the same model")
    }
    return (Array(tensors.keys) + inMemory.keys).filter { name in !consumed.contains(name) && !patterns.contains { Glob.matches($0, name) }
    }.sorted()
  }

  /// Gives the memory of all weight pages back to the system; they are read again from the files when somebody touches them.
  public func releasePages() {
    for tensor in tensors.values { tensor.releasePages() }
  }

  /// Gives back what one network's weights take in memory: pages of the files and packed weights. Both come again when the network is used.
  func release(_ network: String) {
    for (path, weight) in packed where path.hasPrefix(network + ".") { weight.release() }
    for (name, tensor) in tensors where name.hasPrefix(network + ".") { tensor.releasePages() }
  }

  /// Bytes that the weights which the networks have taken need in memory.
  public var memoryBytes: Int { consumed.reduce(0) { $0 + 4 * (tensors[$1]?.count ?? 0) } - 2 * halves }

  /// Bytes of one network's weights as Float32.
  func bytes(_ network: String) -> Int { tensors.reduce(0) { $1.key.hasPrefix(network + ".") ? $0 + 4 * $1.value.count : $0 } }

  fileprivate func add(_ weight: any PackedWeight, _ path: String) { packed.append((path, weight)) }

  fileprivate func take(_ name: String, _ shape: Shape) -> Tensor? {
    if let tensor = taken(name, shape) { return tensor }
    var values: Tensor?
    _ = checked(name, shape) { values = try $0.float32() }
    guard var sum = values else { return nil }
    for delta in deltas[name] ?? [] { delta.add(to: &sum) }
    return sum
  }

  /// A weight that is read when it is packed.
  fileprivate func values(_ name: String, _ shape: Shape) -> WeightValues {
    if let tensor = taken(name, shape) { return WeightValues(tensor) }
    let values = WeightValues(
      checked(name, shape) { try $0.check(precision) }, shape, precision, inBFloat16: isInBFloat16(name), deltas[name] ?? [])
    // A 3x3 convolution may be needed in float32, for Winograd's algorithm.
    if values.half || values.inBFloat16 && shape.count == shape[0] * shape[1] { halves += shape.count }
    return values
  }

  /// See `ProductPrecision.bf16`: what costs next to nothing keeps its precision, as pixels, latents and timesteps are more than eight bits.
  private func isInBFloat16(_ name: String) -> Bool {
    products == .bf16 && !name.hasPrefix("text_encoder.")
      && !["time_emb", ".conv_in.", ".conv_out.", "quant_conv."].contains { name.contains($0) }
  }

  /// A tensor that lies in no file; nil where there is none.
  private func taken(_ name: String, _ shape: Shape) -> Tensor? {
    guard let values = inMemory[name] else { return nil }
    guard values.count == shape.count, values.shape.dimensions.prefix(shape.rank) == shape.dimensions[...] else {
      problems.append("\(name): expected \(shape), found \(values.shape)")
      return nil
    }
    consumed.insert(name)
    return values.shape == shape ? values : values.reshaped(shape)
  }

  /// The tensor as it lies in the file once its shape is as expected and `read` has not thrown; what is wrong is kept for `finish`.
  private func checked(_ name: String, _ shape: Shape, _ read: (StoredTensor) throws -> Void) -> StoredTensor? {
    guard var stored = tensors[name] else {
      problems.append("\(name) \(shape) is missing")
      return nil
    }
    consumed.insert(name)
    let expected = shape.dimensions
    // Old VAEs keep their attention as 1x1 convolutions: [c, c, 1, 1] for [c, c].
    stored = stored.squeezed(to: expected.count)
    guard stored.shape == expected else {
      problems.append("\(name): expected \(expected), found \(stored.shape)")
      return nil
    }
    do {
      try read(stored)
      return stored
    } catch {
      problems.append("\(error)")
      return nil
    }
  }

  fileprivate func addSite(_ path: String, _ axes: String) -> Site {
    let site = Site(id: sites.count, path: path, axes: axes)
    sites.append(site)
    return site
  }
}

/// A module's place in the namespace: `scope["down_blocks"][0]["attn2"]`.
public struct WeightScope {
  public let store: WeightStore
  public let path: String

  public subscript(_ name: String) -> WeightScope { WeightScope(store: store, path: "\(path).\(name)") }
  public subscript(_ index: Int) -> WeightScope { WeightScope(store: store, path: "\(path).\(index)") }

  /// The tensor `name` of this module, checked against `shape` (PyTorch's order).
  ///
  /// Never throws: what is missing or misshapen is kept for `WeightStore.finish`, which names all of it at once, and an empty tensor
  /// is given.
  public func take(_ name: String, _ shape: Shape) -> Tensor {
    store.take("\(path).\(name)", shape) ?? Tensor(uninitialized: [0])
  }

  /// The weight of a convolution, `[out, in, kh, kw]`: checked now, read and packed when it is used.
  func convolutionWeight(_ shape: Shape) -> ConvolutionWeight {
    let weight = ConvolutionWeight(store.values("\(path).weight", shape))
    store.add(weight, path)
    return weight
  }

  /// The weight of a linear layer, `[out, in]` (or `[out, in, 1, 1]`): checked now, read and packed when it is used.
  func linearWeight(_ shape: Shape) -> LinearWeight {
    let weight = LinearWeight(store.values("\(path).weight", shape))
    store.add(weight, path)
    return weight
  }

  /// nil when the file has no such tensor; otherwise as `take`.
  public func takeOptional(_ name: String, _ shape: Shape) -> Tensor? { has(name) ? take(name, shape) : nil }

  public func has(_ name: String) -> Bool { store.has("\(path).\(name)") }

  /// The tensor as it lies in the file, without taking it.
  public func stored(_ name: String) -> StoredTensor? { store.tensors["\(path).\(name)"] }

  /// A new place to probe, in network order. `name` is the value's name within the module; empty for the module's own output.
  public func site(_ name: String, _ axes: String) -> Site { store.addSite(name.isEmpty ? path : "\(path).\(name)", axes) }
}
