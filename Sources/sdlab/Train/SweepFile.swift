import Engine
import Foundation
import Yams

/// A sweep as its file tells it: one kind of training, what all have in common, and what is tried.
struct SweepFile {
  /// Name of a training verb: `ldm`.
  let kind: String
  /// Options of every training, in the file's order; nil for a flag.
  let common: [Option]
  /// Options that are tried, each with its values.
  let tried: [(name: String, values: [String])]

  struct Option: Equatable {
    let name: String
    let value: String?
  }

  static let kinds = ["vae", "ldm", "lora", "textual-inversion", "classifier"]
  /// More trainings than anybody waits for.
  private static let most = 1000

  /// - Throws: `InputError` with the line of what is wrong.
  init(_ url: URL) throws {
    let path = url.relativePath
    guard let text = try? String(contentsOf: url, encoding: .utf8) else { throw InputError(.missing, "\(path): cannot be read as text") }
    try self.init(text, path)
  }

  init(_ text: String, _ path: String) throws {
    let root: Yams.Node?
    do { root = try Yams.compose(yaml: text) } catch {
      throw InputError(.badData, "\(path): not YAML: \("\(error)".split(separator: "\n").first.map(String.init) ?? "")")
    }
    func wrong(_ node: Yams.Node?, _ text: String) -> InputError {
      InputError(
        .badData, "\(path)\(node?.mark.map { ": line \($0.line)" } ?? ""): \(text)", hint: "`sdlab train sweep --help` has an example")
    }
    guard let map = root?.mapping else { throw wrong(root, "expected train, options and try") }
    for (key, _) in map where !["train", "options", "try"].contains(key.string ?? "") {
      throw wrong(key, "\(key.string ?? "a key"): expected train, options or try")
    }
    let kind = map["train"]?.string ?? ""
    guard Self.kinds.contains(kind) else { throw wrong(map["train"], "train: expected \(Self.kinds.joined(separator: ", "))") }
    func scalar(_ node: Yams.Node, _ name: String) throws -> String {
      guard let value = node.scalar?.string else { throw wrong(node, "\(name): expected a value") }
      return value
    }
    var common: [Option] = []
    if let options = map["options"] {
      guard let pairs = options.mapping else { throw wrong(options, "options: expected names and values") }
      for (key, node) in pairs {
        let name = try scalar(key, "options")
        switch try scalar(node, name) {
        case "true": common.append(Option(name: name, value: nil))
        case "false": break
        case let value: common.append(Option(name: name, value: value))
        }
      }
    }
    guard let pairs = map["try"]?.mapping, !pairs.isEmpty else {
      throw wrong(map["try"] ?? root, "try: expected options, each with a list of values")
    }
    let tried = try pairs.map { key, node -> (String, [String]) in
      let name = try scalar(key, "try")
      guard let list = node.sequence, !list.isEmpty else { throw wrong(node, "\(name): expected a list of values") }
      let values = try list.map { try scalar($0, name) }
      guard Set(values).count == values.count else { throw wrong(node, "\(name): a value stands there twice") }
      return (name, values)
    }
    for name in ["out", "o", "json", "quiet", "q", "dry-run"]
    where common.contains(where: { $0.name == name }) || tried.contains(where: { $0.0 == name }) {
      throw wrong(nil, "\(name): the sweep gives it itself")
    }
    if let both = tried.first(where: { option in common.contains { $0.name == option.0 } }) {
      throw wrong(nil, "\(both.0): is among the options and is tried")
    }
    let count = tried.reduce(1) { $0.multipliedReportingOverflow(by: $1.1.count).partialValue }
    guard (1...Self.most).contains(count) else { throw wrong(map["try"], "\(count) trainings, expected at most \(Self.most)") }
    (self.kind, self.common, self.tried) = (kind, common, tried.map { (name: $0.0, values: $0.1) })
  }

  /// All combinations, the last option changing first.
  var trials: [[Option]] {
    tried.reduce([[]]) { trials, option in
      trials.flatMap { trial in option.values.map { trial + [Option(name: option.name, value: $0)] } }
    }
  }
}
