import Foundation

@testable import Engine

/// The committed goldens (`Tests/Goldens`, format in its README.md), read with nothing of the engine that they test.
enum GoldenFile {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Goldens")

  /// A JSON file, decoded.
  static func json<T: Decodable>(_ path: String, _ type: T.Type) throws -> T {
    try JSONDecoder().decode(type, from: Data(contentsOf: folder.appendingPathComponent(path)))
  }

  /// A JSON object as Foundation sees it, for configurations with free keys.
  static func object(_ path: String) throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: Data(contentsOf: folder.appendingPathComponent(path))) as? [String: Any] ?? [:]
  }

  /// Every tensor of a safetensors file of F32 and I64.
  static func tensors(_ path: String) throws -> [String: Values] {
    let data = try Data(contentsOf: folder.appendingPathComponent(path))
    let headerSize = Int(data.prefix(8).enumerated().reduce(UInt64(0)) { $0 | UInt64($1.element) << (8 * UInt64($1.offset)) })
    struct Entry: Decodable {
      let dtype: String
      let shape: [Int]
      let data_offsets: [Int]
    }
    let header = try JSONSerialization.jsonObject(with: data.subdata(in: 8..<8 + headerSize)) as? [String: Any] ?? [:]
    var out: [String: Values] = [:]
    for (key, value) in header where key != "__metadata__" {
      let entry = try JSONDecoder().decode(Entry.self, from: JSONSerialization.data(withJSONObject: value))
      let bytes = data.subdata(in: 8 + headerSize + entry.data_offsets[0]..<8 + headerSize + entry.data_offsets[1])
      out[key] = Values(shape: entry.shape, dtype: entry.dtype, bytes: bytes)
    }
    return out
  }

  struct Values {
    let shape: [Int]
    let dtype: String
    let bytes: Data

    var floats: [Float] {
      precondition(dtype == "F32", dtype)
      return bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
    var ints: [Int64] {
      precondition(dtype == "I64", dtype)
      return bytes.withUnsafeBytes { Array($0.bindMemory(to: Int64.self)) }
    }
    /// Row `i` of the first dimension, kept as a dimension of one.
    func row(_ i: Int) -> [Float] {
      let n = shape.dropFirst().reduce(1, *)
      return Array(floats[i * n..<(i + 1) * n])
    }
  }
}

/// Largest absolute difference; infinite when the lengths differ or something is not a number.
func largestDifference(_ a: [Float], _ b: [Float]) -> Double {
  guard a.count == b.count else { return .infinity }
  var worst = 0.0
  for (x, y) in zip(a, b) where x != y {
    let d = abs(Double(x) - Double(y))
    worst = d.isNaN ? .infinity : max(worst, d)
  }
  return worst
}
