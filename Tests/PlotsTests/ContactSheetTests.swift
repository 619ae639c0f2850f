import CCairo
import Foundation
import Testing

@testable import Plots

/// Pictures that look like something at 64 x 64: a ground, a sky and a disc.
func scene(_ hue: Int, width: Int = 64, height: Int = 64) throws -> RGBImage {
  let colours: [(Int, Int, Int)] = [(208, 52, 44), (44, 123, 182), (240, 180, 40), (70, 150, 80), (130, 90, 170), (230, 120, 60)]
  let c = colours[hue % colours.count]
  var pixels: [UInt8] = []
  for y in 0..<height {
    for x in 0..<width {
      let dx = Double(x) - Double(width) * (0.35 + 0.1 * Double(hue % 4))
      let dy = Double(y) - Double(height) * 0.48
      let inside = dx * dx + dy * dy < pow(Double(min(width, height)) * 0.24, 2)
      let ground = y > height * 7 / 10
      let shade = 1 - 0.3 * Double(y) / Double(height)
      let base = inside ? c : ground ? (120, 104, 84) : (190, 214, 232)
      for v in [base.0, base.1, base.2] { pixels.append(UInt8(Double(v) * (inside ? 1 : shade))) }
    }
  }
  return try RGBImage(width: width, height: height, pixels: pixels)
}

/// Pixels of a PNG, `0xRRGGBB`, by Cairo.
struct Decoded {
  let width: Int
  let height: Int
  let pixels: [UInt32]

  init(_ png: [UInt8]) throws {
    final class Source {
      var rest: ArraySlice<UInt8>
      init(_ bytes: [UInt8]) { rest = bytes[...] }
    }
    let source = Source(png)
    let read: cairo_read_func_t = { closure, to, count in
      guard let closure, let to else { return CAIRO_STATUS_READ_ERROR }
      let s = Unmanaged<Source>.fromOpaque(closure).takeUnretainedValue()
      guard s.rest.count >= Int(count) else { return CAIRO_STATUS_READ_ERROR }
      for (i, b) in s.rest.prefix(Int(count)).enumerated() { to[i] = b }
      s.rest = s.rest.dropFirst(Int(count))
      return CAIRO_STATUS_SUCCESS
    }
    let surface = cairo_image_surface_create_from_png_stream(read, Unmanaged.passUnretained(source).toOpaque())
    defer { cairo_surface_destroy(surface) }
    try PlotError.check(cairo_surface_status(surface), "reading PNG")
    width = Int(cairo_image_surface_get_width(surface))
    height = Int(cairo_image_surface_get_height(surface))
    let stride = Int(cairo_image_surface_get_stride(surface))
    let data = try #require(cairo_image_surface_get_data(surface))
    var out: [UInt32] = []
    for y in 0..<height {
      let row = UnsafeMutableRawPointer(data + y * stride).assumingMemoryBound(to: UInt32.self)
      for x in 0..<width { out.append(row[x] & 0xffffff) }
    }
    pixels = out
  }
}

@Suite struct ContactSheetTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(
    "Goldens/plots")

  private func sheet(_ theme: Theme) throws -> ContactSheet {
    let rows = try (0..<2).map { r in
      try (0..<3).map { c -> ContactSheet.Tile? in
        r == 1 && c == 2 ? nil : ContactSheet.Tile(try scene(3 * r + c), caption: "seed \(41 + c)")
      }
    }
    return ContactSheet(
      rows: rows, title: "Two prompts, three samplers", subtitle: "25 steps, guidance 8",
      columnLabels: [
        "ddim", "euler-a with a label that is much too long for its column and is cut at last, no doubt about it", "dpmpp-2m-karras",
      ],
      rowLabels: ["a red circle on the left of a blue square", "Ein Hügel, 夕焼け"], theme: theme, tileSize: 128)
  }

  /// The whole picture beside the one that was looked at and found good. Fonts are drawn a little differently by other versions of
  /// FreeType: a few pixels may differ, the mean hardly. What fails is kept beside the expected picture.
  @Test(arguments: ["light", "dark"]) func looksAsExpected(_ name: String) throws {
    var sheet = try sheet(name == "light" ? .light : .dark)
    // Scripts beyond Latin come from whatever font is there.
    sheet.rowLabels[1] = "Ein Hügel"
    let bytes = try sheet.render(.png, scale: 1)
    let expected = Self.folder.appendingPathComponent("contact-sheet-\(name).png")
    let failed = Self.folder.appendingPathComponent("contact-sheet-\(name).failed.png")
    if ProcessInfo.processInfo.environment["SDLAB_UPDATE_PICTURES"] != nil { try Data(bytes).write(to: expected) }
    let found = try Decoded(bytes)
    let want = try Decoded([UInt8](Data(contentsOf: expected)))
    var far = 0
    var sum = 0
    if found.width == want.width, found.height == want.height {
      for (a, b) in zip(found.pixels, want.pixels) where a != b {
        var d = 0
        for shift: UInt32 in [16, 8, 0] { d = max(d, abs(Int(a >> shift & 255) - Int(b >> shift & 255))) }
        sum += d
        if d > 64 { far += 1 }
      }
    }
    let good = found.width == want.width && found.height == want.height && far * 200 < want.pixels.count && sum < want.pixels.count
    if good { try? FileManager.default.removeItem(at: failed) } else { try Data(bytes).write(to: failed) }
    #expect(good, "\(far) pixels differ much, mean difference \(Double(sum) / Double(want.pixels.count)): see \(failed.lastPathComponent)")
  }

  @Test func picturesAreMagnifiedByWholeNumbersAndExact() throws {
    let image = try scene(1)
    let sheet = ContactSheet(rows: [[.init(image)]], tileSize: 200)
    #expect(sheet.shown(image) == Size(width: 192, height: 192))
    for scale in [1.0, 2.0, 3.0] {
      let d = try Decoded(sheet.render(.png, scale: scale))
      // Without labels the picture is in the middle; each of its pixels is a square of 3 * scale.
      let k = Int(3 * scale)
      let x0 = (d.width - 64 * k) / 2
      let y0 = (d.height - 64 * k) / 2
      var wrong = 0
      for y in 0..<64 * k {
        for x in 0..<64 * k {
          let s = 3 * (y / k * 64 + x / k)
          let want = (0..<3).reduce(UInt32(0)) { $0 << 8 | UInt32(image.pixels[s + $1]) }
          if d.pixels[(y0 + y) * d.width + x0 + x] != want { wrong += 1 }
        }
      }
      #expect(wrong == 0, "scale \(scale)")
    }
    let large = try scene(2, width: 600, height: 300)
    #expect(sheet.shown(large) == Size(width: 200, height: 100))
  }

  @Test func everyFormatIsWholeAndStable() throws {
    let sheet = try sheet(.light)
    for format in FileFormat.allCases {
      let bytes = try sheet.render(format)
      #expect(bytes == (try sheet.render(format)), "\(format)")
      let text = String(decoding: bytes, as: UTF8.self)
      switch format {
      case .png: #expect(bytes.starts(with: [0x89, 0x50, 0x4e, 0x47]))
      case .svg: #expect(text.contains("<svg") && text.contains("</svg>"))
      case .pdf: #expect(text.hasPrefix("%PDF") && text.contains("%%EOF"))
      }
    }
  }

  @Test func labelsStayInTheirPlaces() throws {
    let ruler = try Surface(.png, size: Size(width: 1, height: 1), scale: 1)
    let long = String(repeating: "Donaudampfschifffahrt ", count: 500) + "👩‍👩‍👧 הלו 你好 \0 \n \u{2028}"
    for lines in 1...3 {
      let one = try Text("x", font: "DejaVu Sans", .init(size: 12, colour: Colour(0)), width: 100, on: ruler)
      let text = try Text(long, font: "DejaVu Sans", .init(size: 12, colour: Colour(0), lines: lines), width: 100, on: ruler)
      #expect(text.size.width <= 101 && text.size.height <= one.size.height * (Double(lines) + 0.5))
    }
    let hostile = ContactSheet(
      rows: [[.init(try scene(0), caption: long), nil], []], title: long, subtitle: long, columnLabels: [long, "", "surplus"],
      rowLabels: [long, "no pictures here", "surplus"])
    let d = try Decoded(hostile.render(.png, scale: 1))
    #expect(d.width < 800 && d.height < 700)
  }

  @Test func whatCannotBeDrawnIsRefused() throws {
    #expect(throws: PlotError.self) { try ContactSheet(rows: []).render(.png) }
    #expect(throws: PlotError.self) { try ContactSheet(rows: [[nil]]).render(.png) }
    #expect(throws: PlotError.self) { try RGBImage(width: 2, height: 2, pixels: [0]) }
    #expect(throws: PlotError.self) { try RGBImage(width: 0, height: 2, pixels: []) }
    let one = ContactSheet(rows: [[.init(try scene(0))]])
    for scale in [0, -1, .nan, .infinity, 1e6] { #expect(throws: PlotError.self) { try one.render(.png, scale: scale) } }
    #expect(throws: PlotError.self) { try ContactSheet(rows: one.rows, tileSize: .nan).render(.svg) }
  }

  @Test func themesAreReadable() {
    for theme in [Theme.light, .dark] {
      #expect(theme.text.contrast(with: theme.background) >= 7)
      #expect(theme.quietText.contrast(with: theme.background) >= 4.5)
    }
    #expect(abs(Colour(0).contrast(with: Colour(0xffffff)) - 21) < 1e-9)
  }

  /// Not a test: writes sheets to look at, when SDLAB_LOOK names a folder.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["SDLAB_LOOK"] != nil)) func sheetsToLookAt() throws {
    let folder = URL(fileURLWithPath: ProcessInfo.processInfo.environment["SDLAB_LOOK"] ?? "")
    for (name, theme) in [("light", Theme.light), ("dark", .dark)] {
      var sheet = try sheet(theme)
      sheet.tileSize = 192
      for format in FileFormat.allCases {
        try Data(sheet.render(format)).write(to: folder.appendingPathComponent("\(name).\(format.rawValue)"))
      }
      let mixed = ContactSheet(
        rows: [
          [
            .init(try scene(1, width: 640, height: 360), caption: "640 x 360"),
            .init(try scene(2, width: 300, height: 512), caption: "300 x 512"),
          ],
          [.init(try scene(3, width: 16, height: 16), caption: "16 x 16, twelve times"), .init(try scene(4), caption: "👍 שלום مرحبا 你好")],
        ], title: "Other sizes", theme: theme)
      try Data(mixed.render(.png)).write(to: folder.appendingPathComponent("mixed-\(name).png"))
    }
    try Data(ContactSheet(rows: [[.init(try scene(5))]], title: "One picture and a title that needs room").render(.png)).write(
      to: folder.appendingPathComponent("one.png"))
  }
}
