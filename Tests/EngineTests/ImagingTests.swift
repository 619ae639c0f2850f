import Foundation
import Testing

@testable import Engine

/// What Pillow makes of the same files: Tests/Goldens/make/imaging.py.
enum ImagingGoldens {
  struct Decoded: Decodable, CustomTestStringConvertible {
    let name: String
    let file: Data
    let width: Int
    let height: Int
    let white: Data
    let ignored: Data
    let tolerance: Int
    var testDescription: String { name }
  }
  struct Resized: Decodable {
    let filter: String
    let width: Int
    let height: Int
    let pixels: Data
  }
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(
    "Goldens/imaging")
  static func load<T: Decodable>(_ file: String) throws -> [T] {
    try JSONDecoder().decode([T].self, from: Data(contentsOf: folder.appendingPathComponent(file)))
  }
  static let decoded: [Decoded] = (try? load("decode.json")) ?? []
}

/// The largest difference of two pictures' samples; 256 when their numbers differ.
private func difference(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Int {
  a.count == b.count ? zip(a, b).reduce(0) { max($0, abs(Int($1.0) - Int($1.1))) } : 256
}

private func noise(_ width: Int, _ height: Int) -> Picture {
  var state: UInt64 = 42
  let pixels = (0..<3 * width * height).map { _ -> UInt8 in
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return UInt8(truncatingIfNeeded: state >> 56)
  }
  return Picture(width: width, height: height, pixels: pixels)
}

private func temporaryFolder() throws -> URL {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("imaging-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  return folder
}

@Suite struct ImagingTests {
  @Test func goldensAreThere() { #expect(ImagingGoldens.decoded.count == 50) }

  @Test(arguments: ImagingGoldens.decoded) func decodesAsPillow(_ golden: ImagingGoldens.Decoded) throws {
    for (alpha, expected) in [(Picture.Alpha.overWhite, golden.white), (.ignored, golden.ignored)] {
      let picture = try Picture(bytes: [UInt8](golden.file), name: golden.name, alpha: alpha)
      #expect(picture.width == golden.width && picture.height == golden.height)
      #expect(difference(picture.pixels, expected) <= golden.tolerance, "\(golden.name) \(alpha)")
    }
  }

  @Test func resizesAsPillow() throws {
    let goldens: [ImagingGoldens.Resized] = try ImagingGoldens.load("resize.json")
    let first = try #require(goldens.first)
    let source = Picture(width: first.width, height: first.height, pixels: [UInt8](first.pixels))
    for g in goldens.dropFirst() where g.filter != "grey" {
      let filter = try #require(Picture.Filter.allCases.first { "\($0)" == g.filter })
      let ours = source.resized(width: g.width, height: g.height, filter: filter)
      #expect(difference(ours.pixels, g.pixels) == 0, "\(g.filter) \(g.width) x \(g.height)")
    }
    #expect(difference(source.grey, try #require(goldens.last).pixels) == 0)
  }

  @Test func tensorsRoundTrip() throws {
    let every = Picture(width: 256, height: 1, pixels: (0..<256).flatMap { [UInt8($0), UInt8(255 - $0), 7] })
    #expect(Picture(every.tensor) == every)
    #expect(every.tensor.shape == [1, 1, 256, 3])
    #expect(every.tensor.array[0] == -1 && every.tensor.array[1] == 1)
    // 127.5 and 0.5 go to the even neighbour; out of range is clamped, NaN is black.
    let odd = Tensor([0, (0.5 / 255 - 0.5) * 2, 3, -3, .nan, .infinity], [1, 1, 2, 3])
    #expect(Picture(odd).pixels == [128, 0, 255, 0, 0, 255])
    let second = Picture(Tensor.concatenated([every.tensor, Tensor(repeating: 0, [1, 1, 256, 3])]), index: 1)
    #expect(second.pixels.allSatisfy { $0 == 128 })
  }

  @Test func masksAreBinary() {
    let greys: [UInt8] = [0, 127, 128, 255]
    let picture = Picture(width: 4, height: 1, pixels: greys.flatMap { [$0, $0, $0] })
    #expect(picture.mask.shape == [1, 1, 4, 1])
    #expect(picture.mask.array == [0, 0, 1, 1])
  }

  @Test func writesWhatItReads() throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let picture = noise(37, 21)
    let url = folder.appendingPathComponent("a.png")
    try picture.writePNG(to: url)
    #expect(try Picture(url: url) == picture)
    #expect(try picture.png() == picture.png())
    try Picture(width: 2, height: 2, colour: (1, 2, 3)).writePNG(to: url)
    #expect(try Picture(url: url)[1, 1] == (1, 2, 3))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a.png"])
  }

  @Test func failedWritesLeaveNothing() throws {
    let folder = try temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let picture = noise(300, 300)
    func refused(_ path: String) {
      do {
        try picture.writePNG(to: URL(fileURLWithPath: path))
        Issue.record("wrote \(path)")
      } catch let error as InputError {
        #expect(error.kind == .cannotWrite)
        #expect(!error.description.contains("\n"))
      } catch { Issue.record("\(error)") }
    }
    refused(folder.path + "/missing/a.png")
    refused(folder.path)
    refused("/proc/a.png")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test func hostileFilesAreRefused() throws {
    func refused(_ bytes: [UInt8], _ what: String) {
      do {
        _ = try Picture(bytes: bytes, name: "x")
        Issue.record("accepted \(what)")
      } catch let error as InputError {
        #expect(error.kind == .badData, "\(what)")
        #expect(!error.description.contains("\n"))
      } catch { Issue.record("\(what): \(error)") }
    }
    refused([], "an empty file")
    refused(Array("GIF89a".utf8), "GIF")
    let png = try noise(40, 30).png()
    for cut in 0..<png.count { refused(Array(png[..<cut]), "a PNG cut at \(cut)") }
    for at in stride(from: 8, to: png.count, by: 7) {
      var damaged = png
      damaged[at] ^= 0x40
      refused(damaged, "a PNG damaged at \(at)")
    }
    let jpeg = [UInt8](try #require(ImagingGoldens.decoded.first { $0.name == "jpeg progressive" }).file)
    for cut in 0..<jpeg.count - 2 { refused(Array(jpeg[..<cut]), "a JPEG cut at \(cut)") }
    // Damage in a JPEG's entropy-coded data cannot always be told from content: it must not trap.
    for at in 2..<jpeg.count {
      var damaged = jpeg
      damaged[at] ^= 0x55
      _ = try? Picture(bytes: damaged, name: "x")
    }
    // A header that promises more than the file can hold, with a right checksum.
    for (w, h) in [(65535, 65535), (60000, 4000), (0, 5), (1 << 31, 1)] as [(UInt32, UInt32)] {
      var liar = Array(png[..<33])
      for i in 0..<4 {
        liar[16 + i] = UInt8(truncatingIfNeeded: w >> (24 - 8 * UInt32(i)))
        liar[20 + i] = UInt8(truncatingIfNeeded: h >> (24 - 8 * UInt32(i)))
      }
      let header = PNG.chunk("IHDR", Array(liar[16..<29]))
      refused(Array(png[..<8]) + header + Array(png[33...]), "\(w) x \(h)")
    }
    do {
      _ = try Picture(url: URL(fileURLWithPath: "/nonexistent/a.png"))
      Issue.record("read a missing file")
    } catch let error as InputError { #expect(error.kind == .missing) }
  }

  @Test func strayBytesInJPEGsAreForgiven() throws {
    let golden = try #require(ImagingGoldens.decoded.first { $0.name == "jpeg subsampling 0" })
    let jpeg = [UInt8](golden.file)
    let stray = Array(jpeg.dropLast(2)) + [0x12, 0x34, 0x56] + jpeg.suffix(2)
    #expect(difference(try Picture(bytes: stray, name: "x").pixels, golden.white) <= 1)
  }
}
