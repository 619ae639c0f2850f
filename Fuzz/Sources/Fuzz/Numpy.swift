import Engine
import Foundation

/// numpy's array files: what was read keeps to its shape.
func npy(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let file = FileBytes(copying: UnsafeRawBufferPointer(start: data, count: count), name: "input")
  precondition(count >= 6 || !Npy.looksLike(file), "\(count) bytes look like a file")
  guard let array = try? Npy.read(file), let values = try? array.float32() else { return 0 }
  precondition(values.count == array.count && array.count == array.shape.reduce(1, *), "\(values.count) values for \(array.shape)")
  return 0
}

/// Zip files of them. The first byte says what the rest is, so that the fuzzer reaches the readers behind the directory: 0 a file as it is; 1 the
/// .npy file of a stored entry; 2 the deflated stream of one, whose unfolded size the next two bytes give.
func npz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard let data, count > 0 else { return 0 }
  let input = UnsafeBufferPointer(start: data, count: count)
  let rest = Array(input.dropFirst())
  switch input[0] % 3 {
  case 0: read(rest)
  case 1: read(archive(rest, method: 0, size: rest.count))
  default:
    guard rest.count >= 2 else { return 0 }
    read(archive(Array(rest.dropFirst(2)), method: 8, size: Int(rest[0]) | Int(rest[1]) << 8))
  }
  return 0
}

private func read(_ bytes: [UInt8]) {
  let file = bytes.withUnsafeBytes { FileBytes(copying: $0, name: "input") }
  guard let arrays = try? Npy.readArchive(file) else { return }
  for array in arrays {
    guard let values = try? array.float32() else { continue }
    precondition(values.count == array.count, "\(values.count) values for \(array.shape)")
  }
}

/// A zip file with one entry, `a.npy`. Its checksum is that of a stored entry; a deflated one's is wrong, which is noticed after it is unfolded.
private func archive(_ content: [UInt8], method: UInt16, size: Int) -> [UInt8] {
  let name = Array("a.npy".utf8)
  let common =
    little(method) + little(UInt32(0)) + little(checksum(content)) + little(UInt32(content.count)) + little(UInt32(size))
    + little(UInt16(name.count)) + little(UInt16(0))
  let local = little(UInt32(0x0403_4b50)) + little(UInt16(20)) + little(UInt16(0)) + common + name + content
  let central =
    little(UInt32(0x0201_4b50)) + little(UInt16(20)) + little(UInt16(20)) + little(UInt16(0)) + common
    + [UInt8](repeating: 0, count: 14) + name
  let end =
    little(UInt32(0x0605_4b50)) + little(UInt32(0)) + little(UInt16(1)) + little(UInt16(1)) + little(UInt32(central.count))
    + little(UInt32(local.count)) + little(UInt16(0))
  return local + central + end
}

private func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

private let table: [UInt32] = (0..<256).map { (n: UInt32) in (0..<8).reduce(n) { c, _ in c & 1 == 1 ? 0xedb8_8320 ^ c >> 1 : c >> 1 } }

private func checksum(_ b: [UInt8]) -> UInt32 { ~b.reduce(~0) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 } }
