import Foundation

/// A folder that is whole or absent: filled under a temporary name beside its place, then renamed.
public final class AtomicFolder {
  /// Where the files go until `commit`.
  public let temporary: URL
  private let target: URL
  private var isDone = false

  /// - Throws: `InputError(.cannotWrite)` when the folder cannot be made.
  public init(_ target: URL) throws {
    self.target = target
    let parent = target.deletingLastPathComponent()
    let name = ".\(target.lastPathComponent.prefix(100)).\(getpid()).\(UInt32.random(in: 0...UInt32.max)).part"
    temporary = parent.appendingPathComponent(name)
    AtomicFile.willWrite(temporary.path)
    do {
      try FileManager.default.createDirectory(at: temporary, withIntermediateDirectories: true)
    } catch {
      AtomicFile.hasWritten(temporary.path)
      throw InputError(
        .cannotWrite, "\(target.relativePath): the folder cannot be made: \(error.localizedDescription)", hint: "choose another folder")
    }
  }

  /// Gives the folder its name; one that is there already is replaced.
  public func commit() throws {
    var status = stat()
    if stat(target.path, &status) == 0 {
      do { try FileManager.default.removeItem(at: target) } catch {
        throw InputError(.cannotWrite, "\(target.relativePath): cannot be replaced: \(error.localizedDescription)")
      }
    }
    guard rename(temporary.path, target.path) == 0 else {
      throw InputError(.cannotWrite, "\(target.relativePath): \(String(cString: strerror(errno)))")
    }
    isDone = true
    AtomicFile.hasWritten(temporary.path)
  }

  deinit {
    if isDone { return }
    try? FileManager.default.removeItem(at: temporary)
    AtomicFile.hasWritten(temporary.path)
  }
}
