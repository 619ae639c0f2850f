import Foundation

/// Numbers as they stand beside an axis or in a cell: no more digits than tell them apart, a true minus, commas in thousands.
enum NumberFormat {
  /// Labels with as many decimals as all of them need, the same for all, and the power of ten that was taken out of them (0 for none).
  static func labels(_ values: [Double]) -> (labels: [String], exponent: Int) {
    guard let largest = values.map({ abs($0) }).max(), largest > 0, largest.isFinite else { return (values.map { _ in "0" }, 0) }
    let magnitude = Int(floor(log10(largest) + 1e-9))
    let exponent = magnitude >= 6 || magnitude <= -4 ? magnitude : 0
    let unit = pow(10, Double(exponent))
    let scaled = values.map { $0 / unit }
    for decimals in 0...12 {
      let step = pow(10, Double(decimals))
      let gap = zip(scaled, scaled.dropFirst()).map { abs($1 - $0) }.min() ?? abs(scaled[0])
      if scaled.allSatisfy({ abs(($0 * step).rounded() / step - $0) <= max(gap, 1e-12) * 1e-4 }) {
        return (scaled.map { fixed($0, decimals) }, exponent)
      }
    }
    return (scaled.map { fixed($0, 12) }, exponent)
  }

  /// About three significant digits: values in cells and legends.
  static func short(_ value: Double) -> String {
    guard value.isFinite else { return value.isNaN ? "–" : value > 0 ? "∞" : "−∞" }
    if value == 0 { return "0" }
    let magnitude = Int(floor(log10(abs(value))))
    if magnitude >= 6 || magnitude < -4 {
      let mantissa = fixed(value / pow(10, Double(magnitude)), 2)
      return "\(trimmed(mantissa))×10\(superscript(magnitude))"
    }
    let text = fixed(value, max(0, 2 - magnitude))
    return text.contains(".") ? trimmed(text) : text
  }

  /// A function that writes all of `values` with the same decimals: three digits for the largest. Values of many magnitudes each get their
  /// own.
  static func uniform(_ values: [Double]) -> (Double) -> String {
    let largest = values.lazy.filter(\.isFinite).map { abs($0) }.max() ?? 0
    guard largest >= 0.01, largest < 1e6 else { return short }
    let decimals = max(0, 2 - Int(floor(log10(largest))))
    return { $0.isFinite ? fixed($0, decimals) : short($0) }
  }

  /// A label of a logarithmic axis: decimals near 1, powers beyond.
  static func logLabel(_ value: Double) -> String {
    let magnitude = Int(floor(log10(value) + 1e-9))
    if (-3...4).contains(magnitude) { return trimmed(fixed(value, max(0, 1 - magnitude))) }
    let mantissa = (value / pow(10, Double(magnitude))).rounded()
    return mantissa == 1 ? "10\(superscript(magnitude))" : "\(Int(mantissa))×10\(superscript(magnitude))"
  }

  static func superscript(_ n: Int) -> String {
    let digits: [Character: String] = [
      "-": "⁻", "0": "⁰", "1": "¹", "2": "²", "3": "³", "4": "⁴", "5": "⁵", "6": "⁶", "7": "⁷", "8": "⁸", "9": "⁹",
    ]
    return String(n).map { digits[$0] ?? "" }.joined()
  }

  static func fixed(_ value: Double, _ decimals: Int) -> String {
    var text = String(format: "%.\(decimals)f", abs(value))
    let whole = text.prefix { $0 != "." }
    if whole.count > 4 {
      var grouped = ""
      for (i, c) in whole.enumerated() {
        if i > 0, (whole.count - i) % 3 == 0 { grouped.append(",") }
        grouped.append(c)
      }
      text = grouped + text.dropFirst(whole.count)
    }
    let isZero = !text.contains { $0 != "0" && $0 != "." }
    return value < 0 && !isZero ? "−" + text : text
  }

  /// Without zeros at the end of the decimals.
  private static func trimmed(_ text: String) -> String {
    guard text.contains(".") else { return text }
    var out = Substring(text)
    while out.hasSuffix("0") { out = out.dropLast() }
    if out.hasSuffix(".") { out = out.dropLast() }
    return String(out)
  }
}
