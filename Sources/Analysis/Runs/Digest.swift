import Crypto
import Engine
import Foundation

/// SHA-256 in lower-case hexadecimal.
public enum Digest {
  public static func of(_ data: Data) -> String { hex(SHA256.hash(data: data)) }

  /// Of a file, read as a stream.
  /// - Throws: `InputError` (missing) when it cannot be read.
  public static func of(file: URL) throws -> String { hex(try bytes(of: file)) }

  /// The 32 bytes themselves.
  /// - Parameter progress: called with the number of bytes read since the last call.
  public static func bytes(of file: URL, progress: (Int) -> Void = { _ in }) throws -> Data {
    func fail(_ code: Int32) -> InputError {
      InputError(.missing, "\(file.relativePath): cannot be read: \(String(cString: strerror(code)))")
    }
    let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw fail(errno) }
    defer { close(descriptor) }
    var hash = SHA256()
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    while true {
      let n = read(descriptor, buffer.baseAddress, buffer.count)
      if n < 0 && errno == EINTR { continue }
      guard n >= 0 else { throw fail(errno) }
      if n == 0 { return Data(hash.finalize()) }
      hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<n]))
      progress(n)
    }
  }

  public static func hex(_ digest: some Sequence<UInt8>) -> String {
    digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
