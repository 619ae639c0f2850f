import Testing

@testable import Plots

@Suite struct AnimatedPNGTests {
  struct Chunk {
    var name: String
    var data: [UInt8]
  }

  private func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

  /// CRC-32 bit by bit, as the specification's annex D has it.
  private func checksum(_ bytes: [UInt8]) -> Int {
    var c: UInt32 = 0xffff_ffff
    for b in bytes {
      c ^= UInt32(b)
      for _ in 0..<8 { c = c & 1 == 1 ? 0xedb8_8320 ^ (c >> 1) : c >> 1 }
    }
    return Int(c ^ 0xffff_ffff)
  }

  private func chunks(_ file: [UInt8]) throws -> [Chunk] {
    #expect(Array(file.prefix(8)) == [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
    var out: [Chunk] = []
    var at = 8
    while at < file.count {
      let count = number(file[at..<at + 4])
      let body = Array(file[at + 4..<at + 8 + count])
      #expect(number(file[(at + 8 + count)..<(at + 12 + count)]) == checksum(body))
      out.append(Chunk(name: String(decoding: body.prefix(4), as: UTF8.self), data: Array(body.dropFirst(4))))
      at += 12 + count
    }
    #expect(at == file.count)
    return out
  }

  /// Each frame as a PNG of its own, so that Cairo and libpng decode it.
  private func still(_ header: [UInt8], _ data: [UInt8]) -> [UInt8] {
    func big(_ v: Int) -> [UInt8] { [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: v >> $0) } }
    var out: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
    for (name, body) in [("IHDR", header), ("IDAT", data), ("IEND", [])] {
      let whole = Array(name.utf8) + body
      out += big(body.count) + whole + big(checksum(whole))
    }
    return out
  }

  @Test func everyFrameComesBack() throws {
    var noise = Example.Noise(state: 9)
    var frames = try (0..<5).map { try scene($0, width: 37, height: 23) }
    // Noise and flat colour use every filter.
    frames.append(try RGBImage(width: 37, height: 23, pixels: (0..<37 * 23 * 3).map { _ in UInt8(noise.uniform() * 255) }))
    frames.append(try RGBImage(width: 37, height: 23, pixels: [UInt8](repeating: 255, count: 37 * 23 * 3)))
    let file = try AnimatedPNG.encode(frames, milliseconds: 80, lastMilliseconds: 900, loops: 3)
    let all = try chunks(file)
    #expect(all.map(\.name) == ["IHDR", "acTL", "fcTL", "IDAT"] + (1..<7).flatMap { _ in ["fcTL", "fdAT"] } + ["IEND"])
    #expect(number(all[1].data[0..<4]) == 7 && number(all[1].data[4..<8]) == 3)
    var sequence = 0
    var shown: [[UInt8]] = []
    var delays: [Int] = []
    for c in all {
      if c.name == "fcTL" || c.name == "fdAT" {
        #expect(number(c.data[0..<4]) == sequence)
        sequence += 1
      }
      if c.name == "fcTL" {
        #expect(c.data.count == 26 && number(c.data[4..<8]) == 37 && number(c.data[8..<12]) == 23 && number(c.data[22..<24]) == 1000)
        delays.append(number(c.data[20..<22]))
      }
      if c.name == "IDAT" { shown.append(c.data) }
      if c.name == "fdAT" { shown.append(Array(c.data.dropFirst(4))) }
    }
    #expect(delays == [80, 80, 80, 80, 80, 80, 900])
    for (frame, data) in zip(frames, shown) {
      let d = try Decoded(still(all[0].data, data))
      #expect(
        d.pixels
          == stride(from: 0, to: frame.pixels.count, by: 3).map { i in (0..<3).reduce(UInt32(0)) { $0 << 8 | UInt32(frame.pixels[i + $1]) }
          })
    }
    // A viewer that knows no animation shows the first.
    #expect(try Decoded(file).pixels == (try Decoded(still(all[0].data, shown[0])).pixels))
    #expect(file == (try AnimatedPNG.encode(frames, milliseconds: 80, lastMilliseconds: 900, loops: 3)))
  }

  @Test func whatIsNoAnimationIsRefused() throws {
    let frame = try scene(0)
    #expect(throws: PlotError.self) { try AnimatedPNG.encode([]) }
    #expect(throws: PlotError.self) { try AnimatedPNG.encode([frame, try scene(1, width: 10, height: 10)]) }
    for delay in [0, -1, 65536] { #expect(throws: PlotError.self) { try AnimatedPNG.encode([frame], milliseconds: delay) } }
    #expect(throws: PlotError.self) { try AnimatedPNG.encode([frame], loops: -1) }
  }
}
