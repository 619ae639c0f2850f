import Foundation

/// Ticks of moments: seconds since 1970-01-01 00:00 UTC, at round seconds, minutes, hours, days, months or years of UTC.
extension Ticks {
  private static let steps: [Double] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
  ]
  private static let day = 86_400.0

  static func time(_ low: Double, _ high: Double, count: Int) -> Ticks {
    // Beyond some ten thousand years there is no calendar worth the name.
    guard abs(low) < 3e11, abs(high) < 3e11, high - low > 1e-3 else { return linear(low, high, count: count) }
    let wanted = (high - low) / Double(max(count, 1))
    if wanted < 0.6 { return subseconds(low, high, count: count) }
    if let step = steps.first(where: { $0 >= wanted }) {
      // Weeks begin on a Monday; 1970 began on a Thursday.
      let offset = step == 604_800 ? 4 * day : 0
      var values: [Double] = []
      var v = ceil((low - offset) / step) * step + offset
      while v <= high {
        values.append(v)
        v += step
      }
      return Ticks(values: values, labels: labels(values, step: step))
    }
    return months(low, high, wanted: wanted)
  }

  private static func subseconds(_ low: Double, _ high: Double, count: Int) -> Ticks {
    let values = linear(low, high, count: count).values
    let (seconds, _) = NumberFormat.labels(values.map { $0 - floor($0 / 60) * 60 })
    return Ticks(values: values, labels: zip(values, seconds).map { "\(clock($0, seconds: false)):\($1)" })
  }

  private static func months(_ low: Double, _ high: Double, wanted: Double) -> Ticks {
    let month = 30.44 * day
    let step = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000, 12_000].first { Double($0) * month >= wanted } ?? 60_000
    let (year, firstMonth, _) = civil(floor(low / day))
    var m = (year * 12 + firstMonth - 1) / step * step
    var ticks = Ticks()
    while true {
      let v = days(year: floorDivide(m, 12), month: m - floorDivide(m, 12) * 12 + 1) * day
      if v > high { break }
      if v >= low {
        ticks.values.append(v)
        ticks.labels.append(monthLabel(m, step: step, first: ticks.values.count == 1))
      }
      m += step
    }
    return ticks
  }

  private static let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  private static func monthLabel(_ m: Int, step: Int, first: Bool) -> String {
    let year = floorDivide(m, 12)
    if step >= 12 { return String(year) }
    let name = names[m - year * 12]
    return first || m - year * 12 == 0 ? "\(name) \(year)" : name
  }

  /// A label says what changes; the first one and each new day say the day too.
  private static func labels(_ values: [Double], step: Double) -> [String] {
    var previous: Double?
    return values.map { v in
      let date = floor(v / day)
      defer { previous = date }
      let (year, month, dayOfMonth) = civil(date)
      let name = "\(dayOfMonth) \(names[month - 1])"
      if step >= day { return previous == nil ? "\(name) \(year)" : name }
      let time = clock(v, seconds: step < 60)
      return previous == date ? time : "\(name) \(time)"
    }
  }

  private static func clock(_ v: Double, seconds: Bool) -> String {
    let s = Int(v - floor(v / day) * day)
    let minutes = String(format: "%02d:%02d", s / 3600, s / 60 % 60)
    return seconds ? minutes + String(format: ":%02d", s % 60) : minutes
  }

  private static func floorDivide(_ a: Int, _ b: Int) -> Int { Int((Double(a) / Double(b)).rounded(.down)) }

  /// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date
  /// algorithms").
  static func civil(_ days: Double) -> (year: Int, month: Int, day: Int) {
    let z = Int(days) + 719_468
    let era = floorDivide(z, 146_097)
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let m = (5 * dayOfYear + 2) / 153
    let month = m < 10 ? m + 3 : m - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * m + 2) / 5 + 1)
  }

  /// Days from 1970-01-01 to the first of a month.
  static func days(year: Int, month: Int) -> Double {
    let y = month <= 2 ? year - 1 : year
    let era = floorDivide(y, 400)
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5
    return Double(era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468)
  }
}
