extension Array where Element == UInt8 {
  /// Four bytes at `i`, most significant first. The caller has checked that they are there.
  func bigEndian32(_ i: Int) -> UInt32 {
    UInt32(self[i]) << 24 | UInt32(self[i + 1]) << 16 | UInt32(self[i + 2]) << 8 | UInt32(self[i + 3])
  }
}

extension ArraySlice where Element == UInt8 {
  /// Whether the slice begins with these characters.
  func begins(with text: String) -> Bool { starts(with: text.utf8) }

  /// The text in Latin-1, in which every byte is a character.
  var latin1: String {
    var out = ""
    out.unicodeScalars.append(contentsOf: lazy.map { Unicode.Scalar($0) })
    return out
  }

  /// What stands before the first NUL and what after it; nil when there is no NUL.
  func splitAtNUL() -> (before: Self, after: Self)? {
    firstIndex(of: 0).map { (self[..<$0], self[index(after: $0)...]) }
  }
}
