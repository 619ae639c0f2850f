import Foundation
import Testing

@testable import Plots

@Suite struct ColourTests {
  @Test func palettesAreMatplotlibs() throws {
    let golden = try JSONDecoder().decode(
      [String: [[Int]]].self, from: Data(contentsOf: Pictures.folder.appendingPathComponent("palettes.json")))
    #expect(golden.count == Palette.all.count)
    for palette in Palette.all {
      #expect(palette.bytes.count == 768)
      let entries = try #require(golden[palette.name])
      #expect(entries.count >= 18)
      // The diverging one is interpolated: the last bit may fall otherwise.
      let slack = palette.diverging ? 1 : 0
      for e in entries {
        for k in 0..<3 { #expect(abs(Int(palette.bytes[3 * e[0] + k]) - e[k + 1]) <= slack, "\(palette.name) \(e)") }
      }
    }
  }

  @Test func magnitudesGetBrighterStepByStep() {
    for palette in [Palette.viridis, .magma, .inferno, .cividis] {
      let brightness = (0..<256).map { palette.colour((Double($0) + 0.5) / 256).contrast(with: Colour(0)) }
      #expect(zip(brightness, brightness.dropFirst()).allSatisfy { $1 >= $0 - 0.02 }, "\(palette.name)")
    }
    #expect(Palette.viridis.colour(-3) == Palette.viridis.colour(0) && Palette.viridis.colour(7) == Palette.viridis.colour(1))
    #expect(Palette.viridis.colour(.nan) == Palette.viridis.colour(0))
  }

  @Test func divergingScalesHaveZeroInTheMiddle() throws {
    let scale = ColourScale(.redBlue)
    for values in [[-1.0, 3], [2, 5], [-7, -6], [0, 0]] {
      let resolved = try scale.resolved(Extent(values))
      #expect(abs(resolved.part(0) - 0.5) < 1e-12)
      #expect(resolved.low <= values[0] && resolved.high >= values[1])
      let zero = try #require(resolved.colour(0))
      #expect(zero.contrast(with: Colour(0xffffff)) < 1.1)
    }
    #expect(throws: PlotError.self) { try ColourScale(domain: 0...(.infinity)).resolved(Extent([1])) }
    #expect(throws: PlotError.self) { try ColourScale(domain: 1...1).resolved(Extent([1])) }
  }

  @Test func categoriesAreSeenOnBothGrounds() {
    for theme in [Theme.light, .dark] {
      let colours = theme.categories
      #expect(colours.count == 8)
      for (i, a) in colours.enumerated() {
        #expect(a.contrast(with: theme.background) >= 3, "\(i)")
        for b in colours[..<i] {
          let d = abs(a.red - b.red) + abs(a.green - b.green) + abs(a.blue - b.blue)
          #expect(d > 0.2, "\(i): \(a), \(b)")
        }
      }
    }
    // What is seen already stays as Okabe and Ito have it.
    #expect(Theme.light.categories[0] == Colour(0x0072b2) && Theme.dark.categories[4] == Colour(0xe69f00))
    #expect(Theme.light.categories[6] != Colour(0xf0e442))
  }
}
