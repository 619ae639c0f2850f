import Foundation

/// The bytes of a file, mapped read-only into memory, or a copy of bytes that somebody has in memory (tests, fuzzing).
///
/// Pages come into memory when they are read and belong to the system's file cache. A file that is cut short by another program while it
/// is mapped stops this process (SIGBUS): weights are replaced by renaming, not by rewriting.
public final class FileBytes: @unchecked Sendable {
  /// The path, for error lines.
  public let name: String
  let base: UnsafeRawPointer
  public let count: Int
  private let isMapped: Bool

  /// - Throws: `InputError` when the file is absent, not an ordinary file, or cannot be read.
  public init(mapping url: URL) throws {
    name = url.path
    // O_NONBLOCK: opening a named pipe must not wait for a writer.
    let descriptor = open(url.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw InputError(.missing, "\(url.path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw InputError(.missing, "\(url.path): not an ordinary file")
    }
    count = Int(status.st_size)
    if count == 0 {
      // mmap refuses an empty range.
      base = UnsafeRawPointer(UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 64))
      isMapped = false
    } else {
      guard let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
        throw InputError(.missing, "\(url.path): cannot be mapped into memory: \(String(cString: strerror(errno)))")
      }
      base = UnsafeRawPointer(address)
      isMapped = true
    }
  }

  public init(copying bytes: UnsafeRawBufferPointer, name: String) {
    self.name = name
    count = bytes.count
    let copy = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1), alignment: 64)
    if let source = bytes.baseAddress { copy.copyMemory(from: source, byteCount: count) }
    base = UnsafeRawPointer(copy)
    isMapped = false
  }

  public static func copying(_ data: Data, name: String) -> FileBytes {
    data.withUnsafeBytes { FileBytes(copying: $0, name: name) }
  }

  deinit {
    if isMapped { munmap(UnsafeMutableRawPointer(mutating: base), count) } else { base.deallocate() }
  }

  var all: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// A copy, which does not need the file.
  var data: Data { withExtendedLifetime(self) { Data(all) } }

  /// Gives the memory of the whole pages inside `range` back; they are read again from the file when somebody touches them.
  func releasePages(_ range: Range<Int>) {
    guard isMapped else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let from = (range.lowerBound + page - 1) / page * page
    // The last page of the file belongs to nobody else.
    let to = range.upperBound == count ? count : range.upperBound / page * page
    if from < to { madvise(UnsafeMutableRawPointer(mutating: base + from), to - from, MADV_DONTNEED) }
  }
}
