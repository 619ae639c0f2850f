import Engine
import Foundation

/// The folder that holds the runs, by default `runs` in the working folder. Every finished pass is a run.
public struct RunStore: Sendable {
  public let root: URL

  public init(_ root: URL) { self.root = root }

  /// Where a run of this specification lies: a name for people and the beginning of the specification's digest.
  public func place(_ spec: RunSpec) throws -> URL {
    let name = Self.slug(spec.parameters.prompt, bytes: 48, absent: "run")
    return root.appendingPathComponent("\(name)-\(spec.parameters.seed)-\(try spec.digest().prefix(8))")
  }

  /// The run of this specification, when it is there and whole. A damaged one counts as absent.
  public func find(_ spec: RunSpec) throws -> RunFolder? {
    guard let run = try? RunFolder(place(spec)), run.manifest.specSha256 == (try spec.digest()) else { return nil }
    return run
  }

  /// All runs by name, and the folders that hold none that could be read, with the reason.
  public func list() throws -> (runs: [RunFolder], damaged: [(url: URL, reason: InputError)]) {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: root.path) else { return ([], []) }
    var runs: [RunFolder] = []
    var damaged: [(URL, InputError)] = []
    for name in names.sorted() where !name.hasPrefix(".") {
      let url = root.appendingPathComponent(name)
      guard FileManager.default.fileExists(atPath: url.appendingPathComponent("manifest.json").path) else { continue }
      do { runs.append(try RunFolder(url)) } catch let error as InputError { damaged.append((url, error)) }
    }
    return (runs, damaged)
  }

  /// Opens a run by its path, or by its name in the store, whole or the beginning of it.
  /// - Throws: `InputError` when there is none, or more than one begins so.
  public func open(_ name: String) throws -> RunFolder {
    if FileManager.default.fileExists(atPath: name) { return try RunFolder(URL(fileURLWithPath: name)) }
    let exact = root.appendingPathComponent(name)
    if FileManager.default.fileExists(atPath: exact.path) { return try RunFolder(exact) }
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []).filter { !$0.hasPrefix(".") }.sorted()
    let beginning = names.filter { $0.hasPrefix(name) }
    if beginning.count == 1 { return try RunFolder(root.appendingPathComponent(beginning[0])) }
    if beginning.count > 1 {
      throw InputError(.usage, "\(beginning.count) runs begin with '\(name)'", hint: beginning.prefix(4).joined(separator: ", "))
    }
    let near = EditDistance.nearest(to: name, among: names, count: 3)
    throw InputError(
      .missing, "no run '\(name)' in \(root.relativePath)",
      hint: near.isEmpty ? "`sdlab trace \"PROMPT\"` makes one" : "did you mean \(near.joined(separator: ", "))?")
  }

  /// True when the text names a run rather than being a prompt: it is a folder here or in the store, it is written like a path, or it is the beginning of a
  /// run's name with at least one dash. A mistyped path must not become a prompt.
  public func names(_ text: String) -> Bool {
    var isFolder: ObjCBool = false
    func there(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue }
    if text.isEmpty { return false }
    if there(text) { return true }
    if text.contains(" ") { return false }
    if there(root.appendingPathComponent(text).path) { return true }
    if ["/", "./", "../", root.lastPathComponent + "/"].contains(where: text.hasPrefix) { return true }
    guard text.contains("-"), let names = try? FileManager.default.contentsOfDirectory(atPath: root.path) else { return false }
    return names.contains { $0.hasPrefix(text) }
  }

  /// A file name out of a text: letters and digits of any script, everything else a dash; `absent` where nothing is left.
  public static func slug(_ text: String, bytes: Int, absent: String) -> String {
    var out = ""
    for character in text.lowercased() {
      let kept = character.isLetter || character.isNumber
      if !kept && (out.isEmpty || out.hasSuffix("-")) { continue }
      let next = kept ? String(character) : "-"
      if out.utf8.count + next.utf8.count > bytes { break }
      out += next
    }
    while out.hasSuffix("-") { out.removeLast() }
    return out.isEmpty ? absent : out
  }
}
