/// Reads JSON from bytes, value by value, without building a tree: for safetensors headers, where a key given twice must be seen and a
/// hostile length must not cost memory. The caller asks for what it expects.
struct JSONScanner {
  let bytes: UnsafeRawBufferPointer
  private(set) var at = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  struct Problem: Error { let text: String }

  func problem(_ text: String) -> Problem { Problem(text: "\(text) at byte \(at) of the header") }

  mutating func skipSpace() {
    while at < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[at]) { at += 1 }
  }

  var isAtEnd: Bool { at == bytes.count }

  /// Skips white space and takes `character` if it comes next.
  mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard at < bytes.count, bytes[at] == UInt8(truncatingIfNeeded: character.value) else { return false }
    at += 1
    return true
  }

  mutating func expect(_ character: Unicode.Scalar) throws {
    guard take(character) else { throw problem("expected \(character)") }
  }

  /// A whole number from 0 to 2^63 - 1.
  mutating func whole() throws -> Int {
    skipSpace()
    let start = at
    var value = 0
    while at < bytes.count, (0x30...0x39).contains(bytes[at]) {
      let (tens, high) = value.multipliedReportingOverflow(by: 10)
      let (sum, over) = tens.addingReportingOverflow(Int(bytes[at] - 0x30))
      guard !high, !over else { throw problem("a number beyond 64 bits") }
      value = sum
      at += 1
    }
    guard at > start, at - start == 1 || bytes[start] != 0x30 else { throw problem("expected a whole number") }
    return value
  }

  /// A list of whole numbers with at most `limit` entries.
  mutating func wholes(limit: Int) throws -> [Int] {
    try expect("[")
    var out: [Int] = []
    if take("]") { return out }
    repeat {
      guard out.count < limit else { throw problem("a list of more than \(limit) numbers") }
      out.append(try whole())
    } while take(",")
    try expect("]")
    return out
  }

  mutating func string(limit: Int) throws -> String {
    try expect("\"")
    var out: [UInt8] = []
    while true {
      guard at < bytes.count else { throw problem("a text without end") }
      guard out.count <= limit else { throw problem("a text of more than \(limit) bytes") }
      let byte = bytes[at]
      at += 1
      switch byte {
      case 0x22:
        guard let text = String(validating: out, as: UTF8.self) else { throw problem("a text that is not UTF-8") }
        return text
      case 0x5c: try escape(&out)
      case 0..<0x20: throw problem("a control character")
      default: out.append(byte)
      }
    }
  }

  private mutating func escape(_ out: inout [UInt8]) throws {
    guard at < bytes.count else { throw problem("a text without end") }
    let byte = bytes[at]
    at += 1
    switch byte {
    case 0x22, 0x5c, 0x2f: out.append(byte)
    case 0x62: out.append(0x08)
    case 0x66: out.append(0x0c)
    case 0x6e: out.append(0x0a)
    case 0x72: out.append(0x0d)
    case 0x74: out.append(0x09)
    case 0x75:
      var code = try hex4()
      if (0xd800..<0xdc00).contains(code) {
        guard at + 1 < bytes.count, bytes[at] == 0x5c, bytes[at + 1] == 0x75 else { throw problem("half a surrogate pair") }
        at += 2
        let low = try hex4()
        guard (0xdc00..<0xe000).contains(low) else { throw problem("half a surrogate pair") }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw problem("half a surrogate pair") }
      out.append(contentsOf: Array(String(Character(scalar)).utf8))
    default: throw problem("an unknown escape")
    }
  }

  private mutating func hex4() throws -> UInt32 {
    guard at + 4 <= bytes.count else { throw problem("a text without end") }
    var code: UInt32 = 0
    for _ in 0..<4 {
      let byte = bytes[at]
      at += 1
      let digit: UInt8
      switch byte {
      case 0x30...0x39: digit = byte - 0x30
      case 0x41...0x46: digit = byte - 0x41 + 10
      case 0x61...0x66: digit = byte - 0x61 + 10
      default: throw problem("an unknown escape")
      }
      code = code << 4 | UInt32(digit)
    }
    return code
  }
}
