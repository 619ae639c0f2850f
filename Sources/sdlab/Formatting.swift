import Foundation

/// A number with so many decimals.
func decimal(_ value: Double, _ places: Int) -> String { String(format: "%.\(places)f", value) }

/// Three significant digits with a decimal prefix: `401 G`, `1.24 T`.
func prefixed(_ value: Double) -> String {
  var value = value
  var unit = 0
  let units = ["", " k", " M", " G", " T", " P", " E"]
  while value >= 999.5, unit < units.count - 1 {
    value /= 1000
    unit += 1
  }
  return (unit == 0 ? decimal(value, 0) : significant(value)) + units[unit]
}

/// `22.1 MB`: decimal, as disks are sold and files are listed by most tools.
func bytes(_ count: Double) -> String { prefixed(count) + (count < 999.5 ? " B" : "B") }

/// `1.2 s`, `3 min 20 s`, `2 h 5 min`.
func duration(_ seconds: Double) -> String {
  if seconds < 0.0995 { return "\(significant(seconds * 1000)) ms" }
  if seconds < 99.5 { return "\(significant(seconds)) s" }
  let s = Int(seconds.rounded())
  return s < 3600 ? "\(s / 60) min \(s % 60) s" : "\(s / 3600) h \(s / 60 % 60) min"
}

private func significant(_ value: Double) -> String { decimal(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0) }

/// `12,345,678`.
func grouped(_ n: Int) -> String {
  var out = ""
  for (i, digit) in String(abs(n)).reversed().enumerated() {
    if i > 0, i % 3 == 0 { out.append(",") }
    out.append(digit)
  }
  return (n < 0 ? "-" : "") + String(out.reversed())
}

/// Rows of cells with their columns aligned on the left, two blanks apart; no blanks at the ends of lines.
func table(_ rows: [[String]]) -> String {
  let columns = rows.map(\.count).max() ?? 0
  let widths = (0..<columns).map { c in rows.map { c < $0.count ? $0[c].count : 0 }.max() ?? 0 }
  return rows.map { row in
    row.enumerated().map { c, cell in c == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[c] - cell.count + 2) }
      .joined()
  }.joined(separator: "\n")
}
