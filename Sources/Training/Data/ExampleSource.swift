import Crypto
import Engine
import Foundation

/// A picture and what it shows in words.
public struct Example: Sendable, Equatable {
  public var picture: Picture
  public var caption: String

  public init(picture: Picture, caption: String) {
    self.picture = picture
    self.caption = caption
  }
}

/// Numbered pictures with captions: a folder of one's own, or the endless scenes world.
public protocol ExampleSource: Sendable {
  var count: Int { get }

  /// - Parameters:
  ///   - index: `0..<count`.
  ///   - epoch: how often the data has been gone through before; a source that knows several captions of a picture changes them. The picture stays the same.
  func example(_ index: Int, epoch: Int) throws -> Example

  /// The caption alone.
  func caption(_ index: Int, epoch: Int) throws -> String

  /// What tells examples apart by content: two examples that show the same have the same, whatever their names are.
  func digest(_ index: Int) throws -> ContentDigest
}

extension ExampleSource {
  public func caption(_ index: Int, epoch: Int) throws -> String { try example(index, epoch: epoch).caption }
}

/// SHA-256 of what a picture shows.
public struct ContentDigest: Sendable, Hashable, CustomStringConvertible {
  private let bytes: [UInt8]

  /// Of the pixels and the size: how the file was compressed, and what else is in it, does not matter.
  public init(_ picture: Picture) {
    var hash = SHA256()
    hash.update(data: Array("\(picture.width)x\(picture.height)\n".utf8))
    hash.update(data: picture.pixels)
    bytes = Array(hash.finalize())
  }

  public init(_ text: String) { bytes = Array(SHA256.hash(data: Array(text.utf8))) }

  /// The digest as a number in [0, 1), uniformly distributed over different contents. `salt` gives another one.
  public func unit(salt: UInt64) -> Double {
    var hash = SHA256()
    hash.update(data: bytes)
    hash.update(data: withUnsafeBytes(of: salt.littleEndian) { Array($0) })
    let word = hash.finalize().prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return Double(word >> 11) * 0x1p-53
  }

  public var description: String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}
