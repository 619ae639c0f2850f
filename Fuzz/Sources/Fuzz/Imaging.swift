import Engine

/// Image files and the texts inside them. The first byte says what the rest is, so that the fuzzer reaches the readers behind a checksum:
///
/// 0 a file as it is; 1 a PNG file whose checksums are set right first, which is then decoded too; 2 to 4 the content of one tEXt, zTXt or
/// iTXt chunk; 5 to 9 a text under a keyword that is parsed further; 10 EXIF; 11 a JPEG file, decoded.
func imageMetadata(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard let data, count > 0 else { return 0 }
  let input = UnsafeBufferPointer(start: data, count: count)
  let rest = Array(input.dropFirst())
  switch input[0] % 12 {
  case 0: read(rest)
  case 1:
    let repaired = withChecksums(rest)
    read(repaired)
    decode(repaired, width: repaired.count > 24 ? big(repaired, 16) : 0, height: repaired.count > 24 ? big(repaired, 20) : 0)
  case 2: read(png("tEXt", rest))
  case 3: read(png("zTXt", rest))
  case 4: read(png("iTXt", rest))
  case 5: read(png("iTXt", Array("parameters\0\0\0\0\0".utf8) + rest))
  case 6: read(png("iTXt", Array("prompt\0\0\0\0\0".utf8) + rest))
  case 7: read(png("iTXt", Array("workflow\0\0\0\0\0".utf8) + rest))
  case 8: read(png("iTXt", Array("sdlab\0\0\0\0\0".utf8) + rest))
  case 9: read(png("tEXt", Array("parameters\0".utf8) + rest))
  case 10: read(png("eXIf", rest))
  default:
    read(rest)
    if let seen = try? ImageMetadata.read(bytes: rest, name: "fuzz") { decode(rest, width: seen.width ?? 0, height: seen.height ?? 0) }
  }
  return 0
}

private func read(_ bytes: [UInt8]) {
  guard let found = try? ImageMetadata.read(bytes: bytes, name: "fuzz") else { return }
  precondition(!found.notes.contains { $0.contains("\n") }, "a note of more than one line")
  // What was read must be writable again, and read as the same.
  if case .sdlab(let parameters) = try? found.origin(name: "fuzz"), let json = try? parameters.json() {
    precondition((try? GenerationParameters(json: json, name: "fuzz")) == parameters, "parameters changed on the way")
    _ = parameters.a1111
  }
}

/// Small pictures only: large ones are refused or take their time.
private func decode(_ bytes: [UInt8], width: Int, height: Int) {
  if width <= 256 && height <= 256 { _ = try? Picture(bytes: bytes, name: "fuzz") }
}

// MARK: - A PNG file around a chunk

private let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

private func png(_ type: String, _ content: [UInt8]) -> [UInt8] {
  signature + chunk("IHDR", [0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0]) + chunk(type, content) + chunk("IEND", [])
}

private func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
  let body = Array(type.utf8) + content
  return bytes(UInt32(content.count)) + body + bytes(checksum(body[...]))
}

private func withChecksums(_ file: [UInt8]) -> [UInt8] {
  var out = signature + file.dropFirst(signature.count)
  var at = signature.count
  while at + 12 <= out.count {
    let end = at + 8 + big(out, at)
    guard end + 4 <= out.count else { break }
    out.replaceSubrange(end..<end + 4, with: bytes(checksum(out[at + 4..<end])))
    at = end + 4
  }
  return out
}

private func big(_ b: [UInt8], _ i: Int) -> Int { (0..<4).reduce(0) { $0 << 8 | Int(b[i + $1]) } }

private func bytes(_ v: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: v >> $0) } }

private let table: [UInt32] = (0..<256).map { (n: UInt32) in (0..<8).reduce(n) { c, _ in c & 1 == 1 ? 0xedb8_8320 ^ c >> 1 : c >> 1 } }

private func checksum(_ b: ArraySlice<UInt8>) -> UInt32 { ~b.reduce(~0) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 } }
