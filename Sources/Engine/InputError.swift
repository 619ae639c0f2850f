/// Something from outside is not as it must be: one line says what, where, expected and found, and what to do.
///
/// The kind decides the exit code of the command line (sysexits: 64 usage, 65 bad data, 66 input missing, 73 cannot write).
public struct InputError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Kind: Int32, Sendable {
    case usage = 64
    case badData = 65
    case missing = 66
    case cannotWrite = 73
  }
  public let kind: Kind
  /// What is wrong, with the file, the key, what was expected and what was found. One line.
  public let message: String
  /// What the person can do about it. One line, may be empty.
  public let hint: String

  public init(_ kind: Kind, _ message: String, hint: String = "") {
    self.kind = kind
    self.message = message.oneLine
    self.hint = hint.oneLine
  }

  public var description: String { hint.isEmpty ? message : "\(message); \(hint)" }
}

extension String {
  /// Control characters become visible escapes, so that text from a hostile file cannot break a line or drive a terminal.
  public var oneLine: String {
    var out = ""
    for scalar in unicodeScalars {
      if scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) || scalar.value == 0x2028 || scalar.value == 0x2029 {
        out += scalar.escaped(asASCII: true)
      } else {
        out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}
