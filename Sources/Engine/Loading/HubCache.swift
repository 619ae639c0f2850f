import Foundation

/// Models that Hugging Face's tools have downloaded to this machine. Read only, never the network.
struct HubCache {
  /// Folders that hold `models--org--name`, in the order they are searched.
  let roots: [URL]

  /// The variables of huggingface_hub, in its order of precedence.
  init(environment: [String: String]) {
    func folder(_ key: String, _ inner: String = "") -> URL? {
      guard let path = environment[key], !path.isEmpty else { return nil }
      let home = environment["HOME"] ?? NSHomeDirectory()
      let expanded = path == "~" || path.hasPrefix("~/") ? home + path.dropFirst() : path
      return URL(fileURLWithPath: expanded).appendingPathComponent(inner)
    }
    let all = [
      folder("HF_HUB_CACHE"), folder("HUGGINGFACE_HUB_CACHE"), folder("HF_HOME", "hub"), folder("XDG_CACHE_HOME", "huggingface/hub"),
      folder("HOME", ".cache/huggingface/hub") ?? URL(fileURLWithPath: NSHomeDirectory()).appendingPathComponent(".cache/huggingface/hub"),
    ]
    var seen: Set<String> = []
    roots = all.compactMap { $0 }.filter { seen.insert($0.path).inserted }
  }

  /// `org/name` with the letters that the hub allows.
  static func isName(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    return parts.count == 2
      && parts.allSatisfy { part in
        !part.isEmpty && part != "." && part != ".."
          && part.unicodeScalars.allSatisfy {
            ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0) || "._-".unicodeScalars.contains($0)
          }
      }
  }

  /// The folder of the model's snapshot that `refs/main` names, or of its only snapshot.
  ///
  /// - Throws: `InputError(.missing)` with the searched folders and names like this one.
  func snapshot(_ name: String) throws -> URL {
    let folder = "models--" + name.replacingOccurrences(of: "/", with: "--")
    var incomplete: String?
    for root in roots {
      let model = root.appendingPathComponent(folder)
      guard isDirectory(model) else { continue }
      let snapshots = model.appendingPathComponent("snapshots")
      if let commit = reference(model.appendingPathComponent("refs/main")) {
        let url = snapshots.appendingPathComponent(commit)
        if isDirectory(url) { return url }
        incomplete = "\(url.path) is missing"
      } else {
        let all = names(in: snapshots)
        if all.count == 1 { return snapshots.appendingPathComponent(all[0]) }
        incomplete = "\(model.appendingPathComponent("refs/main").path) is missing"
      }
    }
    if let incomplete { throw InputError(.missing, "\(name): incomplete in the local cache: \(incomplete)", hint: "download it again") }
    let near = EditDistance.nearest(to: name, among: models, count: 3, limit: max(3, name.count / 3))
    let found = near.isEmpty ? "" : "; did you mean \(near.joined(separator: " or "))?"
    throw InputError(
      .missing, "\(name): neither a file nor in the local Hugging Face cache (\(roots.map(\.path).joined(separator: ", ")))\(found)",
      hint: "give a folder or a file, or download it first: hf download \(name)")
  }

  /// Names of all cached models.
  var models: [String] {
    Set(roots.flatMap(names(in:)).filter { $0.hasPrefix("models--") }.map { $0.dropFirst(8).replacingOccurrences(of: "--", with: "/") })
      .sorted()
  }

  private func names(in folder: URL) -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted() }

  private func isDirectory(_ url: URL) -> Bool {
    var directory: ObjCBool = false
    return FileManager.default.fileExists(atPath: url.path, isDirectory: &directory) && directory.boolValue
  }

  /// The commit in a reference file: letters and digits only, so that it cannot lead out of the cache.
  private func reference(_ url: URL) -> String? {
    guard let file = try? FileBytes(mapping: url), file.count < 200, let text = String(validating: file.all, as: UTF8.self) else {
      return nil
    }
    let commit = text.trimmingCharacters(in: .whitespacesAndNewlines)
    return !commit.isEmpty && commit.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) } ? commit : nil
  }
}
