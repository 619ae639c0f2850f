import Foundation

/// The licence of a model, where its files name one: the head of a folder's README.md as the hub has it (`license: creativeml-openrail-m`), or
/// `modelspec.license` in a safetensors file's metadata.
public struct ModelLicence: Sendable, Equatable {
  public let name: String
  /// The file that names it.
  public let file: String

  /// nil when no file says.
  public init?(_ source: ModelSource) {
    if let folder = source.folder {
      if let embedded = try? Resources.embeddedModel(), folder.standardizedFileURL == embedded.standardizedFileURL {
        (name, file) = ("MIT", "LICENSE of sdlab")
        return
      }
      let card = folder.appendingPathComponent("README.md")
      if let text = try? String(contentsOf: card, encoding: .utf8), let name = Self.inHead(of: text) {
        (self.name, file) = (name, card.relativePath)
        return
      }
    }
    for url in source.files where url.pathExtension == "safetensors" {
      if let name = (try? Safetensors.read(url))?.metadata["modelspec.license"], let line = Self.line(name) {
        (self.name, file) = (line, url.relativePath)
        return
      }
    }
    return nil
  }

  /// Between the two lines of dashes, the plain `key: value` lines; `license_name` says what `license: other` means. More of YAML is not needed here.
  static func inHead(of card: String) -> String? {
    let lines = card.split(separator: "\n", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
    guard lines.first == "---", let end = lines.dropFirst().firstIndex(of: "---") else { return nil }
    func value(_ key: String) -> String? {
      lines[1..<end].first { $0.hasPrefix("\(key):") }.flatMap { line($0.dropFirst(key.count + 1)) }
    }
    let licence = value("license")
    return licence == "other" ? value("license_name") ?? licence : licence
  }

  private static func line(_ text: some StringProtocol) -> String? {
    let bare = text.trimmingCharacters(in: CharacterSet(charactersIn: " \t\r\"'"))
    return bare.isEmpty ? nil : String(bare.prefix(120))
  }
}
