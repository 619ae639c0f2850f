import Foundation

extension Safetensors {
  /// What is written under one name.
  public enum Value: Sendable {
    /// As F32 in the tensor's own order of dimensions.
    case tensor(Tensor)
    /// Bytes that are already as the format wants them: little-endian, row-major.
    case raw(DType, shape: [Int], Data)

    /// As F16, each number rounded to the nearest.
    /// - Throws: `InputError` (badData) for numbers that half precision cannot hold.
    public static func half(_ tensor: Tensor, named name: String) throws -> Value {
      var data = Data(capacity: 2 * tensor.count)
      for value in tensor.array {
        let rounded = Float16(value)
        guard rounded.isFinite else {
          throw InputError(
            .badData, "\(name): \(value) cannot be kept in half precision, which ends at 65504", hint: "write it without --half")
        }
        withUnsafeBytes(of: rounded.bitPattern.littleEndian) { data.append(contentsOf: $0) }
      }
      return .raw(.float16, shape: tensor.shape.dimensions, data)
    }

    var dtype: DType {
      switch self {
      case .tensor: .float32
      case .raw(let dtype, _, _): dtype
      }
    }
    var shape: [Int] {
      switch self {
      case .tensor(let tensor): tensor.shape.dimensions
      case .raw(_, let shape, _): shape
      }
    }
  }

  /// Writes tensors in the given order, whole or not at all.
  ///
  /// - Throws: `InputError(.cannotWrite)`, for example when the disk is full; then nothing is left behind.
  public static func write(_ tensors: [(name: String, value: Value)], metadata: [String: String] = [:], to url: URL) throws {
    precondition(Set(tensors.map(\.name)).count == tensors.count, "a name is there twice")
    let header = header(tensors, metadata)
    try AtomicFile.write(to: url) { sink in
      try withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { try sink.write($0) }
      try sink.write(header)
      for (_, value) in tensors {
        switch value {
        case .tensor(let tensor): try tensor.withUnsafeBuffer { try sink.write(UnsafeRawBufferPointer($0)) }
        case .raw(_, _, let data): try data.withUnsafeBytes { try sink.write($0) }
        }
      }
    }
  }

  public static func write(_ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to url: URL) throws {
    try write(tensors.map { ($0.name, .tensor($0.tensor)) }, metadata: metadata, to: url)
  }

  /// The JSON header, filled up with blanks so that the data starts at a multiple of 8 bytes.
  private static func header(_ tensors: [(name: String, value: Value)], _ metadata: [String: String]) -> String {
    var items: [String] = []
    if !metadata.isEmpty {
      let texts = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
      items.append("\"__metadata__\":{\(texts.joined(separator: ","))}")
    }
    var at = 0
    for (name, value) in tensors {
      let size = value.shape.reduce(value.dtype.size, *)
      if case .raw(_, _, let data) = value { precondition(data.count == size, "\(name): \(data.count) bytes for \(value.shape)") }
      let shape = value.shape.map(String.init).joined(separator: ",")
      items.append("\(quoted(name)):{\"dtype\":\"\(value.dtype.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(at),\(at + size)]}")
      at += size
    }
    let text = "{\(items.joined(separator: ","))}"
    return text + String(repeating: " ", count: (8 - text.utf8.count % 8) % 8)
  }

  private static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": out += "\\\(scalar)"
      case "\0"..<" ":
        let code = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - code.count) + code
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}
