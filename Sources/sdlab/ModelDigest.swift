import Analysis
import Crypto
import Engine
import Foundation

/// SHA-256 over a model's weight files, so that a picture can say which model made it.
///
/// The digest of a single file is the file's own, as other programs give it; of several files it is the digest of their digests (32 bytes each), in the
/// order text encoder, UNet, VAE. What is added to the weights counts too: LoRAs with how much of them, embeddings with their words. Files are read as a stream, once: results are kept in `$XDG_CACHE_HOME/sdlab/digests.json` under path, size and time
/// of change.
enum ModelDigest {
  static func of(_ source: ModelSource, quiet: Bool) throws -> String {
    let added = source.loras.map { ($0.url, "\($0.weight)") } + source.embeddings.map { ($0.url, $0.token) }
    let digests = try digests(of: source.files + added.map(\.0), quiet: quiet)
    if digests.count == 1, let only = digests.first { return only.hex }
    var all = SHA256()
    for digest in digests { all.update(data: digest) }
    for (_, setting) in added { all.update(data: Data("\(setting)\n".utf8)) }
    return Data(all.finalize()).hex
  }

  /// SHA-256 of one small file, not cached.
  static func of(file: URL) throws -> String {
    try Digest.of(file: file)
  }

  private static func digests(of files: [URL], quiet: Bool) throws -> [Data] {
    var cache = DigestCache()
    let keys = try files.map(DigestCache.key)
    let wanted = zip(files, keys).filter { cache[$0.1.text] == nil }
    let megabytes = wanted.reduce(0) { $0 + $1.1.size >> 20 }
    // Below a second or so a bar would only flicker.
    var bar = megabytes > 500 ? ProgressBar("hashing the model (once)", total: megabytes, quiet: quiet) : nil
    for (file, key) in wanted {
      var unreported = 0
      cache[key.text] = try Digest.bytes(of: file) { count in
        unreported += count
        bar?.advance(by: unreported >> 20)
        unreported &= (1 << 20) - 1
      }
    }
    if !wanted.isEmpty { cache.save() }
    return keys.compactMap { cache[$0.text] }
  }
}

/// Digests of files that have not changed since. A cache that cannot be read or written is as good as an empty one.
private struct DigestCache {
  private var entries: [String: String] = [:]
  private let url: URL?

  init() {
    let environment = ProcessInfo.processInfo.environment
    let root =
      environment["XDG_CACHE_HOME"].flatMap { $0.hasPrefix("/") ? URL(fileURLWithPath: $0) : nil }
      ?? environment["HOME"].flatMap { $0.isEmpty ? nil : URL(fileURLWithPath: $0).appendingPathComponent(".cache") }
    url = root?.appendingPathComponent("sdlab/digests.json")
    if let url, let data = try? Data(contentsOf: url), data.count < 16 << 20 {
      entries = (try? JSONDecoder().decode([String: String].self, from: data)) ?? [:]
    }
  }

  /// What a file is known by as long as nobody changes it.
  static func key(_ file: URL) throws -> (text: String, size: Int) {
    let path = file.resolvingSymlinksInPath().path
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw InputError(.missing, "\(file.relativePath): cannot be read: \(String(cString: strerror(errno)))")
    }
    let time = status.st_mtim
    return ("\(path) \(status.st_size) \(time.tv_sec).\(time.tv_nsec)", Int(status.st_size))
  }

  subscript(_ key: String) -> Data? {
    get { entries[key].flatMap(Data.init(hex:)).flatMap { $0.count == 32 ? $0 : nil } }
    set { entries[key] = newValue?.hex }
  }

  func save() {
    guard let url, let data = try? JSONEncoder().encode(entries) else { return }
    try? FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try? AtomicFile.write(data, to: url)
  }
}

extension Data {
  fileprivate var hex: String { Digest.hex(self) }

  fileprivate init?(hex: String) {
    let digits = hex.compactMap(\.hexDigitValue)
    guard digits.count == hex.count, digits.count % 2 == 0 else { return nil }
    self = Data(stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
  }
}
