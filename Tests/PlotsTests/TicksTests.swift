import Foundation
import Testing

@testable import Plots

@Suite struct TicksTests {
  private struct Case: Decodable {
    var low: Double
    var high: Double
    var count: Int
    var ticks: [Double]
  }

  /// Against a port of the authors' own R code.
  @Test func extendedWilkinsonAgreesWithItsReference() throws {
    let cases = try JSONDecoder().decode([Case].self, from: Data(contentsOf: Pictures.folder.appendingPathComponent("ticks.json")))
    #expect(cases.count >= 100)
    for c in cases {
      let found = ExtendedWilkinson.ticks(c.low, c.high, count: c.count)
      let range = c.high - c.low
      #expect(
        found.count == c.ticks.count && zip(found, c.ticks).allSatisfy { abs($0 - $1) <= range * 1e-7 },
        "\(c.low)...\(c.high), \(c.count): \(found), expected \(c.ticks)")
    }
  }

  /// The same labels at any magnitude, where the published epsilon would fail.
  @Test(arguments: [-140.0, -20, -9, 3, 12, 140]) func ticksScale(_ exponent: Double) {
    let unit = pow(10, exponent)
    for (low, high) in [(0.0, 1.0), (8.1, 14.1), (-7.3, 2.2)] {
      let plain = ExtendedWilkinson.ticks(low, high, count: 5)
      let scaled = ExtendedWilkinson.ticks(low * unit, high * unit, count: 5)
      #expect(plain.count == scaled.count && zip(plain, scaled).allSatisfy { abs($0 * unit - $1) <= 1e-9 * (high - low) * unit })
    }
  }

  @Test func thereAreNoTicksWhereThereIsNoRange() {
    for (low, high) in [(1.0, 1.0), (1, 0), (.nan, 1), (0, .infinity), (-1.7e308, 1.7e308), (1e15, 1e15 + 0.125)] {
      #expect(ExtendedWilkinson.ticks(low, high, count: 5).isEmpty)
    }
    #expect(!ExtendedWilkinson.ticks(0, 1, count: -3).isEmpty)
  }

  @Test func labelsHaveTheDigitsTheyNeed() {
    func labels(_ values: Double...) -> [String] { NumberFormat.labels(values).labels }
    #expect(labels(0, 0.25, 0.5) == ["0.00", "0.25", "0.50"])
    #expect(labels(-2, 0, 2) == ["−2", "0", "2"])
    #expect(labels(0, 5000, 10_000) == ["0", "5000", "10,000"])
    #expect(labels(0.1 + 0.2, 0.4) == ["0.3", "0.4"])
    #expect(NumberFormat.labels([0, 1e9, 1.5e9]) == (["0.0", "1.0", "1.5"], 9))
    #expect(NumberFormat.labels([0, 2e-5]) == (["0", "2"], -5))
    #expect(NumberFormat.labels([-0.0]) == (["0"], 0))
    #expect(NumberFormat.short(0.12345) == "0.123" && NumberFormat.short(-1200) == "−1200" && NumberFormat.short(12_345) == "12,345")
    #expect(NumberFormat.short(3.2e-7) == "3.2×10⁻⁷" && NumberFormat.short(.nan) == "–" && NumberFormat.short(2) == "2")
    #expect(NumberFormat.fixed(-0.001, 2) == "0.00")
  }

  /// Counts have no halves, and keep as many labels as they can.
  @Test func wholeNumbersOnly() {
    for high in [1.0, 2, 3, 5, 7, 19, 24, 250] {
      for count in 2...12 {
        let ticks = Ticks.linear(0, high, count: count, whole: true)
        #expect(ticks.values.allSatisfy { $0 == $0.rounded() && (0...high).contains($0) }, "0...\(high) by \(count): \(ticks.values)")
        #expect(ticks.labels.allSatisfy { !$0.contains(".") } && ticks.labels.count == ticks.values.count)
      }
    }
    #expect(Ticks.linear(0, 2, count: 6).values.contains(0.5))
    #expect(Ticks.linear(0, 2, count: 6, whole: true).values == [0, 1, 2])
  }

  @Test func logarithmicTicksAreDecades() {
    #expect(Ticks.log(0.008, 1200, count: 8).labels == ["0.01", "0.1", "1", "10", "100", "1000"])
    #expect(Ticks.log(1, 100, count: 9).values == [1, 2, 5, 10, 20, 50, 100])
    let many = Ticks.log(1e-30, 1e30, count: 6)
    #expect(many.values.count <= 7 && many.values.count >= 4 && many.labels.contains("10²⁰"))
    #expect(Ticks.log(2, 3, count: 5).values.count >= 3)
  }

  @Test func momentsAreRound() {
    let midnight = 1_709_164_800.0  // 29 February 2024
    #expect(Ticks.time(midnight - 100, midnight + 3 * 3600, count: 4).labels == ["29 Feb 00:00", "01:00", "02:00", "03:00"])
    #expect(Ticks.time(midnight, midnight + 2 * 86_400, count: 3).labels == ["29 Feb 2024", "1 Mar", "2 Mar"])
    #expect(Ticks.time(midnight, midnight + 200 * 86_400, count: 5).labels.first == "Mar 2024")
    #expect(Ticks.time(0, 50 * 365.25 * 86_400, count: 6).labels == ["1970", "1980", "1990", "2000", "2010", "2020"])
    // Every day of 1200 years, there and back.
    var days = Ticks.days(year: 1600, month: 1)
    while days < Ticks.days(year: 2800, month: 1) {
      let (year, month, day) = Ticks.civil(days)
      if Ticks.days(year: year, month: month) + Double(day - 1) != days { Issue.record("\(days)") }
      days += 1
    }
    // Foundation knows the calendar too.
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = TimeZone(secondsFromGMT: 0) ?? .current
    for d in [-40_000.0, -1, 0, 11_016, 19_782, 47_540] {
      let c = calendar.dateComponents([.year, .month, .day], from: Date(timeIntervalSince1970: d * 86_400))
      #expect(Ticks.civil(d) == (c.year ?? 0, c.month ?? 0, c.day ?? 0))
    }
  }
}
