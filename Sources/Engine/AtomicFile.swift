import Foundation

/// Writes a file whole or not at all: under a temporary name in the same folder, then fsync and rename.
public enum AtomicFile {
  /// Where `write`'s body puts the bytes.
  public struct Sink {
    fileprivate let path: String
    fileprivate let descriptor: Int32
    fileprivate let system: (Int32, UnsafeRawPointer, Int) -> Int

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
      var rest = bytes
      while let from = rest.baseAddress, rest.count > 0 {
        let written = system(descriptor, from, min(rest.count, 1 << 30))
        if written < 0, errno == EINTR { continue }
        guard written > 0 else { throw AtomicFile.problem(path, written == 0 ? ENOSPC : errno) }
        rest = UnsafeRawBufferPointer(rebasing: rest[written...])
      }
    }

    public func write(_ text: String) throws {
      var text = text
      try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }
  }

  /// - Throws: what `body` throws, or `InputError(.cannotWrite)`; then nothing is left behind and an older file stays as it was.
  public static func write(to url: URL, _ body: (Sink) throws -> Void) throws {
    try write(to: url, through: { Foundation.write($0, $1, $2) }, body)
  }

  public static func write(_ bytes: some ContiguousBytes, to url: URL) throws {
    try write(to: url) { sink in try bytes.withUnsafeBytes { try sink.write($0) } }
  }

  /// Removes the temporary files of writes under way, and lets no write begin any more: for the moment before an interrupted program ends.
  public static func removeUnfinished() { unfinished.removeFiles() }

  /// `system` is the call that writes; tests put a full disk in its place.
  static func write(
    to url: URL, through system: @escaping (Int32, UnsafeRawPointer, Int) -> Int, _ body: (Sink) throws -> Void
  ) throws {
    var status = stat()
    if stat(url.path, &status) == 0 {
      switch status.st_mode & S_IFMT {
      case S_IFDIR: throw problem(url.path, EISDIR)
      case S_IFREG: break
      default: return try writeThrough(url, system, body)
      }
    }
    // A link stays a link: what it points to is replaced.
    let target = url.resolvingSymlinksInPath()
    let folder = target.deletingLastPathComponent().path
    // Hidden, so that nobody takes it for a result; with the process' number and a random one, so that two writers do not meet; its name has
    // at most 255 bytes.
    let stem = String(decoding: target.lastPathComponent.utf8.prefix(100), as: UTF8.self)
    let temporary = "\(folder)/.\(stem).\(getpid()).\(UInt32.random(in: 0...UInt32.max)).part"
    unfinished.insert(temporary)
    // A file without a name vanishes by itself when the process is killed. Not every file system can do it.
    let nameless = open(folder, O_WRONLY | O_CLOEXEC | anonymous, 0o666)
    let descriptor = nameless >= 0 ? nameless : open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      let code = errno
      unfinished.remove(temporary)
      throw problem(url.path, code)
    }
    var done = false
    defer {
      close(descriptor)
      if !done { unlink(temporary) }
      unfinished.remove(temporary)
    }
    try body(Sink(path: url.path, descriptor: descriptor, system: system))
    guard fsync(descriptor) == 0 else { throw problem(url.path, errno) }
    if nameless >= 0 {
      guard linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) == 0 else {
        throw problem(url.path, errno)
      }
    }
    guard rename(temporary, target.path) == 0 else { throw problem(url.path, errno) }
    done = true
  }

  /// Devices and pipes (`/dev/null`, `/dev/stdout`) are written to as they are: a rename would put a file in their place.
  private static func writeThrough(
    _ url: URL, _ system: @escaping (Int32, UnsafeRawPointer, Int) -> Int, _ body: (Sink) throws -> Void
  ) throws {
    let descriptor = open(url.path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw problem(url.path, errno) }
    defer { close(descriptor) }
    try body(Sink(path: url.path, descriptor: descriptor, system: system))
  }

  /// O_TMPFILE: Swift does not import the macro. 0x400000 on x86-64 and arm64, together with O_DIRECTORY.
  private static let anonymous = 0o20000000 | O_DIRECTORY

  private static func problem(_ path: String, _ code: Int32) -> InputError {
    let hint =
      switch code {
      case ENOSPC: "make room on the disk or choose another folder"
      case ENOENT: "make the folder first"
      case EISDIR: "name a file"
      default: "choose another folder"
      }
    return InputError(.cannotWrite, "\(path): cannot be written: \(String(cString: strerror(code)))", hint: hint)
  }

  private static let unfinished = Unfinished()

  /// For folders that are filled under a temporary name, and for files in them that are written without `write`: nothing begins any more once an
  /// interrupted program cleans up.
  package static func willWrite(_ path: String) { unfinished.insert(path) }
  package static func hasWritten(_ path: String) { unfinished.remove(path) }

  /// Names of temporary files and folders that exist now.
  private final class Unfinished: @unchecked Sendable {
    private let lock = NSLock()
    private var paths: Set<String> = []
    func insert(_ path: String) { lock.withLock { _ = paths.insert(path) } }
    func remove(_ path: String) { lock.withLock { _ = paths.remove(path) } }
    func removeFiles() {
      // Never unlocked: whoever wants to begin a file now waits for the end.
      lock.lock()
      for p in paths where unlink(p) != 0 {
        // A file that another thread was just writing may still appear in the folder.
        for _ in 0..<5 where access(p, F_OK) == 0 { try? FileManager.default.removeItem(atPath: p) }
      }
    }
  }
}
