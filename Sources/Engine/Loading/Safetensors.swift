import Foundation

/// The safetensors format (huggingface/safetensors): 8 bytes of header length, a JSON header, the data.
///
/// As strict as the reference reader: the header is at most 100 MB, the tensors tile the data without holes and without overlap, no
/// name occurs twice. A malformed file is refused before memory is taken for it.
public enum Safetensors {
  public struct Contents {
    /// In the order of their bytes.
    public let tensors: [StoredTensor]
    /// The texts under `__metadata__`.
    public let metadata: [String: String]
  }

  static let maximumHeader = 100_000_000
  private static let maximumTensors = 200_000
  private static let maximumName = 4096
  private static let maximumDimensions = 16

  /// Maps the file and reads its header.
  public static func read(_ url: URL) throws -> Contents { try read(FileBytes(mapping: url)) }

  public static func read(_ file: FileBytes) throws -> Contents {
    func bad(_ text: String) -> InputError {
      InputError(.badData, "\(file.name): \(text)", hint: "not a whole safetensors file; copy or download it again")
    }
    guard file.count >= 8 else { throw bad("expected at least 8 bytes, found \(file.count)") }
    let length = UInt64(littleEndian: file.base.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(maximumHeader) else { throw bad("the header would take \(length) bytes, expected at most \(maximumHeader)") }
    let dataStart = 8 + Int(length)
    guard dataStart <= file.count else { throw bad("the header takes \(length) bytes, found \(file.count - 8)") }
    var header: [Entry]
    let metadata: [String: String]
    do {
      (header, metadata) = try parse(UnsafeRawBufferPointer(rebasing: file.all[8..<dataStart]))
    } catch let problem as JSONScanner.Problem {
      throw bad(problem.text)
    }
    header.sort { ($0.begin, $0.end) < ($1.begin, $1.end) }
    var tensors: [StoredTensor] = []
    tensors.reserveCapacity(header.count)
    var next = 0
    for entry in header {
      guard entry.begin == next else {
        throw bad("\(entry.name): data_offsets start at \(entry.begin), expected \(next): \(entry.begin < next ? "overlap" : "a hole")")
      }
      guard let dtype = DType(rawValue: entry.dtype) else {
        throw InputError(
          .badData, "\(file.name): \(entry.name): dtype \(entry.dtype) is not supported",
          hint: "expected one of \(DType.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      guard let size = StoredTensor.byteCount(dtype, entry.shape) else { throw bad("\(entry.name): shape \(entry.shape) is too large") }
      guard entry.end >= entry.begin, entry.end - entry.begin == size else {
        throw bad("\(entry.name): data_offsets [\(entry.begin), \(entry.end)] do not hold \(size) bytes of \(entry.dtype) \(entry.shape)")
      }
      guard entry.end <= file.count - dataStart else {
        throw bad("\(entry.name): data ends at byte \(entry.end), the file has \(file.count - dataStart)")
      }
      tensors.append(StoredTensor(name: entry.name, dtype: dtype, shape: entry.shape, bytes: file, offset: dataStart + entry.begin))
      next = entry.end
    }
    guard next == file.count - dataStart else { throw bad("\(file.count - dataStart - next) bytes after the last tensor") }
    return Contents(tensors: tensors, metadata: metadata)
  }

  private struct Entry {
    var name: String
    var dtype: String
    var shape: [Int]
    var begin: Int
    var end: Int
  }

  private static func parse(_ bytes: UnsafeRawBufferPointer) throws -> ([Entry], [String: String]) {
    var scanner = JSONScanner(bytes)
    var entries: [Entry] = []
    var metadata: [String: String]?
    var names: Set<String> = []
    try scanner.expect("{")
    if !scanner.take("}") {
      repeat {
        let name = try scanner.string(limit: maximumName)
        try scanner.expect(":")
        guard names.insert(name).inserted else { throw scanner.problem("\(name) is there twice") }
        if name == "__metadata__" {
          metadata = try texts(&scanner)
        } else {
          guard entries.count < maximumTensors else { throw scanner.problem("more than \(maximumTensors) tensors") }
          entries.append(try entry(&scanner, name))
        }
      } while scanner.take(",")
      try scanner.expect("}")
    }
    scanner.skipSpace()
    guard scanner.isAtEnd else { throw scanner.problem("something after the JSON object") }
    return (entries, metadata ?? [:])
  }

  private static func entry(_ scanner: inout JSONScanner, _ name: String) throws -> Entry {
    var dtype: String?
    var shape: [Int]?
    var offsets: [Int]?
    try scanner.expect("{")
    repeat {
      let key = try scanner.string(limit: maximumName)
      try scanner.expect(":")
      switch key {
      case "dtype" where dtype == nil: dtype = try scanner.string(limit: 32)
      case "shape" where shape == nil: shape = try scanner.wholes(limit: maximumDimensions)
      case "data_offsets" where offsets == nil: offsets = try scanner.wholes(limit: 2)
      default: throw scanner.problem("\(name): unexpected or repeated key \(key)")
      }
    } while scanner.take(",")
    try scanner.expect("}")
    guard let dtype, let shape, let offsets, offsets.count == 2 else {
      throw scanner.problem("\(name): expected dtype, shape and two data_offsets")
    }
    return Entry(name: name, dtype: dtype, shape: shape, begin: offsets[0], end: offsets[1])
  }

  private static func texts(_ scanner: inout JSONScanner) throws -> [String: String] {
    var out: [String: String] = [:]
    try scanner.expect("{")
    if scanner.take("}") { return out }
    repeat {
      let key = try scanner.string(limit: maximumName)
      try scanner.expect(":")
      let value = try scanner.string(limit: maximumHeader)
      guard out.updateValue(value, forKey: key) == nil else { throw scanner.problem("metadata \(key) is there twice") }
    } while scanner.take(",")
    try scanner.expect("}")
    return out
  }
}
