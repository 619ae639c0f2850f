import CPNG
import Foundation

/// The PNG container (ISO/IEC 15948): its chunks, its pixels, its text.
enum PNG {
  static let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

  /// One chunk: its four-letter type and where its content lies in the file.
  struct Chunk {
    let type: String
    let content: Range<Int>
  }

  /// The chunks in order, up to and including IEND or to where the structure breaks. `whole` tells which; a chunk whose CRC is wrong ends
  /// the list.
  static func chunks(_ bytes: [UInt8]) -> (chunks: [Chunk], whole: Bool) {
    var found: [Chunk] = []
    var at = signature.count
    while at + 12 <= bytes.count {
      let length = Int(bytes.bigEndian32(at))
      let content = at + 8..<at + 8 + length
      guard content.upperBound + 4 <= bytes.count, checksum(bytes, at + 4..<content.upperBound) == bytes.bigEndian32(content.upperBound)
      else {
        return (found, false)
      }
      let type = String(decoding: bytes[at + 4..<at + 8], as: UTF8.self)
      found.append(Chunk(type: type, content: content))
      if type == "IEND" { return (found, true) }
      at = content.upperBound + 4
    }
    return (found, false)
  }

  /// CRC-32 of PNG and zlib.
  private static func checksum(_ bytes: [UInt8], _ range: Range<Int>) -> UInt32 {
    bytes.withUnsafeBufferPointer { p in
      var sum: UInt = 0
      var at = range.lowerBound
      while at < range.upperBound, let base = p.baseAddress {
        let count = min(range.upperBound - at, 1 << 30)
        sum = crc32(sum, base + at, UInt32(count))
        at += count
      }
      return UInt32(truncatingIfNeeded: sum)
    }
  }

  /// Decompresses a zlib stream; nil when it is damaged or longer than `limit` bytes.
  static func inflate(_ bytes: ArraySlice<UInt8>, limit: Int) -> [UInt8]? {
    var stream = z_stream()
    guard inflateInit_(&stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
    defer { inflateEnd(&stream) }
    var input = Array(bytes)
    var out: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    return input.withUnsafeMutableBufferPointer { source -> [UInt8]? in
      stream.next_in = source.baseAddress
      stream.avail_in = UInt32(clamping: source.count)
      while true {
        let (status, made) = piece.withUnsafeMutableBufferPointer { target -> (Int32, Int) in
          stream.next_out = target.baseAddress
          stream.avail_out = UInt32(target.count)
          let status = CPNG.inflate(&stream, Z_NO_FLUSH)
          return (status, target.count - Int(stream.avail_out))
        }
        out.append(contentsOf: piece[..<made])
        if out.count > limit { return nil }
        if status == Z_STREAM_END { return out }
        // No progress with everything given means a stream cut short.
        if status != Z_OK || made == 0 { return nil }
      }
    }
  }

  static func decode(_ bytes: [UInt8], name: String, alpha: Picture.Alpha) throws -> Picture {
    func fail(_ reason: String) -> InputError {
      InputError(.badData, "\(name): not a sound PNG file (\(reason))", hint: "get or save it again")
    }
    let (chunks, whole) = chunks(bytes)
    guard let header = chunks.first, header.type == "IHDR", header.content.count == 13 else { throw fail("no header") }
    let width = Int(bytes.bigEndian32(header.content.lowerBound))
    let height = Int(bytes.bigEndian32(header.content.lowerBound + 4))
    try Picture.check(width: width, height: height, file: name)
    guard whole else { throw fail("it ends too early or a checksum is wrong") }
    // Deflate makes at most 1032 bytes out of one, and every row takes at least one byte for each 8 pixels: a short file cannot hold a
    // large picture, so no memory is taken for a header that lies.
    let compressed = chunks.reduce(0) { $0 + ($1.type == "IDAT" ? $1.content.count : 0) }
    guard compressed * 1032 >= (width + 7) / 8 * height else { throw fail("too short for \(width) x \(height) pixels") }

    return try bytes.withUnsafeBufferPointer { source in
      var reader = cpng_reader()
      guard cpng_open(&reader, source.baseAddress, source.count) == 1 else { throw fail(text(&reader)) }
      let channels = Int(reader.channels)
      guard Int(reader.width) == width, Int(reader.height) == height, channels == 3 || channels == 4 else {
        cpng_close(&reader)
        throw fail("unexpected layout")
      }
      var sound = false
      let raw = [UInt8](unsafeUninitializedCapacity: width * height * channels) { p, count in
        sound = cpng_pixels(&reader, p.baseAddress) == 1
        count = sound ? p.count : 0
      }
      guard sound else { throw fail(text(&reader)) }
      let rgb = channels == 3 ? raw : flattened(raw, alpha)
      let exif = chunks.first { $0.type == "eXIf" }.flatMap { EXIF(tiff: bytes[$0.content]) }
      return Picture(width: width, height: height, pixels: rgb).oriented(exif?.orientation ?? 1)
    }
  }

  private static func text(_ reader: inout cpng_reader) -> String {
    withUnsafeBytes(of: &reader.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  private static func flattened(_ rgba: [UInt8], _ alpha: Picture.Alpha) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: rgba.count / 4 * 3) { out, count in
      for i in 0..<rgba.count / 4 {
        let a = Int(rgba[4 * i + 3])
        for c in 0..<3 {
          let v = Int(rgba[4 * i + c])
          out[3 * i + c] =
            switch alpha {
            case .ignored: UInt8(v)
            case .overWhite: UInt8((v * a + 255 * (255 - a) + 127) / 255)
            }
        }
      }
      count = out.count
    }
  }
}

// MARK: - Writing

extension PNG {
  /// A text to be written into a PNG file.
  struct Text: Sendable, Equatable {
    /// 1 to 79 Latin-1 characters; by convention the name of a program or one of the standard's keywords.
    let keyword: String
    let text: String

    /// A whole chunk: tEXt when the text is Latin-1, iTXt (UTF-8, not compressed) when it is not or `international` asks for it.
    func chunk(international: Bool = false) -> [UInt8] {
      precondition(PNG.isKeyword(keyword), "\(keyword) is no PNG keyword")
      let key = keyword.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
      if !international, let latin = PNG.latin1(text) { return PNG.chunk("tEXt", key + [0] + latin) }
      // Not compressed, no language, no translated keyword. A NUL would end the text early for other readers.
      return PNG.chunk("iTXt", key + [0, 0, 0, 0, 0] + text.utf8.filter { $0 != 0 })
    }
  }

  /// Latin-1 without NUL; nil when the text holds anything else, or when its bytes would pass for UTF-8 with the readers that guess.
  fileprivate static func latin1(_ text: String) -> [UInt8]? {
    var out: [UInt8] = []
    for scalar in text.unicodeScalars {
      guard scalar.value != 0, let byte = UInt8(exactly: scalar.value) else { return nil }
      out.append(byte)
    }
    let isASCII = out.allSatisfy { $0 < 0x80 }
    return isASCII || String(validating: out, as: UTF8.self) == nil ? out : nil
  }

  static func isKeyword(_ text: String) -> Bool {
    (1...79).contains(text.unicodeScalars.count)
      && text.unicodeScalars.allSatisfy { (0x20...0x7e).contains($0.value) || (0xa1...0xff).contains($0.value) }
  }

  static func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
    let body = Array(type.utf8) + content
    return bigEndian(UInt32(content.count)) + body + bigEndian(checksum(body, 0..<body.count))
  }

  private static func bigEndian(_ v: UInt32) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: v >> $0) } }

  /// The bytes of an 8-bit RGB PNG file with `texts` before the pixels, where readers look for them first. The same input gives the same
  /// bytes.
  static func encode(_ picture: Picture, texts: [[UInt8]]) throws -> [UInt8] {
    try Picture.check(width: picture.width, height: picture.height, file: "picture to write")
    var memory: UnsafeMutablePointer<UInt8>?
    var count = 0
    var message = [CChar](repeating: 0, count: 160)
    let done = cpng_encode(picture.pixels, UInt32(picture.width), UInt32(picture.height), 6, &memory, &count, &message)
    guard done == 1, let memory else {
      let reason = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      throw InputError(.cannotWrite, "the picture cannot be encoded as PNG (\(reason))")
    }
    defer { free(memory) }
    let file = UnsafeBufferPointer(start: memory, count: count)
    let afterHeader = signature.count + 12 + 13
    var out: [UInt8] = []
    out.reserveCapacity(count + texts.reduce(0) { $0 + $1.count })
    out += file[..<afterHeader]
    for t in texts { out += t }
    out += file[afterHeader...]
    return out
  }
}

extension Picture {
  /// The bytes of an 8-bit RGB PNG file, deterministic, with `metadata` as text chunks.
  ///
  /// - Throws: `InputError` `.badData` for a size that PNG cannot hold, `.cannotWrite` when memory runs out.
  public func png(metadata: PictureMetadata = PictureMetadata()) throws -> [UInt8] { try PNG.encode(self, texts: metadata.chunks) }

  /// Writes a PNG file: whole under `url`, or not at all.
  ///
  /// - Throws: `InputError` `.cannotWrite` (missing folder, no permission, disk full); nothing is left behind, and a file that was there
  ///   stays.
  public func writePNG(to url: URL, metadata: PictureMetadata = PictureMetadata()) throws {
    try AtomicFile.write(Data(png(metadata: metadata)), to: url)
  }
}
