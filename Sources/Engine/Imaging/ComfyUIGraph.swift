import Foundation

/// A ComfyUI graph: nodes with inputs that are values or links to other nodes.
///
/// `prompt` is `{"3": {"class_type": "KSampler", "inputs": {"seed": 1, "positive": ["6", 0]}}}`; `workflow` is what the editor saves, with
/// values in the order of each node's widgets, which we know for the nodes that matter.
struct ComfyUIGraph {
  indirect enum Value {
    case string(String)
    case number(NSNumber)
    case link(String)

    var string: String? { if case .string(let s) = self { s } else { nil } }
    var double: Double? { if case .number(let n) = self, n.doubleValue.isFinite { n.doubleValue } else { nil } }
    var int: Int? { double.flatMap { Int(exactly: $0) } }
    var seed: UInt64? { if case .number(let n) = self { UInt64(n.stringValue) } else { nil } }
  }

  struct Node {
    let type: String
    var inputs: [String: Value]
  }

  private var nodes: [String: Node] = [:]
  static let maximumNodes = 20_000

  init?(_ json: String) {
    guard let top = (try? JSONSerialization.jsonObject(with: Data(json.utf8))) as? [String: Any] else { return nil }
    if let list = top["nodes"] as? [Any] { readWorkflow(list, links: top["links"] as? [Any] ?? []) } else { readPrompt(top) }
  }

  private mutating func readPrompt(_ top: [String: Any]) {
    guard top.count <= Self.maximumNodes else { return }
    for (id, value) in top {
      guard let object = value as? [String: Any], let type = object["class_type"] as? String else { continue }
      var inputs: [String: Value] = [:]
      for (key, v) in object["inputs"] as? [String: Any] ?? [:] {
        if let link = v as? [Any] {
          if let from = link.first.flatMap({ Self.identifier($0) }) { inputs[key] = .link(from) }
        } else {
          inputs[key] = Self.widget(v)
        }
      }
      nodes[id] = Node(type: type, inputs: inputs)
    }
  }

  /// The widgets of the nodes that matter, in the editor's order; an empty name is a control that is no input.
  private static let widgets: [String: [String]] = [
    "KSampler": ["seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"],
    "KSamplerAdvanced": ["add_noise", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler"],
    "CLIPTextEncode": ["text"],
    "EmptyLatentImage": ["width", "height", "batch_size"],
    "CheckpointLoaderSimple": ["ckpt_name"],
    "CLIPSetLastLayer": ["stop_at_clip_layer"],
    "PrimitiveNode": ["value"],
  ]

  private mutating func readWorkflow(_ list: [Any], links: [Any]) {
    guard list.count <= Self.maximumNodes, links.count <= 10 * Self.maximumNodes else { return }
    var origin: [String: String] = [:]  // link -> node it comes from
    for link in links {
      guard let l = link as? [Any], l.count >= 2, let id = Self.identifier(l[0]), let from = Self.identifier(l[1]) else { continue }
      origin[id] = from
    }
    for entry in list {
      guard let object = entry as? [String: Any], let id = object["id"].flatMap(Self.identifier), let type = object["type"] as? String
      else { continue }
      // Muted (2) and bypassed (4) nodes did not run.
      if let mode = (object["mode"] as? NSNumber)?.intValue, mode == 2 || mode == 4 { continue }
      var inputs: [String: Value] = [:]
      for (name, v) in zip(Self.widgets[type] ?? [], object["widgets_values"] as? [Any] ?? []) where !name.isEmpty {
        inputs[name] = Self.widget(v)
      }
      for slot in object["inputs"] as? [Any] ?? [] {
        guard let s = slot as? [String: Any], let name = s["name"] as? String, let link = s["link"].flatMap(Self.identifier) else {
          continue
        }
        if let from = origin[link] { inputs[name] = .link(from) }
      }
      nodes[id] = Node(type: type, inputs: inputs)
    }
  }

  private static func widget(_ v: Any) -> Value? {
    if let s = v as? String { return .string(s) }
    if let n = v as? NSNumber { return .number(n) }
    return nil
  }

  private static func identifier(_ v: Any) -> String? { (v as? String) ?? (v as? NSNumber)?.stringValue }

  // MARK: Reading the graph

  private var samplerIDs: [String] {
    nodes.filter { $0.value.type.hasPrefix("KSampler") && $0.value.inputs["steps"] != nil }.map(\.key)
  }

  /// How many samplers the graph has.
  var samplers: Int { samplerIDs.count }

  /// The sampler that no other sampler feeds; of several the one with the lowest number.
  var sampler: Node? {
    let ids = samplerIDs.sorted { ($0.count, $0) < ($1.count, $1) }
    let root = ids.prefix(64).first { id in
      first(behind: nodes[id]?.inputs["latent_image"], where: { $0.type.hasPrefix("KSampler") }) == nil
    }
    return (root ?? ids.first).flatMap { nodes[$0] }
  }

  /// The value itself, or that of the primitive node it comes from.
  func resolved(_ value: Value?) -> Value? {
    guard case .link(let id) = value, let node = nodes[id] else {
      if case .link = value { return nil }
      return value
    }
    for key in ["value", "text", "string", "seed", "int", "float"] {
      if let v = node.inputs[key] { if case .link = v { return nil } else { return v } }
    }
    return nil
  }

  /// The first text on the way back along the links.
  func text(behind value: Value?) -> String? {
    guard let node = first(behind: value, where: { resolved($0.inputs["text"])?.string != nil }) else { return nil }
    return resolved(node.inputs["text"])?.string
  }

  /// Breadth first along the links; every node is seen once, so that loops end.
  func first(behind value: Value?, where wanted: (Node) -> Bool) -> Node? {
    guard case .link(let start) = value else { return nil }
    var queue = [start]
    var seen: Set<String> = [start]
    var at = 0
    while at < queue.count {
      guard let node = nodes[queue[at]] else {
        at += 1
        continue
      }
      if wanted(node) { return node }
      at += 1
      for key in node.inputs.keys.sorted() {
        if case .link(let next) = node.inputs[key], seen.insert(next).inserted { queue.append(next) }
      }
    }
    return nil
  }
}
