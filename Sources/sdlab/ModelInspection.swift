import Engine
import Foundation

/// What a model consists of. Only headers and configs are read, unless the sites are asked for.
struct ModelInspection {
  private let source: ModelSource
  private let report: ReportOptions
  private let networks: [Network]
  private let added: [Added]

  /// A LoRA and what it changes.
  private struct Added: Encodable {
    let file: String
    let weight: Double
    let changes: [LoRA.Change]
  }

  /// A textual inversion.
  private struct Word: Encodable {
    let file: String
    let word: String
    let vectors: Int
  }

  private struct Network: Encodable {
    let name: String
    let parameters: Int
    let tensors: Int
    /// Number of parameters by type.
    let dtypes: [String: Int]
    /// Key and value of what the config says, in the names of the config's file.
    let config: [String: String]
  }

  init(_ options: ModelOptions, _ report: ReportOptions) throws {
    source = try options.source()
    self.report = report
    if !report.quiet { source.warnings.forEach(Terminal.warning) }
    let configs = [
      "text_encoder": try Self.describe(CLIPTextConfig(source.textEncoderConfig)),
      "unet": try Self.describe(UNetConfig(source.unetConfig)),
      "vae": try Self.describe(VAEConfig(source.vaeConfig)),
    ]
    var found: [Network] = []
    for name in ["text_encoder", "unet", "vae"] {
      let tensors = source.weights.tensors.values.filter { $0.name.hasPrefix("\(name).") }
      var dtypes: [String: Int] = [:]
      for t in tensors { dtypes[t.dtype.rawValue, default: 0] += t.count }
      found.append(
        Network(
          name: name, parameters: tensors.reduce(0) { $0 + $1.count }, tensors: tensors.count, dtypes: dtypes,
          config: Dictionary(uniqueKeysWithValues: configs[name] ?? [])))
    }
    networks = found
    let weights = source.weights
    added = try source.loras.map { Added(file: $0.name, weight: $0.weight, changes: try $0.changes(in: weights)) }
  }

  private var licence: ModelLicence? { ModelLicence(source) }

  private var words: [Word] { source.embeddings.map { Word(file: $0.name, word: $0.token, vectors: $0.vectors.shape[0]) } }

  func print(modules: Bool, sites: Bool) throws {
    let model = sites ? try ModelOptions.load(source, report) : nil
    let tree = ModuleTree(source.weights.tensors.values.map { ($0.name, $0.shape, $0.dtype.rawValue) })
    if report.json {
      return try StandardOutput.json(
        Report(
          kind: "model", name: source.displayName, files: source.files.map(\.path), bytes: fileBytes, networks: networks,
          scheduler: scheduler(),
          tokenizer: source.tokenizerDirectory.path, licence: licence?.name, loras: added, embeddings: words,
          modules: modules ? tree.flat : nil,
          sites: model.map { $0.sites.map { .init(path: $0.path, axes: $0.axes) } }))
    }
    if modules { return try StandardOutput.line(tree.text) }
    if let model { return try StandardOutput.line(table(model.sites.map { [$0.path, "[\($0.axes)]"] })) }
    try StandardOutput.line(
      "\(source.displayName.oneLine): \(source.files.count) \(source.files.count == 1 ? "file" : "files"), \(bytes(Double(fileBytes)))\n")
    let rows = networks.map { n in
      [n.name, grouped(n.parameters), "\(n.tensors)", n.dtypes.sorted { $0.value > $1.value }.map(\.key).joined(separator: ", ")]
    }
    let total = ["together", grouped(networks.reduce(0) { $0 + $1.parameters }), "\(networks.reduce(0) { $0 + $1.tensors })"]
    try StandardOutput.line(table([["network", "parameters", "tensors", "dtype"]] + rows + [total]))
    for network in networks + [Network(name: "scheduler", parameters: 0, tensors: 0, dtypes: [:], config: scheduler())] {
      try StandardOutput.line("\n\(network.name)")
      try StandardOutput.line(table(network.config.sorted { $0.key < $1.key }.map { ["  \($0.key)", $0.value.oneLine] }))
    }
    try StandardOutput.line("\ntokenizer\n  \(source.tokenizerDirectory.path.oneLine)")
    try StandardOutput.line("\nlicence\n  \(licence.map { "\($0.name.oneLine), by \($0.file.oneLine)" } ?? "not named in its files")")
    if let folder = source.folder, let checker = try SafetyChecker(model: folder) {
      try StandardOutput.line("\nsafety checker\n  \(checker.concepts) concepts; `--no-safety-checker` leaves it out")
    }
    for word in words {
      try StandardOutput.line(
        "\n\(word.file.oneLine): the word \(word.word.oneLine), \(word.vectors) \(word.vectors == 1 ? "vector" : "vectors")")
    }
    for adapter in added { try StandardOutput.line("\n" + text(adapter)) }
  }

  /// Numbers of modules by network, then the weights that change most.
  private func text(_ adapter: Added) -> String {
    let counts = ["text_encoder", "unet", "vae"].compactMap { network in
      let n = adapter.changes.count { $0.weight.hasPrefix("\(network).") }
      return n > 0 ? "\(n) weights of the \(network)" : nil
    }
    let most = adapter.changes.sorted { $0.relativeNorm > $1.relativeNorm }.prefix(5)
    let rows = most.map { ["  \($0.weight.oneLine)", "\($0.rank)", decimal($0.alpha, 1), "\(decimal(100 * $0.relativeNorm, 1)) %"] }
    return
      "\(adapter.file.oneLine): a LoRA, \(decimal(adapter.weight, 2)) of it, into \(counts.joined(separator: " and ")); the largest changes:\n"
      + table([["  weight", "rank", "alpha", "change"]] + rows)
  }

  private var fileBytes: Int {
    source.files.reduce(0) { $0 + ((try? FileManager.default.attributesOfItem(atPath: $1.path)[.size] as? Int) ?? 0) }
  }

  private func scheduler() -> [String: String] {
    let c = source.schedulerConfig
    var out: [String: String] = [:]
    for key in ["_class_name", "beta_schedule", "prediction_type", "timestep_spacing"] {
      if let value = try? c.string(key, ""), !value.isEmpty { out[key] = value }
    }
    for key in ["beta_start", "beta_end"] where c.has(key) { if let value = try? c.double(key, 0) { out[key] = "\(value)" } }
    for key in ["num_train_timesteps", "steps_offset"] where c.has(key) { if let value = try? c.int(key, 0) { out[key] = "\(value)" } }
    return out
  }

  /// The values of a config in the order of their declaration.
  private static func describe(_ config: Any) -> [(String, String)] {
    Mirror(reflecting: config).children.compactMap { child in
      guard let label = child.label else { return nil }
      let optional = Mirror(reflecting: child.value)
      if optional.displayStyle == .optional {
        guard let some = optional.children.first else { return nil }
        return (snakeCase(label), "\(some.value)")
      }
      return (snakeCase(label), "\(child.value)")
    }
  }

  private static func snakeCase(_ name: String) -> String {
    name.reduce(into: "") { out, c in out += c.isUppercase && !(out.last?.isUppercase ?? true) ? "_\(c.lowercased())" : c.lowercased() }
  }

  private struct Report: Encodable {
    struct Place: Encodable {
      let path: String
      let axes: String
    }
    let kind: String
    let name: String
    let files: [String]
    let bytes: Int
    let networks: [Network]
    let scheduler: [String: String]
    let tokenizer: String
    let licence: String?
    let loras: [Added]
    let embeddings: [Word]
    let modules: [ModuleTree.Line]?
    let sites: [Place]?
  }
}

/// The modules of a model with their parameters, in the order of their names, numbers as numbers.
struct ModuleTree {
  /// A module for JSON.
  struct Line: Encodable {
    let path: String
    /// Of the module and all below it.
    let parameters: Int
    /// Of the module itself: name and shape.
    let tensors: [String: [Int]]
  }

  private final class Node {
    var children: [String: Node] = [:]
    var tensors: [(name: String, shape: [Int], dtype: String)] = []
    var parameters = 0
  }
  private let root = Node()

  init(_ tensors: [(name: String, shape: [Int], dtype: String)]) {
    for tensor in tensors {
      let parts = tensor.name.split(separator: ".").map(String.init)
      let count = tensor.shape.reduce(1, *)
      var node = root
      for part in parts.dropLast() {
        let next = node.children[part] ?? Node()
        node.children[part] = next
        next.parameters += count
        node = next
      }
      node.tensors.append((parts.last ?? "", tensor.shape, tensor.dtype))
    }
  }

  var flat: [Line] {
    var out: [Line] = []
    walk { path, _, node in
      out.append(
        Line(
          path: path, parameters: node.parameters,
          tensors: Dictionary(node.tensors.map { ($0.name, $0.shape) }, uniquingKeysWith: { a, _ in a })))
    }
    return out
  }

  var text: String {
    var rows: [[String]] = []
    walk { path, depth, node in
      let name = path.split(separator: ".").last.map(String.init) ?? path
      let tensors = node.tensors.sorted { $0.name > $1.name }.map { "\($0.name.oneLine) \($0.shape) \($0.dtype)" }
      rows.append([String(repeating: "  ", count: depth) + name.oneLine, grouped(node.parameters), tensors.joined(separator: ", ")])
    }
    return table(rows.map { $0[2].isEmpty ? Array($0.dropLast()) : $0 })
  }

  private func walk(_ visit: (_ path: String, _ depth: Int, _ node: Node) -> Void) {
    func descend(_ node: Node, _ path: String, _ depth: Int) {
      for (name, child) in node.children.sorted(by: { Self.isBefore($0.key, $1.key) }) {
        let full = path.isEmpty ? name : "\(path).\(name)"
        visit(full, depth, child)
        descend(child, full, depth + 1)
      }
    }
    descend(root, "", 0)
  }

  private static func isBefore(_ a: String, _ b: String) -> Bool {
    if let x = Int(a), let y = Int(b) { return x < y }
    return a < b
  }
}
