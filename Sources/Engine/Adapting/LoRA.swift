import Foundation

/// A file of low-rank additions to a model's weights, and how much of them is added.
///
/// Read are the layouts of diffusers (PEFT's `lora_A`/`lora_B`, and the older `lora.down`, `processor.to_q_lora.down` and `lora_linear_layer`)
/// and of kohya's scripts (`lora_unet_…`, `lora_te_…`, with `alpha`), as `.safetensors` or as torch's pickles.
public struct LoRA: Sendable {
  public let url: URL
  /// As the person named it.
  public let name: String
  /// 1 adds it as it was trained.
  public let weight: Double
  /// By the module's name in the file.
  public let modules: [Module]

  /// The two matrices of one module.
  public struct Module: Sendable {
    /// As the file names it.
    public let name: String
    public let delta: LowRankDelta
  }

  /// - Throws: `InputError` when it is no such file, or one of a kind that is not additive and of low rank (LoHa, LoKr, DoRA, full differences).
  public init(_ path: String, weight: Double = 1) throws {
    url = URL(fileURLWithPath: path)
    name = path
    self.weight = weight
    let contents = try WeightFiles.read(url)
    let settings = try PEFTSettings(contents.metadata, file: path)
    var parts: [String: Parts] = [:]
    for tensor in contents.tensors {
      let (module, role) = try Self.split(tensor.name, file: path)
      if parts[module, default: Parts()].set(role, tensor) {
        throw InputError(.badData, "\(path): \(module): its \(role.rawValue) matrix is there twice")
      }
    }
    guard !parts.isEmpty else { throw InputError(.badData, "\(path): expected the matrices of a LoRA, found no tensor") }
    modules = try parts.sorted { $0.key < $1.key }.map { module, parts in
      Module(name: module, delta: try parts.delta(module, weight, settings, file: path))
    }
  }

  /// Where each module's addition belongs in a model.
  /// - Parameter weights: canonical names of the model's weights with PyTorch's shapes.
  /// - Throws: `InputError` when a module is not in the model or has another shape.
  func deltas(for weights: [String: [Int]]) throws -> [String: LowRankDelta] {
    let places = ModulePlaces(weights.keys)
    var found: [String: LowRankDelta] = [:]
    var strangers: [String] = []
    for module in modules {
      guard let target = places.weight(of: module.name), let shape = weights[target] else {
        strangers.append(module.name)
        continue
      }
      let delta = module.delta
      let (rows, columns) = (shape.first ?? 0, shape.dropFirst().reduce(1, *))
      guard shape.count > 1, delta.up.shape[0] == rows, delta.down.count == delta.rank * columns else {
        throw InputError(
          .badData,
          "\(name): \(module.name): adds [\(delta.up.shape[0]), \(delta.down.count / max(delta.rank, 1))] to \(target), which is [\(rows), \(columns)]",
          hint: "it was made for another model")
      }
      guard found.updateValue(delta, forKey: target) == nil else {
        throw InputError(.badData, "\(name): two modules add to \(target), among them \(module.name)")
      }
    }
    guard strangers.isEmpty else {
      throw InputError(
        .badData, "\(name): \(strangers.count) of \(modules.count) modules are not in the model, such as \(strangers[0].oneLine)",
        hint: "it was made for another model, such as SDXL")
    }
    return found
  }

  // MARK: - Names in files

  private enum Role: String {
    case down, up, alpha
  }

  /// Ends of tensor names. The first that fits counts.
  private static let ends: [(end: String, role: Role)] = [
    (".lora_A.weight", .down), (".lora_B.weight", .up), (".lora_A.default.weight", .down), (".lora_B.default.weight", .up),
    (".lora_down.weight", .down), (".lora_up.weight", .up), (".lora.down.weight", .down), (".lora.up.weight", .up),
    (".lora_linear_layer.down.weight", .down), (".lora_linear_layer.up.weight", .up), ("_lora.down.weight", .down),
    ("_lora.up.weight", .up),
    (".alpha", .alpha),
  ]

  /// Parts of names of other kinds of adapters.
  private static let others = [
    "hada_": "LoHa", "lokr_": "LoKr", "lora_mid": "LoCon with a middle matrix", "dora_scale": "DoRA", "lora_magnitude_vector": "DoRA",
    "oft_": "OFT", "diff": "a full difference", "lora_B.bias": "LoRA with biases",
  ]

  private static func split(_ name: String, file: String) throws -> (module: String, role: Role) {
    for (end, role) in ends where name.hasSuffix(end) { return (String(name.dropLast(end.count)), role) }
    if let kind = others.sorted(by: { $0.key < $1.key }).first(where: { name.contains($0.key) })?.value {
      throw InputError(
        .badData, "\(file): \(name.oneLine): this is \(kind), which is not supported", hint: "expected a LoRA: two matrices a module")
    }
    throw InputError(
      .badData, "\(file): \(name.oneLine): expected names such as ….lora_A.weight, ….lora_down.weight or ….alpha",
      hint: "give a LoRA in the layout of diffusers or kohya")
  }

  private struct Parts {
    var (down, up, alpha): (StoredTensor?, StoredTensor?, StoredTensor?)

    /// - Returns: true when it was there before.
    mutating func set(_ role: Role, _ tensor: StoredTensor) -> Bool {
      switch role {
      case .down: return swapped(&down, tensor)
      case .up: return swapped(&up, tensor)
      case .alpha: return swapped(&alpha, tensor)
      }
    }

    private func swapped(_ place: inout StoredTensor?, _ tensor: StoredTensor) -> Bool {
      defer { place = tensor }
      return place != nil
    }

    func delta(_ module: String, _ weight: Double, _ settings: PEFTSettings, file: String) throws -> LowRankDelta {
      guard let down, let up else {
        throw InputError(
          .badData, "\(file): \(module.oneLine): its \(down == nil ? "down" : "up") matrix is missing", hint: "copy or download it again")
      }
      let rank = down.shape.first ?? 0
      guard down.shape.count >= 2, up.shape.count >= 2, down.count > 0, up.count > 0, up.count == up.shape[0] * rank, up.shape[1] == rank
      else {
        throw InputError(.badData, "\(file): \(module.oneLine): expected [r, in] and [out, r], found \(down.shape) and \(up.shape)")
      }
      try down.check(nil)
      try up.check(nil)
      let alpha: Double
      if let stored = self.alpha {
        guard stored.count == 1 else {
          throw InputError(.badData, "\(file): \(module.oneLine): alpha: expected one number, found \(stored.shape)")
        }
        alpha = Double(try stored.float32().data[0])
      } else {
        alpha = settings.alpha(module) ?? Double(rank)
      }
      let share = settings.isRankStabilized(module) ? alpha / Double(rank).squareRoot() : alpha / Double(rank)
      return LowRankDelta(down: down, up: up, alpha: alpha, scale: Float(weight * share))
    }
  }
}

/// What PEFT's settings in a file's metadata say (`lora_adapter_metadata`, written by diffusers since 0.34).
private struct PEFTSettings {
  private var values: [String: Any] = [:]

  init(_ metadata: [String: String], file: String) throws {
    guard let text = metadata["lora_adapter_metadata"] else { return }
    guard let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
      throw InputError(.badData, "\(file): lora_adapter_metadata: expected a JSON object", hint: "copy or download it again")
    }
    values = object
    for (key, value) in object where key.hasSuffix(".use_dora") && value as? Bool == true {
      throw InputError(.badData, "\(file): \(key): DoRA is not supported", hint: "expected a LoRA: two matrices a module")
    }
  }

  private func value(_ module: String, _ key: String) -> Any? { values["\(module.prefix { $0 != "." }).\(key)"] }

  /// nil where nothing is said.
  func alpha(_ module: String) -> Double? {
    let inner = module.drop { $0 != "." }.dropFirst()
    if let patterns = value(module, "alpha_pattern") as? [String: Any] {
      for (pattern, alpha) in patterns where inner == pattern || inner.hasSuffix(".\(pattern)") { return (alpha as? NSNumber)?.doubleValue }
    }
    return (value(module, "lora_alpha") as? NSNumber)?.doubleValue
  }

  func isRankStabilized(_ module: String) -> Bool { value(module, "use_rslora") as? Bool == true }
}

/// Finds a module of a LoRA among a model's weights.
private struct ModulePlaces {
  /// Canonical names of the weights.
  private let names: Set<String>
  /// kohya's names write every dot as an underscore, which cannot be undone without knowing the model.
  private var underscored: [String: String] = [:]

  init(_ weights: some Sequence<String>) {
    names = Set(weights)
    for name in names where name.hasSuffix(".weight") {
      let module = name.dropLast(".weight".count)
      for (network, prefixes) in [("unet.", ["lora_unet_"]), ("text_encoder.", ["lora_te_", "lora_te1_"])] where module.hasPrefix(network) {
        let key = module.dropFirst(network.count).replacing(".", with: "_")
        for prefix in prefixes { underscored[prefix + key] = name }
      }
    }
  }

  /// The canonical name of the weight that `module` adds to; nil when the model has none.
  func weight(of module: String) -> String? {
    if let name = underscored[module] { return name }
    // diffusers before PEFT kept the matrices in the attention's processor.
    let plain = module.replacing(".processor.", with: ".")
    for candidate in [plain, "\(plain).0"] {
      for name in spellings(candidate) where names.contains("\(name).weight") { return "\(name).weight" }
    }
    return nil
  }

  private func spellings(_ module: String) -> [String] {
    for prefix in ["base_model.model.", "unet.base_model.model."] where module.hasPrefix(prefix) {
      return ["unet.\(module.dropFirst(prefix.count))"]
    }
    if module.hasPrefix("text_encoder."),
      case .one(let name) = KeyMap.diffusers("text_encoder", String(module.dropFirst("text_encoder.".count)))
    {
      return [module, name]
    }
    return [module, "unet.\(module)"]
  }
}
