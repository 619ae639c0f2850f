import Engine
import Foundation

/// A folder of pictures (PNG and JPEG) with captions, from `metadata.jsonl` (a line a picture, `file_name` and `text`, as Hugging Face's imagefolder
/// has it) or, where there is none, from a .txt file beside each picture; or with classes, from the line's `label`, or the subfolders that pictures lie in (torchvision's ImageFolder).
///
/// Everything is looked at once, at the beginning: a training that runs for hours must not find a broken file in the end.
public struct ImageFolder: ExampleSource {
  /// What becomes of pictures that are the same under different names.
  public enum Duplicates: String, Sendable, CaseIterable {
    /// The folder is refused, with their names.
    case refuse
    /// All stay; a split keeps them on one side.
    case keep
  }

  /// Whether every picture must have a caption.
  public enum Captions: Sendable {
    case required
    /// A picture without a caption has an empty one.
    case optional
    /// Nobody asks for them: all are empty.
    case ignored
    /// The caption is the picture's class.
    case classes
  }

  private struct Entry {
    let url: URL
    let caption: String
  }

  public let folder: URL
  private let entries: [Entry]
  private let digests: [ContentDigest]

  public var count: Int { entries.count }

  /// - Throws: `InputError`: `.missing` for a folder or a picture that is not there; `.badData` for a picture without a caption or with an empty
  ///   one (where captions are required), broken pictures, duplicates, a metadata file that is not one.
  public init(_ folder: URL, duplicates: Duplicates = .refuse, captions: Captions = .required) throws {
    self.folder = folder
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder.path, isDirectory: &isFolder), isFolder.boolValue else {
      throw InputError(.missing, "\(folder.relativePath): no such folder")
    }
    let metadata = folder.appendingPathComponent("metadata.jsonl")
    let hasMetadata = FileManager.default.fileExists(atPath: metadata.path)
    entries =
      switch (hasMetadata, captions) {
      case (true, _): try Self.listed(in: metadata, of: folder, captions)
      case (false, .classes): try Self.sorted(folder)
      case (false, _): try Self.captioned(folder, captions)
      }
    guard !entries.isEmpty else {
      throw InputError(.badData, "\(folder.relativePath): holds no pictures", hint: "PNG and JPEG files are read")
    }
    digests = try Self.inspected(entries.map(\.url))
    if duplicates == .refuse { try Self.refuseDuplicates(entries.map(\.url), digests) }
  }

  public func example(_ index: Int, epoch: Int) throws -> Example {
    Example(picture: try Picture(url: entries[index].url), caption: entries[index].caption)
  }

  public func caption(_ index: Int, epoch: Int) -> String { entries[index].caption }

  public func digest(_ index: Int) throws -> ContentDigest { digests[index] }

  public func url(_ index: Int) -> URL { entries[index].url }

  // MARK: Captions

  private static func listed(in metadata: URL, of folder: URL, _ captions: Captions) throws -> [Entry] {
    struct Line: Decodable {
      let file_name: String
      let text: String?
      let label: Label?
    }
    guard let content = try? String(contentsOf: metadata, encoding: .utf8) else {
      throw InputError(.badData, "\(metadata.relativePath): cannot be read as UTF-8 text")
    }
    var lines: [String: Int] = [:]
    var out: [Entry] = []
    for (i, text) in content.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      if text.allSatisfy(\.isWhitespace) { continue }
      let place = "\(metadata.relativePath): line \(i + 1)"
      guard let line = try? JSONDecoder().decode(Line.self, from: Data(text.utf8)), line.text != nil || captions != .required,
        line.label != nil || captions != .classes
      else {
        throw InputError(
          .badData, "\(place): expected {\"file_name\": …, \"\(captions == .classes ? "label" : "text")\": …}",
          hint: "one JSON object a line")
      }
      if let earlier = lines.updateValue(i + 1, forKey: line.file_name) {
        throw InputError(.badData, "\(place): \(line.file_name) was on line \(earlier) already")
      }
      // Names come from outside: they stay inside the folder.
      let parts = line.file_name.split(separator: "/", omittingEmptySubsequences: false)
      guard !parts.contains(".."), !line.file_name.hasPrefix("/"), !line.file_name.isEmpty else {
        throw InputError(.badData, "\(place): \(line.file_name) does not lie in the folder")
      }
      let words =
        switch captions {
        case .ignored: ""
        case .classes: line.label?.name ?? ""
        case .required, .optional: line.text ?? ""
        }
      out.append(Entry(url: folder.appendingPathComponent(line.file_name), caption: try Self.caption(words, place, captions)))
    }
    return out
  }

  /// A class in `metadata.jsonl`: a word or a number.
  private struct Label: Decodable {
    let name: String

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      if let number = try? value.decode(Int.self) { name = "\(number)" } else { name = try value.decode(String.self) }
    }
  }

  /// The pictures of subfolders, whose names are the classes.
  private static func sorted(_ folder: URL) throws -> [Entry] {
    try names(in: folder).flatMap { name -> [Entry] in
      let inner = folder.appendingPathComponent(name)
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: inner.path, isDirectory: &isFolder), isFolder.boolValue else {
        guard !isPicture(inner) else {
          throw InputError(
            .badData, "\(inner.relativePath): is of no class", hint: "put it into a subfolder, or give all classes in metadata.jsonl")
        }
        return []
      }
      return try names(in: inner).map { inner.appendingPathComponent($0) }.filter(isPicture).map { Entry(url: $0, caption: name) }
    }
  }

  /// What is not hidden, in order.
  private static func names(in folder: URL) throws -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().filter { !$0.hasPrefix(".") }
    } catch {
      throw InputError(.missing, "\(folder.relativePath): cannot be read: \(error.localizedDescription)")
    }
  }

  private static func isPicture(_ url: URL) -> Bool { ["png", "jpg", "jpeg"].contains(url.pathExtension.lowercased()) }

  private static func captioned(_ folder: URL, _ captions: Captions) throws -> [Entry] {
    var stems: [String: String] = [:]
    var out: [Entry] = []
    for name in try names(in: folder) {
      let url = folder.appendingPathComponent(name)
      guard isPicture(url) else { continue }
      if captions == .ignored {
        out.append(Entry(url: url, caption: ""))
        continue
      }
      let stem = url.deletingPathExtension()
      if let other = stems.updateValue(name, forKey: stem.lastPathComponent) {
        throw InputError(.badData, "\(folder.relativePath): \(other) and \(name) would share a caption", hint: "rename one of them")
      }
      let file = stem.appendingPathExtension("txt")
      guard FileManager.default.fileExists(atPath: file.path) else {
        if captions == .optional {
          out.append(Entry(url: url, caption: ""))
          continue
        }
        throw InputError(
          .badData, "\(url.relativePath): has no caption", hint: "write it into \(file.lastPathComponent), or all into metadata.jsonl")
      }
      guard let text = try? String(contentsOf: file, encoding: .utf8) else {
        throw InputError(.badData, "\(file.relativePath): cannot be read as UTF-8 text")
      }
      out.append(Entry(url: url, caption: try caption(text, file.relativePath, captions)))
    }
    return out
  }

  private static func caption(_ text: String, _ place: String, _ captions: Captions) throws -> String {
    let words = text.split(whereSeparator: \.isWhitespace)
    guard !words.isEmpty || captions == .optional || captions == .ignored else {
      throw InputError(.badData, "\(place): the \(captions == .classes ? "label" : "caption") is empty")
    }
    return words.joined(separator: " ")
  }

  // MARK: Pictures

  /// Decodes every picture once. The first problem in the order of the names is told, whichever thread met one first.
  private static func inspected(_ urls: [URL]) throws -> [ContentDigest] {
    try inParallel(urls.count) { ContentDigest(try Picture(url: urls[$0])) }
  }

  private static func refuseDuplicates(_ urls: [URL], _ digests: [ContentDigest]) throws {
    var first: [ContentDigest: Int] = [:]
    var doubles: [(Int, Int)] = []
    for (i, digest) in digests.enumerated() {
      if let earlier = first[digest] { doubles.append((earlier, i)) } else { first[digest] = i }
    }
    guard let (a, b) = doubles.first else { return }
    let others = doubles.count > 1 ? ", and \(doubles.count - 1) more" : ""
    throw InputError(
      .badData, "\(urls[b].relativePath): shows exactly what \(urls[a].lastPathComponent) shows\(others)",
      hint: "take one away, or keep duplicates: a split leaves them on one side")
  }
}
