/// The header of an .npy file: a Python dictionary with three known keys, and no more of Python than that.
struct NpyLiteral {
  private let bytes: Slice<UnsafeRawBufferPointer>
  private var at: Int

  init(_ bytes: Slice<UnsafeRawBufferPointer>) {
    self.bytes = bytes
    at = bytes.startIndex
  }

  /// descr, fortran_order and shape; nil for anything else, repeated or missing keys included.
  mutating func header() -> (String, Bool, [Int])? {
    var descr: String?
    var fortran: Bool?
    var shape: [Int]?
    guard take("{") else { return nil }
    while !take("}") {
      guard let key = string(), take(":") else { return nil }
      switch key {
      case "descr" where descr == nil:
        guard let value = string() else { return nil }
        descr = value
      case "fortran_order" where fortran == nil:
        if word("True") { fortran = true } else if word("False") { fortran = false } else { return nil }
      case "shape" where shape == nil:
        guard let value = tuple() else { return nil }
        shape = value
      default: return nil
      }
      if !take(",") {
        guard take("}") else { return nil }
        break
      }
    }
    skipSpace()
    guard at == bytes.endIndex, let descr, let fortran, let shape else { return nil }
    return (descr, fortran, shape)
  }

  private mutating func skipSpace() {
    while at < bytes.endIndex, [0x20, 0x0a, 0x09, 0x0d].contains(bytes[at]) { at += 1 }
  }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    skipSpace()
    guard at < bytes.endIndex, UInt32(bytes[at]) == scalar.value else { return false }
    at += 1
    return true
  }

  private mutating func word(_ text: String) -> Bool {
    skipSpace()
    guard bytes[at...].starts(with: text.utf8) else { return false }
    at += text.utf8.count
    return true
  }

  /// Printable ASCII in single or double quotes, without escapes.
  private mutating func string() -> String? {
    skipSpace()
    guard at < bytes.endIndex, bytes[at] == 0x27 || bytes[at] == 0x22 else { return nil }
    let quote = bytes[at]
    var text = ""
    at += 1
    while at < bytes.endIndex, bytes[at] != quote {
      guard (0x20..<0x7f).contains(bytes[at]), bytes[at] != 0x5c, text.utf8.count < 64 else { return nil }
      text.unicodeScalars.append(Unicode.Scalar(bytes[at]))
      at += 1
    }
    guard at < bytes.endIndex else { return nil }
    at += 1
    return text
  }

  private mutating func tuple() -> [Int]? {
    guard take("(") else { return nil }
    var out: [Int] = []
    while !take(")") {
      skipSpace()
      var digits = ""
      while at < bytes.endIndex, (0x30...0x39).contains(bytes[at]), digits.utf8.count < 20 {
        digits.unicodeScalars.append(Unicode.Scalar(bytes[at]))
        at += 1
      }
      // Python 2 wrote long integers with an L.
      if at < bytes.endIndex, bytes[at] == 0x4c { at += 1 }
      guard let number = Int(digits), out.count < 64 else { return nil }
      out.append(number)
      if !take(",") {
        // (3) is a number and no tuple.
        guard out.count != 1, take(")") else { return nil }
        break
      }
    }
    return out
  }
}
