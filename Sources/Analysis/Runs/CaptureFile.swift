import Engine
import Foundation

/// One safetensors file that grows while a run is made: `values` `[calls, rows, …]`, written behind a header whose room is kept free.
///
/// Nothing of the size of a whole run is ever held in memory.
final class CaptureFile {
  /// Room for the header; it is filled up with blanks, as the format allows.
  private static let headerRoom = 1024

  private let url: URL
  private let handle: FileHandle
  private let precision: CaptureSpec.Precision
  /// `[rows, …]`
  private let shape: [Int]
  private(set) var entries = 0

  /// - Parameter shape: of one entry, `[rows, …]`.
  init(_ url: URL, shape: [Int], precision: CaptureSpec.Precision) throws {
    self.url = url
    self.shape = shape
    self.precision = precision
    guard FileManager.default.createFile(atPath: url.path, contents: Data(count: 8 + Self.headerRoom)),
      let handle = try? FileHandle(forWritingTo: url)
    else { throw InputError(.cannotWrite, "\(url.relativePath): cannot be written: \(String(cString: strerror(errno)))") }
    self.handle = handle
    try write { try handle.seekToEnd() }
  }

  /// Adds one entry: the values of all rows.
  func append(_ values: [Float]) throws {
    precondition(values.count == shape.reduce(1, *), "\(values.count) values for \(shape)")
    let data =
      switch precision {
      case .float32: values.withUnsafeBytes { Data($0) }
      // What is beyond Float16's range becomes its largest number: an infinity would be refused by readers.
      case .float16: values.map { Float16(max(-65504, min(65504, $0))) }.withUnsafeBytes { Data($0) }
      }
    try write { try handle.write(contentsOf: data) }
    entries += 1
  }

  /// Writes the header.
  /// - Returns: the whole shape, `[calls, rows, …]`.
  func finish() throws -> [Int] {
    let whole = [entries] + shape
    let size = whole.reduce(1, *) * (precision == .float32 ? 4 : 2)
    let dimensions = whole.map(String.init).joined(separator: ",")
    let type = precision == .float32 ? "F32" : "F16"
    let header = "{\"values\":{\"dtype\":\"\(type)\",\"shape\":[\(dimensions)],\"data_offsets\":[0,\(size)]}}"
    let text = header + String(repeating: " ", count: Self.headerRoom - header.utf8.count)
    try write {
      try handle.seek(toOffset: 0)
      try handle.write(contentsOf: withUnsafeBytes(of: UInt64(Self.headerRoom).littleEndian) { Data($0) } + Data(text.utf8))
      try handle.synchronize()
      try handle.close()
    }
    return whole
  }

  private func write(_ body: () throws -> Void) throws {
    do { try body() } catch {
      throw InputError(
        .cannotWrite, "\(url.relativePath): cannot be written: \(error.localizedDescription)",
        hint: "make room on the disk, capture fewer sites or steps, or reduce them")
    }
  }
}
