import Foundation
import Testing

@testable import Plots

/// Marks put what they show where it belongs: cases whose right answer is known.
@Suite struct MarkTests {
  /// The pixel of a figure at a point of panel `i` in its own values.
  private func pixel(_ figure: Figure, panel i: Int = 0, _ x: Double, _ y: Double) throws -> UInt32 {
    let ruler = Canvas(try Surface(.png, size: Size(width: 1, height: 1), scale: 1), .light)
    let plot = try FigureLayout(figure, ruler).plots[i]
    let d = try Decoded(figure.render(.png, scale: 1))
    let px = try #require(plot.x.scale(x))
    let py = try #require(plot.y.scale(y))
    return d.pixels[Int(py) * d.width + Int(px)]
  }

  private func rgb(_ palette: Palette, _ part: Double) -> UInt32 {
    let (r, g, b) = palette.rgb(part)
    return UInt32(r) << 16 | UInt32(g) << 8 | UInt32(b)
  }

  private func isNear(_ a: UInt32, _ b: UInt32, _ slack: Int = 4) -> Bool {
    [16, 8, 0].allSatisfy { (shift: UInt32) in abs(Int(a >> shift & 255) - Int(b >> shift & 255)) <= slack }
  }

  @Test func cellsOfAMatrixLieInTheirRowsAndColumns() throws {
    let values = (0..<6).map(Double.init)
    let mark = Mark.heatmap(values, rows: 2, columns: 3)
    let named = Figure(panels: [Panel(x: .categorical("", ["a", "b", "c"]), y: .categorical("", ["top", "low"]), marks: [mark])])
    let numbers = Figure(panels: [Panel(marks: [mark])])
    let reversed = Figure(panels: [Panel(x: .linear(reversed: true), y: .linear(reversed: true), marks: [mark])])
    for figure in [named, numbers, reversed] {
      for r in 0..<2 {
        for c in 0..<3 {
          let found = try pixel(figure, Double(c), Double(r))
          #expect(isNear(found, rgb(.viridis, Double(3 * r + c) / 5)), "\(r) \(c): \(String(found, radix: 16))")
        }
      }
    }
    // Row 0 of names is on top, of numbers at the bottom.
    let ruler = Canvas(try Surface(.png, size: Size(width: 1, height: 1), scale: 1), .light)
    let y = try FigureLayout(named, ruler).plots[0].y.scale
    let (first, second) = (try #require(y(0)), try #require(y(1)))
    #expect(first < second)
  }

  /// A map whose hot cell is known, on a picture of another shape: colours and shares are as the formula says.
  @Test func overlaysLieOnTheirPicture() throws {
    let image = try RGBImage(width: 90, height: 30, pixels: [UInt8](repeating: 100, count: 90 * 30 * 3))
    var map = [Double](repeating: 0, count: 6 * 3)
    map[0 * 6 + 5] = 1  // the upper right cell
    for smooth in [false, true] {
      let figure = Figure(panels: [
        .picture(marks: [
          .overlay(image, map, rows: 3, columns: 6, colours: ColourScale(.magma, domain: 0...1), opacity: 0.5, smooth: smooth)
        ])
      ])
      func mixed(_ part: Double) -> UInt32 {
        let (r, g, b) = Palette.magma.rgb(part)
        return [r, g, b].reduce(0) { $0 << 8 | UInt32((100 + Double($1)) / 2) }
      }
      let hot = try pixel(figure, 82.5, 5)
      #expect(isNear(hot, mixed(1), smooth ? 12 : 2), "\(String(hot, radix: 16)), \(String(mixed(1), radix: 16))")
      for (x, y) in [(82.5, 25.0), (7.5, 5), (7.5, 25), (45, 15)] { #expect(isNear(try pixel(figure, x, y), mixed(0), 2)) }
      // Half way to the neighbour: half the value if smooth.
      if smooth { #expect(isNear(try pixel(figure, 75, 4), mixed(0.5), 14)) }
    }
  }

  @Test func oneScaleForAllPanels() throws {
    let image = try scene(1)
    let scale = ColourScale(.inferno)
    let panels = [1.0, 10].map { v in
      Panel.picture(marks: [.overlay(image, [0, v], rows: 1, columns: 2, colours: scale, opacity: 1, smooth: false)])
    }
    let common = Figure(commonColours: true, panels: panels)
    #expect(isNear(try pixel(common, panel: 0, 48, 32), rgb(.inferno, 0.1)))
    #expect(isNear(try pixel(common, panel: 1, 48, 32), rgb(.inferno, 1)))
    let own = Figure(panels: panels)
    #expect(isNear(try pixel(own, panel: 0, 48, 32), rgb(.inferno, 1)))
  }

  /// The contour of a cone is a circle.
  @Test func contoursHaveTheirValue() {
    let n = 41
    let values = (0..<n * n).map { hypot(Double($0 % n) - 20, Double($0 / n) - 20) }
    let segments = ContourLines.segments(values, rows: n, columns: n, level: 12.25)
    #expect(segments.count > 80)
    for s in segments { for p in [s.from, s.to] { #expect(abs(hypot(p.x - 20, p.y - 20) - 12.25) < 0.03) } }
    // A closed line: each end meets one other.
    var ends: [String: Int] = [:]
    for s in segments { for p in [s.from, s.to] { ends[String(format: "%.6f %.6f", p.x, p.y), default: 0] += 1 } }
    #expect(ends.values.allSatisfy { $0 == 2 })
    #expect(ContourLines.segments([0, 1, .nan, 1], rows: 2, columns: 2, level: 0.5).isEmpty)
    // A saddle: two lines that do not cross.
    let saddle = ContourLines.segments([1, 0, 0, 1], rows: 2, columns: 2, level: 0.4)
    #expect(saddle.count == 2)
    for s in saddle { #expect(abs(s.from.x - s.to.x) < 0.9 && abs((s.from.x - 0.5) * (s.from.y - 0.5)) <= 0.25) }
  }

  @Test func barsStandOnZeroAndReachTheirValue() throws {
    let figure = Figure(panels: [
      Panel(x: .categorical("", ["a", "b"]), y: .linear("", domain: -4...10), marks: [.bars([8, -3], colour: .fixed(Colour(0xff0000)))])
    ])
    #expect(try pixel(figure, 0, 7.8) == 0xff0000)
    #expect(try pixel(figure, 0, 0.2) == 0xff0000)
    #expect(try pixel(figure, 0, 8.3) != 0xff0000)
    #expect(try pixel(figure, 0, -0.5) != 0xff0000)
    #expect(try pixel(figure, 1, -2.8) == 0xff0000)
    #expect(try pixel(figure, 1, 0.4) != 0xff0000)
    #expect(try pixel(figure, 0.5, 4) != 0xff0000)
    // Two marks side by side.
    let two = Figure(panels: [
      Panel(
        x: .categorical("", ["a", "b"]), y: .linear(domain: 0...2),
        marks: [.bars([1, 1], colour: .fixed(Colour(0xff0000))), .bars([1, 1], colour: .fixed(Colour(0x0000ff)))])
    ])
    #expect(try pixel(two, -0.05, 0.5) == 0xff0000)
    #expect(try pixel(two, 0.05, 0.5) == 0x0000ff)
  }

  @Test func pointsLieAtTheirValues() throws {
    let figure = Figure(panels: [
      Panel(
        x: .log(domain: 1...100), y: .linear(domain: 0...1),
        marks: [.points([10], [0.25], colour: .fixed(Colour(0x00ff00)), radius: 5, opacity: 1)])
    ])
    #expect(try pixel(figure, 10, 0.25) == 0x00ff00)
    #expect(try pixel(figure, 20, 0.25) != 0x00ff00)
    let values = Figure(panels: [
      Panel(marks: [.points([0, 1], [0, 1], values: [5, 9], colours: ColourScale(.cividis), radius: 8, opacity: 1)])
    ])
    #expect(isNear(try pixel(values, 0, 0), rgb(.cividis, 0)))
    #expect(isNear(try pixel(values, 1, 1), rgb(.cividis, 1)))
  }

  @Test func aMillionPointsDrawTheLineOfAFew() throws {
    let n = 1_000_000
    let xs = (0..<n).map { Double($0) }
    let ys = xs.map { sin($0 / 80_000) }
    func png(_ step: Int) throws -> Decoded {
      let picked = stride(from: 0, to: n, by: step).map { $0 }
      return try Decoded(
        Figure(panels: [Panel(x: .linear(domain: 0...1e6), marks: [.line(picked.map { xs[$0] }, picked.map { ys[$0] })])]).render(
          .png, scale: 1))
    }
    #expect(Pictures.difference(try png(1), try png(500)).isSmall)
  }
}
