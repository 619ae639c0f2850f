import Analysis
import ArgumentParser
import Engine
import Foundation

/// What every verb says and to whom.
struct ReportOptions: ParsableArguments {
  @Flag(help: "Print one line of JSON on standard output instead of text for people.")
  var json = false

  @Flag(name: [.long, .short], help: "Say nothing on standard error but errors: no progress, no warnings.")
  var quiet = false

  func warn(_ text: String) { if !quiet { Terminal.warning(text) } }
}

/// Where the result goes.
struct OutputOptions: ParsableArguments {
  @Option(
    name: [.customLong("output"), .short],
    help: ArgumentHelp(
      "The PNG file to write, or an existing folder. Several pictures get a number before the extension. Default: a name made of the prompt and "
        + "the seed, in the working folder.", valueName: "out.png"))
  var output: String?

  @Flag(name: [.long, .short], help: "Overwrite files that are there. Without it nothing is ever overwritten.")
  var force = false

  @Flag(help: "Compute and write nothing; print what it would take: passes through the network, FLOPs, memory, disk and time.")
  var dryRun = false
}

/// Files to be written, checked before anything is computed for them.
enum OutputFile {
  /// - Throws: `InputError` (cannot write) when something is there already, the folder is missing or not writable.
  static func check(_ urls: [URL], force: Bool) throws {
    var seen: Set<String> = []
    for url in urls {
      guard seen.insert(url.standardizedFileURL.path).inserted else {
        throw InputError(.usage, "\(url.relativePath): two results would have this name", hint: "give -o and --latents-out different names")
      }
      try check(url, force: force)
    }
  }

  private static func check(_ url: URL, force: Bool) throws {
    let path = url.relativePath
    var status = stat()
    if stat(path, &status) == 0 {
      switch status.st_mode & S_IFMT {
      case S_IFDIR: throw InputError(.cannotWrite, "\(path): is a folder", hint: "name a file")
      case S_IFREG where !force:
        throw InputError(.cannotWrite, "\(path): is there already", hint: "-f overwrites it, -o names another file")
      default: return
      }
    }
    let folder = url.deletingLastPathComponent().path
    guard stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw InputError(.cannotWrite, "\(path): there is no folder \(folder)", hint: "make it first: mkdir -p \(folder)")
    }
    guard access(folder, W_OK | X_OK) == 0 else {
      throw InputError(.cannotWrite, "\(path): cannot be written: \(String(cString: strerror(errno)))", hint: "choose another folder")
    }
  }

  /// An .npy file a name in a folder, which is made when it is not there: `red house` as `red house.npy`; what no file name may have becomes an underscore.
  /// - Throws: `InputError` (cannot write) when the folder cannot be made; as `check`.
  static func arrays(_ names: [String], in path: String, force: Bool) throws -> [URL] {
    let folder = URL(fileURLWithPath: path)
    do { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) } catch {
      throw InputError(.cannotWrite, "\(path): cannot be made: \(error.localizedDescription)")
    }
    let urls = names.map { name in
      let safe = name.map { "/\\:\0".contains($0) || $0.isNewline ? "_" : $0 }
      let short = String(safe.prefix(80))
      return folder.appendingPathComponent((short.allSatisfy { $0 == "." } ? "_" : short) + ".npy")
    }
    try check(urls, force: force)
    return urls
  }

  /// `given`, or `name` in the folder `given`, or `name` in the working folder.
  /// - Throws: `InputError` (usage) for the extension of another picture format.
  static func picture(_ given: String?, default name: String) throws -> URL {
    guard let given else { return URL(fileURLWithPath: name) }
    var isFolder: ObjCBool = false
    if given.hasSuffix("/") || (FileManager.default.fileExists(atPath: given, isDirectory: &isFolder) && isFolder.boolValue) {
      return URL(fileURLWithPath: given).appendingPathComponent(name)
    }
    guard !given.isEmpty else { throw InputError(.usage, "-o: expected a file name, found nothing") }
    let url = URL(fileURLWithPath: given)
    guard !["jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic"].contains(url.pathExtension.lowercased()) else {
      throw InputError(.usage, "\(given): pictures are written as PNG", hint: "give a name that ends in .png")
    }
    return url
  }

  /// `out.png` and `42` as `out-42.png`.
  static func numbered(_ url: URL, _ number: String) -> URL {
    let stem = url.deletingPathExtension().lastPathComponent
    let name = url.pathExtension.isEmpty ? "\(stem)-\(number)" : "\(stem)-\(number).\(url.pathExtension)"
    let folder = url.relativePath.dropLast(url.lastPathComponent.count)
    return URL(fileURLWithPath: folder + name)
  }

  /// A file name out of a text, at most 60 bytes.
  static func slug(_ text: String) -> String { RunStore.slug(text, bytes: 60, absent: "picture") }
}
