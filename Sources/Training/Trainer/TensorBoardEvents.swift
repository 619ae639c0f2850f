import Foundation

/// Scalars and pictures as TensorBoard's event files hold them: records with checksums, in each a protocol buffer `Event`. Only the fields that a training needs
/// are written, by hand, for they are nine.
///
/// Sources: `tensorflow/core/lib/io/record_writer.h` (records), `tensorboard/compat/proto/{event,summary}.proto` (messages).
public enum TensorBoardEvents {
  /// What every file begins with: its version.
  /// - Parameter time: seconds since 1970.
  public static func head(time: Double) -> Data { record(event(time: time, step: 0, field: 3, Data("brain.Event:2".utf8))) }

  /// Says that a training starts at a step: readers forget what earlier files of the folder tell of it and of later ones.
  public static func start(time: Double, step: Int) -> Data {
    // SessionLog with status START.
    record(event(time: time, step: step, field: 7, varint(1, 1)))
  }

  /// Numbers of a step.
  public static func scalars(time: Double, step: Int, _ values: [(tag: String, value: Double)]) -> Data {
    let summary = values.reduce(into: Data()) { out, one in
      out += bytes(1, bytes(1, Data(one.tag.utf8)) + fixed(2, Float(one.value).bitPattern))
    }
    return record(event(time: time, step: step, field: 5, summary))
  }

  /// A PNG of a step.
  /// - Parameters:
  ///   - width: in pixels, as `height`.
  ///   - png: the file's bytes; 8 bits in each of red, green and blue.
  public static func picture(time: Double, step: Int, tag: String, width: Int, height: Int, png: Data) -> Data {
    let image = varint(1, UInt64(height)) + varint(2, UInt64(width)) + varint(3, 3) + bytes(4, png)
    return record(event(time: time, step: step, field: 5, bytes(1, bytes(1, Data(tag.utf8)) + bytes(4, image))))
  }

  private static func event(time: Double, step: Int, field: Int, _ body: Data) -> Data {
    var out = fixed(1, time.bitPattern)
    // As proto3 has it, zero is not written.
    if step != 0 { out += varint(2, UInt64(bitPattern: Int64(step))) }
    return out + bytes(field, body)
  }

  // MARK: Records

  /// Length, its checksum, the bytes, their checksum.
  private static func record(_ body: Data) -> Data {
    let length = littleEndian(UInt64(body.count))
    return length + littleEndian(masked(length)) + body + littleEndian(masked(body))
  }

  /// CRC-32C, rotated and moved, as checksums of bytes that hold checksums are weak.
  private static func masked(_ data: Data) -> UInt32 {
    let sum = crc32c(data)
    return (sum >> 15 | sum << 17) &+ 0xa282_ead8
  }

  /// CRC-32C (Castagnoli; RFC 3720, appendix B.4); zlib's is another polynomial's.
  static func crc32c(_ data: Data) -> UInt32 {
    ~data.reduce(~UInt32(0)) { sum, byte in table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ sum >> 8 }
  }

  private static let table: [UInt32] = (0..<256).map { start in
    (0..<8).reduce(UInt32(start)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82f6_3b78 : value >> 1 }
  }

  // MARK: Protocol buffers

  private static func varint(_ field: Int, _ value: UInt64) -> Data { varint(UInt64(field) << 3) + varint(value) }

  private static func bytes(_ field: Int, _ value: Data) -> Data { varint(UInt64(field) << 3 | 2) + varint(UInt64(value.count)) + value }

  private static func fixed(_ field: Int, _ bits: UInt64) -> Data { varint(UInt64(field) << 3 | 1) + littleEndian(bits) }

  private static func fixed(_ field: Int, _ bits: UInt32) -> Data { varint(UInt64(field) << 3 | 5) + littleEndian(bits) }

  private static func varint(_ value: UInt64) -> Data {
    var (out, rest) = (Data(), value)
    while rest > 127 {
      out.append(UInt8(truncatingIfNeeded: rest) | 128)
      rest >>= 7
    }
    out.append(UInt8(rest))
    return out
  }

  private static func littleEndian<Value: FixedWidthInteger>(_ value: Value) -> Data {
    withUnsafeBytes(of: value.littleEndian) { Data($0) }
  }
}
