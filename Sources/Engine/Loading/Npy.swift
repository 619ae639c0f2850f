import CZlib
import Foundation

/// NumPy's array files: `.npy` (format versions 1, 2 and 3; numpy.lib.format) and `.npz`, a zip file of them, stored or deflated.
///
/// As strict as the other readers: the header is a literal with exactly three keys, the data has exactly the bytes that the shape wants,
/// and nothing is unfolded beyond what the header said. Objects (pickles) and big-endian numbers are refused.
public enum Npy {
  /// Types of elements that are read, under numpy's names. All are little-endian.
  public enum DType: String, Sendable, CaseIterable {
    case float32 = "<f4"
    case float64 = "<f8"
    case float16 = "<f2"
    case int32 = "<i4"
    case int64 = "<i8"
    case uint8 = "|u1"

    var size: Int {
      switch self {
      case .float32, .int32: 4
      case .float64, .int64: 8
      case .float16: 2
      case .uint8: 1
      }
    }
  }

  static let hint = "not a whole numpy file; write it again with numpy.save or numpy.savez"
  private static let maximumHeader = 1 << 20
  private static let maximumDimensions = 32
  fileprivate static let magic: [UInt8] = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]

  /// True when the file starts like an .npy file.
  public static func looksLike(_ file: FileBytes) -> Bool { file.all.starts(with: magic) }

  /// Maps the file and reads its header; values are read by `NpyArray.float32()`.
  public static func read(_ url: URL) throws -> NpyArray { try read(FileBytes(mapping: url)) }

  public static func read(_ file: FileBytes) throws -> NpyArray {
    let header = try header(file.all, file.name)
    guard file.count - header.length == header.byteCount else {
      throw bad(
        file.name, "\(header.shape) of \(header.dtype.rawValue) takes \(header.byteCount) bytes, found \(file.count - header.length)")
    }
    return NpyArray(name: "", header: header, file: file, source: .plain(header.length), label: file.name, checksum: nil)
  }

  /// The arrays of an .npz file in the order of their names, which lose the extension `.npy` as in numpy.
  public static func readArchive(_ url: URL) throws -> [NpyArray] { try readArchive(FileBytes(mapping: url)) }

  public static func readArchive(_ file: FileBytes) throws -> [NpyArray] {
    let archive = try ZipArchive(file, takingDeflated: true, hint: hint)
    let names = (Array(archive.entries.keys) + Array(archive.deflated.keys)).sorted()
    return try names.map { entry in
      let label = "\(file.name): \(entry)"
      guard entry.hasSuffix(".npy"), let checksum = archive.checksums[entry] else { throw bad(label, "expected a name that ends in .npy") }
      let name = String(entry.dropLast(4))
      let length: Int
      let header: Header
      let source: NpyArray.Source
      if let range = archive.entries[entry] {
        header = try Self.header(UnsafeRawBufferPointer(rebasing: file.all[range]), label)
        length = range.count
        source = .stored(range, header.length)
      } else if let packed = archive.deflated[entry] {
        // The beginning is enough for the header.
        let start = try unfold(file, packed.range, count: min(packed.size, maximumHeader + 12), whole: false, label)
        header = try start.withUnsafeBytes { try Self.header($0, label) }
        length = packed.size
        source = .deflated(packed.range, header.length)
      } else {
        throw bad(label, "is neither stored nor deflated")
      }
      guard length - header.length == header.byteCount else {
        throw bad(label, "\(header.shape) of \(header.dtype.rawValue) takes \(header.byteCount) bytes, found \(length - header.length)")
      }
      return NpyArray(name: name, header: header, file: file, source: source, label: label, checksum: checksum)
    }
  }

  /// Writes float32 values in row-major (C) order as an .npy file of version 1, whole or not at all.
  ///
  /// - Throws: `InputError(.cannotWrite)`, for example when the disk is full.
  public static func write(_ values: [Float], shape: [Int], to url: URL) throws {
    precondition(values.count == shape.reduce(1, *), "\(values.count) values for \(shape)")
    try AtomicFile.write(to: url) { sink in
      try sink.writeNpyHeader(.float32, shape)
      try values.withUnsafeBytes { try sink.write($0) }
    }
  }

  /// Writes uint8 values in row-major (C) order, as they come: `body` must write one byte for each element of `shape`.
  public static func writeBytes(shape: [Int], to url: URL, _ body: (AtomicFile.Sink) throws -> Void) throws {
    try AtomicFile.write(to: url) { sink in
      try sink.writeNpyHeader(.uint8, shape)
      try body(sink)
    }
  }

  static func bad(_ label: String, _ text: String) -> InputError { InputError(.badData, "\(label): \(text)", hint: hint) }

  struct Header {
    var dtype: DType
    var shape: [Int]
    var isFortran: Bool
    /// Bytes before the data.
    var length: Int
    var count: Int { shape.reduce(1, *) }
    /// Fits: `header` checks it.
    var byteCount: Int { count * dtype.size }
  }

  private static func header(_ bytes: UnsafeRawBufferPointer, _ label: String) throws -> Header {
    guard bytes.count >= 10, bytes.starts(with: magic) else { throw bad(label, "does not start like an .npy file") }
    let version = bytes[6]
    guard (1...3).contains(version), bytes[7] == 0 else {
      throw bad(label, "format version \(version).\(bytes[7]), expected 1.0, 2.0 or 3.0")
    }
    let start = version == 1 ? 10 : 12
    guard bytes.count >= start else { throw bad(label, "ends inside the header") }
    let length =
      version == 1
      ? Int(bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self).littleEndian)
      : Int(bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self).littleEndian)
    guard length <= maximumHeader else { throw bad(label, "the header would take \(length) bytes, expected at most \(maximumHeader)") }
    guard length <= bytes.count - start else { throw bad(label, "the header takes \(length) bytes, found \(bytes.count - start)") }
    var literal = NpyLiteral(bytes[start..<start + length])
    guard let (descr, fortran, shape) = literal.header() else {
      throw bad(label, "the header is not {'descr': '…', 'fortran_order': …, 'shape': (…)}")
    }
    guard let dtype = DType(rawValue: descr == "<u1" ? "|u1" : descr) else {
      throw InputError(
        .badData, "\(label): dtype \(descr) is not supported",
        hint: "expected one of \(DType.allCases.map(\.rawValue).joined(separator: ", ")): numpy's astype converts it")
    }
    guard shape.count <= maximumDimensions else { throw bad(label, "\(shape.count) dimensions, expected at most \(maximumDimensions)") }
    var size = dtype.size
    for d in shape {
      let (product, over) = size.multipliedReportingOverflow(by: max(d, 1))
      guard !over else { throw bad(label, "shape \(shape) is too large") }
      size = product
    }
    return Header(dtype: dtype, shape: shape, isFortran: fortran, length: start + length)
  }

  /// The first `count` bytes of a deflated entry; `whole`: it must end there.
  static func unfold(_ file: FileBytes, _ range: Range<Int>, count: Int, whole: Bool, _ label: String) throws -> [UInt8] {
    var ended: Int32 = 0
    var written = -1
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
      let from = (file.base + range.lowerBound).assumingMemoryBound(to: UInt8.self)
      guard let to = buffer.baseAddress else { return }
      written = Int(czlib_inflate(from, range.count, to, count, &ended))
      initialised = max(0, written)
    }
    guard written >= 0, !whole || (written == count && ended == 1) else {
      throw bad(label, "the deflated data is broken")
    }
    return bytes
  }
}

extension AtomicFile.Sink {
  /// Version 1; data starts at a multiple of 64 bytes.
  fileprivate func writeNpyHeader(_ dtype: Npy.DType, _ shape: [Int]) throws {
    let dimensions = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = "{'descr': '\(dtype.rawValue)', 'fortran_order': False, 'shape': (\(dimensions)), }"
    text += String(repeating: " ", count: (64 - (10 + text.utf8.count + 1) % 64) % 64) + "\n"
    try (Npy.magic + [1, 0]).withUnsafeBytes { try write($0) }
    try withUnsafeBytes(of: UInt16(text.utf8.count).littleEndian) { try write($0) }
    try write(text)
  }
}
