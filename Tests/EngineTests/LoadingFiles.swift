import Foundation
import Testing

@testable import Engine

/// Files made byte by byte, well and badly formed.
enum MadeFile {
  static func bytes(_ content: [UInt8], name: String = "made.file") -> FileBytes {
    content.withUnsafeBytes { FileBytes(copying: $0, name: name) }
  }

  static func little(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

  // MARK: - safetensors

  /// - Parameter length: what the file says of its header, when that is a lie.
  static func safetensors(_ header: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
    little(length ?? UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 0, count: data)
  }

  static func safetensors(_ tensors: [(name: String, values: [Float], shape: [Int])]) -> [UInt8] {
    var (items, data): ([String], [UInt8]) = ([], [])
    for t in tensors {
      let end = data.count + 4 * t.values.count
      items.append("\"\(t.name)\":{\"dtype\":\"F32\",\"shape\":\(t.shape),\"data_offsets\":[\(data.count),\(end)]}")
      data += t.values.flatMap { little($0.bitPattern) }
    }
    let header = "{\(items.joined(separator: ","))}"
    return safetensors(header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)) + data
  }

  // MARK: - zip

  struct Entry {
    var name: String
    var data: [UInt8]
    var method: UInt16 = 0
    var flags: UInt16 = 0
    /// What the directory says, when that is a lie.
    var size: UInt32?
    var offset: UInt32?
    var localName: String?
  }

  /// - Parameter zip64: sizes, offsets and the end record as large files have them.
  static func zip(_ entries: [Entry], zip64: Bool = false, count: UInt16? = nil) -> [UInt8] {
    var (out, directory): ([UInt8], [UInt8]) = ([], [])
    for entry in entries {
      let name = Array(entry.name.utf8)
      let localName = Array((entry.localName ?? entry.name).utf8)
      let size = entry.size ?? UInt32(entry.data.count)
      let offset = entry.offset ?? UInt32(out.count)
      let extra = zip64 ? little(UInt16(1)) + little(UInt16(24)) + little(UInt64(size)) + little(UInt64(size)) + little(UInt64(offset)) : []
      let sizes = zip64 ? [UInt8](repeating: 0xff, count: 8) : little(size) + little(size)
      let head = little(entry.flags) + little(entry.method) + [UInt8](repeating: 0, count: 8) + sizes + little(UInt16(name.count))
      directory += little(UInt32(0x0201_4b50)) + little(UInt16(45)) + little(UInt16(45)) + head + little(UInt16(extra.count))
      directory += [UInt8](repeating: 0, count: 10) + (zip64 ? [0xff, 0xff, 0xff, 0xff] : little(offset)) + name + extra
      out += little(UInt32(0x0403_4b50)) + little(UInt16(45)) + head + little(UInt16(0)) + localName + entry.data
    }
    let start = out.count
    out += directory
    if zip64 {
      let end = out.count
      let counts = little(UInt64(entries.count)) + little(UInt64(entries.count))
      out +=
        little(UInt32(0x0606_4b50)) + little(UInt64(44)) + little(UInt16(45)) + little(UInt16(45)) + [UInt8](repeating: 0, count: 8)
        + counts
      out += little(UInt64(directory.count)) + little(UInt64(start))
      out += little(UInt32(0x0706_4b50)) + little(UInt32(0)) + little(UInt64(end)) + little(UInt32(1))
      return out + little(UInt32(0x0605_4b50)) + [0, 0, 0, 0] + [UInt8](repeating: 0xff, count: 12) + [0, 0]
    }
    let counts = little(count ?? UInt16(entries.count)) + little(count ?? UInt16(entries.count))
    return out + little(UInt32(0x0605_4b50)) + [0, 0, 0, 0] + counts + little(UInt32(directory.count)) + little(UInt32(start)) + [0, 0]
  }

  // MARK: - Pickles

  static func text(_ text: String) -> [UInt8] { [0x58] + little(UInt32(text.utf8.count)) + Array(text.utf8) }
  static func number(_ value: Int) -> [UInt8] { [0x8a, 8] + little(Int64(value)) }
  static func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }
  static func tuple(_ items: [[UInt8]]) -> [UInt8] { [0x28] + items.joined() + [0x74] }
  static func dictionary(_ items: [(key: String, value: [UInt8])]) -> [UInt8] {
    [0x7d, 0x28] + items.flatMap { text($0.key) + $0.value } + [0x75]
  }
  static func call(_ module: String, _ name: String, _ arguments: [[UInt8]]) -> [UInt8] { global(module, name) + tuple(arguments) + [0x52] }
  static func pickle(_ value: [UInt8], protocol version: UInt8 = 2) -> [UInt8] { [0x80, version] + value + [0x2e] }

  /// `_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`; the storage is `data/KEY`.
  static func tensor(
    _ shape: [Int], strides: [Int], key: String = "0", storage: String = "FloatStorage", elements: Int, offset: Int = 0
  ) -> [UInt8] {
    let place = tuple([text("storage"), global("torch", storage), text(key), text("cpu"), number(elements)]) + [0x51]
    let hooks = call("collections", "OrderedDict", [])
    return call(
      "torch._utils", "_rebuild_tensor_v2",
      [place, number(offset), tuple(shape.map(number)), tuple(strides.map(number)), [0x89], hooks])
  }

  static func checkpoint(_ value: [UInt8], _ data: [String: [UInt8]] = [:]) -> [UInt8] {
    zip(
      [Entry(name: "archive/data.pkl", data: pickle(value))]
        + data.sorted { $0.key < $1.key }.map { Entry(name: "archive/data/\($0)", data: $1) })
  }
}

/// A folder that goes away with the test.
final class TemporaryFolder {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-test-\(UUID().uuidString)")
  init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(at: url) }

  var path: String { url.path }

  /// Writes a file, with the folders above it.
  @discardableResult
  func write(_ content: [UInt8], _ path: String) throws -> URL {
    let file = url.appendingPathComponent(path)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(content).write(to: file)
    return file
  }

  @discardableResult
  func copy(_ source: URL, _ path: String) throws -> URL {
    let target = url.appendingPathComponent(path)
    try FileManager.default.createDirectory(at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.copyItem(at: source, to: target)
    return target
  }

  var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
}

/// Expects one clear line of the given kind that holds all of `parts`.
func expectRefusal(
  _ parts: [String], _ kind: InputError.Kind = .badData, location: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
  let error = #expect(throws: InputError.self, sourceLocation: location) { try body() }
  guard let error else { return }
  let line = "\(error)"
  #expect(error.kind == kind, "\(line)", sourceLocation: location)
  #expect(!line.contains("\n") && line.utf8.count < 4096, "\(line)", sourceLocation: location)
  for part in parts { #expect(line.contains(part), "\(line)", sourceLocation: location) }
}
