import Crypto
import Engine
import Foundation

/// SHA-256 in lower-case hexadecimal.
public enum Digest {
  public static func of(_ data: Data) -> String { hex(SHA256.hash(data: data)) }

  /// Of a file, read as a stream.
  /// - Throws: `InputError` (missing) when it cannot be read.
  public static func of(file: URL) throws -> String {
    let handle: FileHandle
    do { handle = try FileHandle(forReadingFrom: file) } catch {
      throw InputError(.missing, "\(file.relativePath): cannot be read: \(error.localizedDescription)")
    }
    defer { try? handle.close() }
    var hash = SHA256()
    while let part = try handle.read(upToCount: 1 << 20), !part.isEmpty { hash.update(data: part) }
    return hex(hash.finalize())
  }

  private static func hex(_ digest: some Sequence<UInt8>) -> String {
    digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
