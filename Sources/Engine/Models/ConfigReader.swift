import Foundation

/// Reads one JSON config file of the diffusers layout: absent keys take diffusers' defaults, wrong types name the file and the key.
public struct ConfigReader {
  /// Where the values come from, for error lines.
  public let file: String
  private let object: [String: Any]

  public init(_ data: Data, file: String) throws {
    guard data.count <= 4 << 20 else {
      throw InputError(.badData, "\(file): \(data.count) bytes are too many for a config")
    }
    guard let parsed = try? JSONSerialization.jsonObject(with: Self.withoutInfinities(data)) else {
      throw InputError(.badData, "\(file): not valid JSON", hint: "copy the file from the model's folder again")
    }
    guard let object = parsed as? [String: Any] else {
      throw InputError(.badData, "\(file): expected a JSON object at the top")
    }
    self.object = object
    self.file = file
  }

  /// Python's json writes `-Infinity`, `Infinity` and `NaN`, which are no JSON; diffusers' DPM-Solver configs hold the first
  /// (`lambda_min_clipped`), where it is the default. Outside of strings these words become `null`.
  private static func withoutInfinities(_ data: Data) -> Data {
    guard let first = data.first(where: { $0 != 0x20 }), first == UInt8(ascii: "{") else { return data }
    let words = ["-Infinity", "Infinity", "NaN"].map { Array($0.utf8) }
    let bytes = [UInt8](data)
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var inString = false
    var i = 0
    while i < bytes.count {
      let b = bytes[i]
      if inString {
        if b == UInt8(ascii: "\\"), i + 1 < bytes.count {
          out += [b, bytes[i + 1]]
          i += 2
          continue
        }
        inString = b != UInt8(ascii: "\"")
      } else if b == UInt8(ascii: "\"") {
        inString = true
      } else if let word = words.first(where: { bytes[i...].starts(with: $0) }) {
        out += Array("null".utf8)
        i += word.count
        continue
      }
      out.append(b)
      i += 1
    }
    return Data(out)
  }

  /// A config without a file: every key at its default but those given.
  public init(_ object: [String: Any], file: String) {
    self.object = object
    self.file = file
  }

  /// True when the key is there and not null.
  public func has(_ key: String) -> Bool { object[key] != nil && !(object[key] is NSNull) }

  public func bool(_ key: String, _ fallback: Bool) throws -> Bool {
    guard has(key) else { return fallback }
    guard let v = object[key] as? NSNumber, Self.isBool(v) else { throw wrong(key, "true or false") }
    return v.boolValue
  }

  public func int(_ key: String, _ fallback: Int, in range: ClosedRange<Int> = 0...1_000_000) throws -> Int {
    guard has(key) else { return fallback }
    return try Self.int(object[key]!, range) ?? { throw wrong(key, "a whole number in \(range)") }()
  }

  public func double(_ key: String, _ fallback: Double) throws -> Double {
    guard has(key) else { return fallback }
    guard let v = object[key] as? NSNumber, !Self.isBool(v), v.doubleValue.isFinite else { throw wrong(key, "a number") }
    return v.doubleValue
  }

  public func string(_ key: String, _ fallback: String) throws -> String {
    guard has(key) else { return fallback }
    guard let v = object[key] as? String else { throw wrong(key, "a string") }
    return v
  }

  public func strings(_ key: String, _ fallback: [String]) throws -> [String] {
    guard has(key) else { return fallback }
    guard let v = object[key] as? [String] else { throw wrong(key, "a list of strings") }
    return v
  }

  /// A list of whole numbers, or one number that stands for `count` equal ones.
  public func ints(_ key: String, _ fallback: [Int], repeated count: Int? = nil, in range: ClosedRange<Int> = 1...1_000_000) throws -> [Int]
  {
    guard has(key) else { return fallback }
    if let count, let one = Self.int(object[key]!, range) { return Array(repeating: one, count: count) }
    guard let list = object[key] as? [Any], list.count <= 64 else { throw wrong(key, "a list of whole numbers") }
    let values = list.compactMap { Self.int($0, range) }
    guard values.count == list.count, count == nil || count == values.count else {
      throw wrong(key, "\(count.map(String.init) ?? "a list of") whole numbers in \(range)")
    }
    return values
  }

  /// A list of truth values, or one that stands for `count` equal ones.
  public func bools(_ key: String, _ fallback: Bool, repeated count: Int) throws -> [Bool] {
    if let list = object[key] as? [Any] {
      let values = list.compactMap { ($0 as? NSNumber).flatMap { Self.isBool($0) ? $0.boolValue : nil } }
      guard values.count == count, list.count == count else { throw wrong(key, "\(count) truth values") }
      return values
    }
    return Array(repeating: try bool(key, fallback), count: count)
  }

  public func doubles(_ key: String) throws -> [Double]? {
    guard has(key) else { return nil }
    guard let list = object[key] as? [Any], list.count <= 100_000 else { throw wrong(key, "a list of numbers") }
    let values = list.compactMap { ($0 as? NSNumber).flatMap { Self.isBool($0) ? nil : $0.doubleValue } }
    guard values.count == list.count else { throw wrong(key, "a list of numbers") }
    return values
  }

  /// The object under a key, by itself; one without values where there is none.
  public func object(_ key: String) throws -> ConfigReader {
    guard has(key) else { return ConfigReader([:], file: "\(file): \(key)") }
    guard let inner = object[key] as? [String: Any] else { throw wrong(key, "an object") }
    return ConfigReader(inner, file: "\(file): \(key)")
  }

  /// True when the key holds an object.
  public func isObject(_ key: String) -> Bool { object[key] is [String: Any] }

  /// Refuses a value that this program does not implement, rather than computing something else.
  public func refuse(unless condition: Bool, _ key: String, _ supported: String) throws {
    if !condition { throw wrong(key, supported) }
  }

  public func wrong(_ key: String, _ expected: String) -> InputError {
    let found = object[key].map { "\($0)" } ?? "nothing"
    return InputError(.badData, "\(file): \(key): expected \(expected), found \(found.prefix(80))")
  }

  private static func isBool(_ n: NSNumber) -> Bool {
    String(cString: n.objCType) == "c" || n === (true as NSNumber) || n === (false as NSNumber)
  }

  private static func int(_ value: Any, _ range: ClosedRange<Int>) -> Int? {
    guard let n = value as? NSNumber, !isBool(n) else { return nil }
    let d = n.doubleValue
    guard d == d.rounded(), abs(d) < 1e15, range.contains(Int(d)) else { return nil }
    return Int(d)
  }
}
