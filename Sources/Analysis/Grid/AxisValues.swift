import Engine
import Foundation

/// The values of an axis as A1111's X/Y/Z plot writes them: a comma-separated list, quoted where a value has a comma (as CSV), of values and ranges.
///
/// Ranges, from that program's help: `1-5` is 1, 2, 3, 4, 5; `1-5 (+2)` is 1, 3, 5; `10-5 (-3)` is 10, 7; `1-3 (+0.5)` is 1, 1.5, 2, 2.5, 3;
/// `1-10 [5]` is 1, 3, 5, 7, 10, five values evenly, whole numbers cut; `0.0-1.0 [6]` is 0, 0.2, ... 1.
public enum AxisValues {
  /// More values on one axis are a mistake.
  public static let limit = 1000

  /// The parts of a list, trimmed; `"` quotes, `""` inside quotes is one.
  /// - Throws: `InputError` (usage) for an empty list and for quotes that do not close or stand in a word.
  public static func strings(_ text: String) throws -> [String] {
    var parts: [String] = []
    var part = ""
    var (isQuoted, wasQuoted) = (false, false)
    var characters = Array(text)[...]
    func finish() {
      parts.append(wasQuoted ? part : part.trimmingCharacters(in: .whitespaces))
      (part, wasQuoted) = ("", false)
    }
    while let c = characters.popFirst() {
      if isQuoted {
        if c != "\"" {
          part.append(c)
        } else if characters.first == "\"" {
          characters.removeFirst()
          part.append(c)
        } else {
          isQuoted = false
        }
      } else if c == "\"", part.allSatisfy(\.isWhitespace), !wasQuoted {
        (part, isQuoted, wasQuoted) = ("", true, true)
      } else if c == "," {
        finish()
      } else if wasQuoted {
        guard c.isWhitespace else {
          throw InputError(.usage, "'\(text)': '\(c)' after the quoted '\(part)'", hint: "put a comma between values")
        }
      } else {
        part.append(c)
      }
    }
    guard !isQuoted else { throw InputError(.usage, "'\(text)': the quote before '\(part)' is not closed") }
    finish()
    guard parts.contains(where: { !$0.isEmpty }) else { throw InputError(.usage, "expected values, found '\(text)'") }
    return parts
  }

  /// Whole numbers.
  public static func integers(_ text: String) throws -> [Int] {
    try numbers(text, isWhole: true).map { value in
      guard let whole = Int(exactly: value) else { throw InputError(.usage, "'\(text)': \(value) is too large") }
      return whole
    }
  }

  /// Numbers with decimals.
  public static func decimals(_ text: String) throws -> [Double] { try numbers(text, isWhole: false) }

  /// Whole numbers from 0 to 2^64 - 1, as seeds are; ranges up to 2^53, where they are exact.
  public static func seeds(_ text: String) throws -> [UInt64] {
    var out: [UInt64] = []
    for part in try strings(text) {
      if let seed = UInt64(part) {
        out.append(seed)
        continue
      }
      for value in try values(part, isWhole: true) {
        guard value >= 0, value <= 9_007_199_254_740_992 else { throw InputError(.usage, "'\(part)': expected seeds of 0 and above") }
        out.append(UInt64(value))
      }
    }
    return try bounded(out, text)
  }

  private static func numbers(_ text: String, isWhole: Bool) throws -> [Double] {
    try bounded(try strings(text).flatMap { try values($0, isWhole: isWhole) }, text)
  }

  private static func bounded<T>(_ values: [T], _ text: String) throws -> [T] {
    guard values.count <= limit else { throw InputError(.usage, "'\(text)': \(values.count) values, expected at most \(limit)") }
    return values
  }

  /// One value or range.
  private static func values(_ part: String, isWhole: Bool) throws -> [Double] {
    if let value = number(part, isWhole) { return [value] }
    guard let range = Range(part) else {
      throw InputError(
        .usage, "'\(part)' is no \(isWhole ? "whole number" : "number") and no range",
        hint: isWhole ? "write 5, 1-5, 1-5 (+2) or 1-10 [5]" : "write 0.5, 1-3, 1-3 (+0.5) or 0-1 [6]")
    }
    guard let from = number(range.from, isWhole), let to = number(range.to, isWhole) else {
      throw InputError(.usage, "'\(part)': expected whole numbers, found \(number(range.from, true) == nil ? range.from : range.to)")
    }
    switch range.rule {
    case .count(let text):
      guard let n = Int(text), (1...limit).contains(n) else {
        throw InputError(.usage, "'\(part)': [\(text)]: expected a number of values, 1 to \(limit)")
      }
      if n == 1 { return [from] }
      // numpy.linspace, and for whole numbers its conversion to int, which cuts towards 0.
      return (0..<n).map { i in
        let value = i == n - 1 ? to : from + (to - from) / Double(n - 1) * Double(i)
        return isWhole ? value.rounded(.towardZero) : value
      }
    case .step(let text):
      guard let step = number(text, isWhole), step != 0 else {
        throw InputError(.usage, "'\(part)': (\(text)): expected a \(isWhole ? "whole " : "")step that is not 0")
      }
      guard (step > 0) == (to >= from) || from == to else {
        throw InputError(.usage, "'\(part)': the step \(text) leads away from \(range.to)")
      }
      return try stepped(from, to, step, part)
    case .none:
      return try stepped(from, to, to >= from ? 1 : -1, part)
    }
  }

  private static func stepped(_ from: Double, _ to: Double, _ step: Double, _ part: String) throws -> [Double] {
    // The end counts when rounding alone keeps it out of reach.
    let steps = ((to - from) / step + 1e-9).rounded(.down)
    guard steps < Double(limit) else { throw InputError(.usage, "'\(part)': more than \(limit) values") }
    return (0...Int(steps)).map { i in
      let value = from + Double(i) * step
      return (value * 1e9).rounded() / 1e9
    }
  }

  private static func number(_ text: String, _ isWhole: Bool) -> Double? {
    let text = text.trimmingCharacters(in: .whitespaces)
    if isWhole { return Int(text).map(Double.init) }
    guard let value = Double(text), value.isFinite, !text.lowercased().contains("x") else { return nil }
    return value
  }

  /// `from-to`, `from-to (+step)`, `from-to [count]`, unread.
  private struct Range {
    enum Rule {
      case none
      case step(String)
      case count(String)
    }
    var from: String
    var to: String
    var rule: Rule

    init?(_ part: String) {
      var body = part.trimmingCharacters(in: .whitespaces)
      rule = .none
      for (open, close) in [("(", ")"), ("[", "]")] where body.hasSuffix(close) {
        guard let at = body.firstIndex(of: Character(open)) else { return nil }
        let inside = String(body[body.index(after: at)...].dropLast()).trimmingCharacters(in: .whitespaces)
        rule = open == "(" ? .step(inside) : .count(inside)
        body = body[..<at].trimmingCharacters(in: .whitespaces)
      }
      // The dash between two numbers, not a sign: after at least one digit.
      guard let first = body.firstIndex(where: \.isNumber),
        let dash = body[first...].firstIndex(of: "-"), dash != body.startIndex
      else { return nil }
      from = String(body[..<dash])
      to = String(body[body.index(after: dash)...])
      guard Double(from.trimmingCharacters(in: .whitespaces)) != nil, Double(to.trimmingCharacters(in: .whitespaces)) != nil else {
        return nil
      }
    }
  }
}
