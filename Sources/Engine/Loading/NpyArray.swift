import CZlib
import Foundation

/// An array as it lies in an .npy or .npz file. Its values are read by `float32()`.
public struct NpyArray: Sendable {
  /// Name in the .npz file; empty in an .npy file.
  public let name: String
  public var dtype: Npy.DType { header.dtype }
  public var shape: [Int] { header.shape }
  public var count: Int { header.count }

  let header: Npy.Header
  let file: FileBytes
  let source: Source
  /// For error lines.
  let label: String
  let checksum: UInt32?

  /// Where the bytes are; the number is the length of the header before the values.
  enum Source: Sendable {
    case plain(Int)
    case stored(Range<Int>, Int)
    case deflated(Range<Int>, Int)
  }

  /// The values in row-major (C) order, whichever order the file has; doubles and whole numbers are rounded to the nearest float32.
  ///
  /// NaN and infinity are passed on as they are.
  /// - Throws: `InputError(.badData)` when the bytes do not have the checksum of the .npz file or cannot be unfolded.
  public func float32() throws -> [Float] {
    switch source {
    case .plain(let start): return try values(UnsafeRawBufferPointer(rebasing: file.all[start...]))
    case .stored(let range, let start):
      let bytes = UnsafeRawBufferPointer(rebasing: file.all[range])
      try verify(bytes)
      return try values(UnsafeRawBufferPointer(rebasing: bytes[start...]))
    case .deflated(let range, let start):
      let bytes = try Npy.unfold(file, range, count: start + header.byteCount, whole: true, label)
      return try bytes.withUnsafeBytes {
        try verify($0)
        return try values(UnsafeRawBufferPointer(rebasing: $0[start...]))
      }
    }
  }

  private func verify(_ bytes: UnsafeRawBufferPointer) throws {
    guard let checksum, let base = bytes.baseAddress else { return }
    let found = czlib_crc32(base.assumingMemoryBound(to: UInt8.self), bytes.count)
    guard found == checksum else { throw Npy.bad(label, "the checksum does not match: the file is damaged") }
  }

  private func values(_ bytes: UnsafeRawBufferPointer) throws -> [Float] {
    let flat: [Float] =
      switch dtype {
      case .float32: read(bytes, UInt32.self) { Float(bitPattern: UInt32(littleEndian: $0)) }
      case .float64: read(bytes, UInt64.self) { Float(Double(bitPattern: UInt64(littleEndian: $0))) }
      case .float16:
        // A bit pattern, because a Float16 passed as an argument is slow where the processor has none.
        read(bytes, UInt16.self) { Float(Float16(bitPattern: UInt16(littleEndian: $0))) }
      case .int32: read(bytes, Int32.self) { Float(Int32(littleEndian: $0)) }
      case .int64: read(bytes, Int64.self) { Float(Int64(littleEndian: $0)) }
      case .uint8: read(bytes, UInt8.self) { Float($0) }
      }
    return header.isFortran && shape.count > 1 ? rowMajor(flat) : flat
  }

  private func read<T: BitwiseCopyable>(_ bytes: UnsafeRawBufferPointer, _: T.Type, _ convert: (T) -> Float) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { out, initialised in
      for i in 0..<count {
        out.initializeElement(at: i, to: convert(bytes.loadUnaligned(fromByteOffset: i * MemoryLayout<T>.size, as: T.self)))
      }
      initialised = count
    }
  }

  /// From Fortran's order, in which the first index runs fastest.
  private func rowMajor(_ values: [Float]) -> [Float] {
    guard !values.isEmpty else { return values }
    var strides: [Int] = []
    var stride = 1
    for d in shape {
      strides.append(stride)
      stride *= d
    }
    var out: [Float] = []
    out.reserveCapacity(values.count)
    Strides.walk(shape, strides) { out.append(values[$1]) }
    return out
  }
}
