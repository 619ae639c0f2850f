/// The two entries of EXIF that we use (CIPA DC-008): how the picture is to be turned, and the user's comment.
struct EXIF {
  /// 1 to 8; 1 when absent or nonsense.
  private(set) var orientation = 1
  /// Without its character code; nil when absent.
  private(set) var userComment: String?

  private let bytes: [UInt8]
  private let little: Bool

  /// From a JPEG file's APP1 segment; nil when there is none.
  init?(jpeg bytes: [UInt8]) {
    for segment in JPEG.segments(bytes) where segment.marker == 0xe1 && bytes[segment.content].begins(with: "Exif\0\0") {
      self.init(tiff: bytes[segment.content].dropFirst(6))
      return
    }
    return nil
  }

  /// From a TIFF structure, as in PNG's eXIf; nil when it is none.
  init?(tiff: ArraySlice<UInt8>) {
    // Some writers keep JPEG's prefix in PNG too.
    bytes = Array(tiff.begins(with: "Exif\0\0") ? tiff.dropFirst(6) : tiff)
    if bytes.starts(with: [0x49, 0x49, 42, 0]) {
      little = true
    } else if bytes.starts(with: [0x4d, 0x4d, 0, 42]) {
      little = false
    } else {
      return nil
    }
    guard let first = int(4, 4) else { return nil }
    for entry in entries(first) {
      if entry.tag == 0x0112, entry.type == 3, entry.count == 1, let v = int(entry.at + 8, 2), (1...8).contains(v) { orientation = v }
      if entry.tag == 0x8769, let exif = int(entry.at + 8, 4) { readComment(exif) }
    }
  }

  private mutating func readComment(_ directory: Int) {
    for entry in entries(directory) where entry.tag == 0x9286 && entry.count >= 8 {
      guard let at = entry.count <= 4 ? entry.at + 8 : int(entry.at + 8, 4), at <= bytes.count, entry.count <= bytes.count - at else {
        continue
      }
      let code = bytes[at..<at + 8]
      let text = bytes[at + 8..<at + entry.count]
      if code.begins(with: "UNICODE") {
        // UTF-16; writers disagree about the byte order: a byte order mark decides, then where the zero bytes of Latin text lie.
        userComment = Self.utf16(text)
      } else {
        userComment = String(decoding: text, as: UTF8.self).trimmingNULs
      }
    }
  }

  private static func utf16(_ text: ArraySlice<UInt8>) -> String {
    let t = Array(text)
    var balance = 0  // zero bytes at even places minus those at odd ones
    for (i, byte) in t.enumerated() where byte == 0 { balance += i % 2 == 0 ? 1 : -1 }
    var big = balance >= 0
    var units = t[...]
    if t.starts(with: [0xfe, 0xff]) || t.starts(with: [0xff, 0xfe]) {
      big = t[0] == 0xfe
      units = t.dropFirst(2)
    }
    let u = Array(units)
    let codes: [UInt16] = stride(from: 0, to: u.count - 1, by: 2).map { i in
      let code = UInt16(u[i]) << 8 | UInt16(u[i + 1])
      return big ? code : code.byteSwapped
    }
    return String(decoding: codes, as: UTF16.self).trimmingNULs
  }

  private struct Entry {
    let tag: Int
    let type: Int
    let count: Int
    let at: Int
  }

  /// The entries of the directory at `offset`; those that do not fit into the file are left out.
  private func entries(_ offset: Int) -> [Entry] {
    guard let count = int(offset, 2) else { return [] }
    return (0..<count).compactMap { i in
      let at = offset + 2 + 12 * i
      guard at + 12 <= bytes.count, let tag = int(at, 2), let type = int(at + 2, 2), let n = int(at + 4, 4) else { return nil }
      return Entry(tag: tag, type: type, count: n, at: at)
    }
  }

  /// `size` bytes at `at` in the file's byte order; nil beyond the end.
  private func int(_ at: Int, _ size: Int) -> Int? {
    guard at >= 0, at <= bytes.count - size else { return nil }
    var value = 0
    for i in 0..<size { value = value << 8 | Int(bytes[at + (little ? size - 1 - i : i)]) }
    return value
  }
}

extension String {
  /// Without NUL characters at the end, with which writers fill up.
  fileprivate var trimmingNULs: String {
    var out = self
    while out.unicodeScalars.last == "\0" { out.unicodeScalars.removeLast() }
    return out
  }
}

extension JPEG {
  /// A marker segment before the first scan.
  struct Segment {
    let marker: UInt8
    let content: Range<Int>
  }

  /// The segments up to the first scan or to where the structure breaks.
  static func segments(_ bytes: [UInt8]) -> [Segment] {
    var found: [Segment] = []
    var at = 2
    while at + 4 <= bytes.count, bytes[at] == 0xff {
      let marker = bytes[at + 1]
      if marker == 0xff {  // fill byte
        at += 1
        continue
      }
      if marker == 0xd9 || marker == 0xda { break }
      if marker == 0x01 || (0xd0...0xd7).contains(marker) {  // no content
        at += 2
        continue
      }
      let length = Int(bytes[at + 2]) << 8 | Int(bytes[at + 3])
      guard length >= 2, at + 2 + length <= bytes.count else { break }
      found.append(Segment(marker: marker, content: at + 4..<at + 2 + length))
      at += 2 + length
    }
    return found
  }
}
