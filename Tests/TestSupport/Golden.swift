import Engine
import Foundation

/// What diffusers, transformers and scikit-learn gave, read from Tests/Goldens.
public struct Golden: Sendable {
  public static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(
    "Goldens")

  private let tensors: [String: StoredTensor]
  private let file: String

  public struct Missing: Error, CustomStringConvertible {
    public let description: String
  }

  public init(_ file: String) throws {
    self.file = file
    let read = try Safetensors.read(Self.folder.appendingPathComponent(file)).tensors
    tensors = Dictionary(uniqueKeysWithValues: read.map { ($0.name, $0) })
  }

  public var names: [String] { tensors.keys.sorted() }

  public func has(_ name: String) -> Bool { tensors[name] != nil }

  private func stored(_ name: String) throws -> StoredTensor {
    guard let found = tensors[name] else { throw Missing(description: "\(file) has no \(name)") }
    return found
  }

  public func shape(_ name: String) throws -> [Int] { try stored(name).shape }

  public func tensor(_ name: String) throws -> Tensor { try stored(name).float32() }

  /// `[n, c, h, w]` in the file, `[n, h, w, c]` here; other ranks as they are.
  public func nhwc(_ name: String) throws -> Tensor {
    let t = try tensor(name)
    return t.shape.rank == 4 ? t.nhwc() : t
  }

  public func bytes(_ name: String) throws -> [UInt8] {
    guard let bytes = try stored(name).rawBytes else { throw Missing(description: "\(file): \(name) is strided") }
    return bytes
  }

  /// Values of a float tensor of any rank.
  public func values(_ name: String) throws -> [Float] { try Values(stored(name)).floats }

  /// Step `index` of a trace `[steps, n, c, h, w]`, as `[n, h, w, c]`.
  public func step(_ index: Int, of name: String) throws -> Tensor {
    let shape = Array(try shape(name).dropFirst())
    let size = shape.reduce(1, *)
    return Tensor(Array(try values(name)[index * size..<(index + 1) * size]), Shape(shape)).nhwc()
  }

  /// A matrix of I64 values.
  public func integers(_ name: String) throws -> [[Int]] {
    let shape = try shape(name)
    let values = try Values(stored(name)).integers.map(Int.init)
    return (0..<shape[0]).map { Array(values[$0 * shape[1]..<($0 + 1) * shape[1]]) }
  }

  /// Every tensor of a file.
  public static func all(_ file: String) throws -> [String: Values] { try Golden(file).tensors.mapValues { try Values($0) } }

  public static func json<T: Decodable>(_ file: String, as type: T.Type) throws -> T {
    try JSONDecoder().decode(type, from: Data(contentsOf: folder.appendingPathComponent(file)))
  }

  /// A JSON object as Foundation sees it, for configurations with free keys.
  public static func object(_ file: String) throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: Data(contentsOf: folder.appendingPathComponent(file))) as? [String: Any] ?? [:]
  }

  /// A tensor's values, of any rank.
  public struct Values: Sendable {
    public let shape: [Int]
    /// F32 or I64.
    private let dtype: String
    private let bytes: [UInt8]

    init(_ stored: StoredTensor) throws {
      guard let bytes = stored.rawBytes else { throw Missing(description: "\(stored.name) is strided") }
      (shape, dtype, self.bytes) = (stored.shape, stored.dtype.rawValue, bytes)
    }

    public var floats: [Float] { read("F32", Float.self) }
    public var integers: [Int64] { read("I64", Int64.self) }

    private func read<T: BitwiseCopyable>(_ expected: String, _: T.Type) -> [T] {
      precondition(dtype == expected, "\(dtype) values read as \(expected)")
      return bytes.withUnsafeBytes { raw in
        (0..<raw.count / MemoryLayout<T>.size).map { raw.loadUnaligned(fromByteOffset: MemoryLayout<T>.size * $0, as: T.self) }
      }
    }

    /// Row `i` of the first dimension.
    public func row(_ i: Int) -> [Float] {
      let n = shape.dropFirst().reduce(1, *)
      return Array(floats[i * n..<(i + 1) * n])
    }
  }
}

/// As `projections` of Tests/Goldens/make/gradients.py: three dot products with fixed waves and the norm, which tell a wrong row or a swapped index as well as the whole does.
public func projections(_ g: [Float]) -> [Float] {
  let n = Double(g.count)
  let dots = (0..<3).map { (k: Int) -> Double in
    var sum = 0.0
    for (i, value) in g.enumerated() {
      let x = Double(i)
      sum += Double(value) * cos(0.7 * Double(k + 1) * x + Double(k) * x * x / n)
    }
    return sum
  }
  return (dots + [g.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()]).map { Float($0) }
}

/// Largest absolute difference; infinite when the lengths differ or something is not a number.
public func largestDifference(_ a: [Float], _ b: [Float]) -> Double {
  guard a.count == b.count else { return .infinity }
  var worst = 0.0
  for (x, y) in zip(a, b) where x != y {
    let d = abs(Double(x) - Double(y))
    worst = d.isNaN ? .infinity : max(worst, d)
  }
  return worst
}

/// Largest difference relative to the largest magnitude of the reference; infinite when the counts differ.
public func relativeError(_ a: [Float], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  let scale = max(b.lazy.map(abs).max() ?? 0, 1e-30)
  return zip(a, b).reduce(0) { max($0, abs(Double($1.0) - $1.1)) } / scale
}

public func relativeError(_ a: Tensor, _ b: Tensor) -> Double {
  a.shape == b.shape ? relativeError(a.array, b.array.map(Double.init)) : .infinity
}

/// Largest absolute difference; infinite when the shapes differ.
public func largestDifference(_ a: Tensor, _ b: Tensor) -> Double {
  guard a.shape == b.shape else { return .infinity }
  return zip(a.array, b.array).reduce(0) { max($0, Double(abs($1.0 - $1.1))) }
}
