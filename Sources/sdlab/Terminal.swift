import Engine
import Foundation

/// Standard error: what the person is told beside the data.
enum Terminal {
  private static let environment = ProcessInfo.processInfo.environment

  /// A terminal that can go back to the beginning of a line.
  static let isInteractive = isatty(2) == 1 && environment["TERM"] != "dumb"

  /// no-color.org: NO_COLOR counts when it is there and not empty.
  private static let hasColour = isInteractive && environment["NO_COLOR", default: ""].isEmpty

  /// False where the locale says that blocks and dashes would come out as rubbish.
  static let isUnicode: Bool = {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { environment[$0] }.first { !$0.isEmpty } ?? "C"
    let name = locale.lowercased()
    return name.contains("utf-8") || name.contains("utf8")
  }()

  /// Characters in a line of the terminal.
  static var columns: Int {
    var size = winsize()
    if ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 { return Int(size.ws_col) }
    return environment["COLUMNS"].flatMap(Int.init).flatMap { $0 > 0 ? $0 : nil } ?? 80
  }

  static func error(_ message: String, hint: String = "") {
    line("\(coloured("sdlab: error:", "1;31")) \(message.oneLine)")
    if !hint.isEmpty { line("\(coloured("hint:", "1")) \(hint.oneLine)") }
  }

  static func warning(_ message: String) { line("\(coloured("sdlab: warning:", "1;33")) \(message.oneLine)") }

  static func line(_ text: String) { write(text + "\n") }

  /// Nobody listening is no reason to stop: failures are ignored.
  static func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while let from = rest.baseAddress, rest.count > 0 {
        let n = Foundation.write(2, from, rest.count)
        if n < 0 && errno == EINTR { continue }
        guard n > 0 else { return }
        rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      }
    }
  }

  private static func coloured(_ text: String, _ code: String) -> String { hasColour ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text }
}

/// Standard output: data, and nothing else.
enum StandardOutput {
  /// A reader that has gone (`sdlab … | head`) has had enough: the program ends without a word.
  /// - Throws: `InputError` (cannot write) when the disk behind it is full.
  static func write(_ text: String) throws {
    var text = text
    try text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while let from = rest.baseAddress, rest.count > 0 {
        let n = Foundation.write(1, from, rest.count)
        if n < 0 && errno == EINTR { continue }
        if n < 0 && errno == EPIPE { Foundation.exit(0) }
        guard n > 0 else {
          throw InputError(.cannotWrite, "standard output: cannot be written: \(String(cString: strerror(n == 0 ? ENOSPC : errno)))")
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[n...])
      }
    }
  }

  static func line(_ text: String) throws { try write(text + "\n") }

  static func json(_ value: some Encodable) throws { try line(jsonLine(value)) }

  /// One JSON object on one line, with sorted snake_case keys.
  static func jsonLine(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }
}
