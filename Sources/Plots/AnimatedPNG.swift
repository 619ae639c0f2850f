import CPNG

/// An animated PNG: pictures one after the other, forever, shown by browsers and most viewers; others show the first.
///
/// Chunks as in the PNG specification, third edition (W3C 2025), section 11.3.4 (acTL, fcTL, fdAT).
public enum AnimatedPNG {
  private static let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

  /// The file's bytes.
  ///
  /// - Parameters:
  ///   - frames: at least one, all of one size.
  ///   - milliseconds: how long each is shown, 1 to 65535.
  ///   - lastMilliseconds: how long the last one is shown; nil for as long as the others.
  ///   - loops: how often all are shown; 0: forever.
  /// - Throws: `PlotError` when there is no frame, sizes differ or numbers are out of range.
  public static func encode(_ frames: [RGBImage], milliseconds: Int = 100, lastMilliseconds: Int? = nil, loops: Int = 0) throws -> [UInt8] {
    guard let first = frames.first else { throw PlotError("animation: there is no picture to show") }
    for (i, frame) in frames.enumerated() where frame.width != first.width || frame.height != first.height {
      throw PlotError(
        "animation: expected pictures of one size (\(first.width) x \(first.height)), found \(frame.width) x \(frame.height) as number \(i + 1)"
      )
    }
    let last = lastMilliseconds ?? milliseconds
    guard (1...65535).contains(milliseconds), (1...65535).contains(last), (0...Int(Int32.max)).contains(loops) else {
      throw PlotError("animation: expected 1 to 65535 milliseconds and 0 or more loops, found \(milliseconds), \(last) and \(loops)")
    }
    var out = signature
    append("IHDR", big(first.width) + big(first.height) + [8, 2, 0, 0, 0], to: &out)  // 8 bits, RGB, not interlaced
    append("acTL", big(frames.count) + big(loops), to: &out)
    var sequence = 0
    for (i, frame) in frames.enumerated() {
      let delay = i == frames.count - 1 ? last : milliseconds
      // Place (0, 0), delay over 1000, leave the picture, replace what was there.
      let control = big(sequence) + big(frame.width) + big(frame.height) + big(0) + big(0) + big16(delay) + big16(1000) + [0, 0]
      append("fcTL", control, to: &out)
      sequence += 1
      let data = try compressed(frame)
      if i == 0 {
        append("IDAT", data, to: &out)
      } else {
        append("fdAT", big(sequence) + data, to: &out)
        sequence += 1
      }
    }
    append("IEND", [], to: &out)
    return out
  }

  private static func big(_ v: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: v >> $0) } }
  private static func big16(_ v: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: v >> 8), UInt8(truncatingIfNeeded: v)] }

  /// Length, name, data, CRC-32 of name and data.
  private static func append(_ name: String, _ data: [UInt8], to out: inout [UInt8]) {
    let body = Array(name.utf8) + data
    out += big(data.count)
    out += body
    out += big(Int(crc32(0, body, uInt(body.count))))
  }

  /// Filtered rows as one zlib stream. Each row gets the filter whose result is smallest when its bytes are taken as signed (the
  /// specification's heuristic, 12.8).
  private static func compressed(_ image: RGBImage) throws -> [UInt8] {
    let stride = 3 * image.width
    var rows: [UInt8] = []
    rows.reserveCapacity((stride + 1) * image.height)
    let zeros = [UInt8](repeating: 0, count: stride)
    var above = zeros
    for y in 0..<image.height {
      let row = Array(image.pixels[y * stride..<(y + 1) * stride])
      var best: (cost: Int, filter: UInt8, bytes: [UInt8]) = (.max, 0, row)
      for filter: UInt8 in 0...4 {
        let bytes = filtered(row, above, filter)
        let cost = bytes.reduce(0) { $0 + abs(Int(Int8(bitPattern: $1))) }
        if cost < best.cost { best = (cost, filter, bytes) }
      }
      rows.append(best.filter)
      rows += best.bytes
      above = row
    }
    var count = compressBound(uLong(rows.count))
    var out = [UInt8](repeating: 0, count: Int(count))
    let status = compress2(&out, &count, rows, uLong(rows.count), 9)
    guard status == Z_OK else { throw PlotError("animation: zlib could not compress (code \(status))") }
    return Array(out.prefix(Int(count)))
  }

  private static func filtered(_ row: [UInt8], _ above: [UInt8], _ filter: UInt8) -> [UInt8] {
    var out = row
    for i in row.indices {
      let a = i >= 3 ? Int(row[i - 3]) : 0
      let b = Int(above[i])
      let c = i >= 3 ? Int(above[i - 3]) : 0
      let guess =
        switch filter {
        case 1: a
        case 2: b
        case 3: (a + b) / 2
        case 4: paeth(a, b, c)
        default: 0
        }
      out[i] = row[i] &- UInt8(truncatingIfNeeded: guess)
    }
    return out
  }

  private static func paeth(_ a: Int, _ b: Int, _ c: Int) -> Int {
    let p = a + b - c
    let (pa, pb, pc) = (abs(p - a), abs(p - b), abs(p - c))
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c
  }
}
