import Foundation

/// The scatter plot before JavaScript, or without: an inline SVG that takes its colours from the style sheet.
struct ScatterDrawing {
  var projection: Report.Scatter.Projection
  var factor: Report.Scatter.Factor?
  var title: String

  private static let width = 760.0
  private static let height = 520.0
  private static let margin = 24.0

  func svg() -> String {
    let xs = projection.x + projection.marks.map(\.x) + projection.trajectories.flatMap(\.x)
    let ys = projection.y + projection.marks.map(\.y) + projection.trajectories.flatMap(\.y)
    let x = scale(xs, from: Self.margin, to: Self.width - Self.margin)
    let y = scale(ys, from: Self.height - Self.margin, to: Self.margin)
    let name = Markup().escapeText(
      "\(title): \(projection.method) of \(projection.space), \(projection.x.count) points"
        + (factor.map { ", coloured by \($0.name)" } ?? ""))
    var out = "<svg class=\"static\" viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\" aria-label=\"\(name)\">"
    for i in projection.x.indices {
      let category = factor.map { $0.values[i] } ?? 0
      let named = factor.map { category >= 0 && !$0.colours.isEmpty ? " fill=\"\($0.colours[category])\"" : "" } ?? ""
      let style = category < 0 ? "none" : named.isEmpty ? "c\(category % 8)" : "named"
      out += "<circle class=\"\(style)\"\(named) cx=\"\(number(x(projection.x[i])))\" cy=\"\(number(y(projection.y[i])))\" r=\"3\"/>"
    }
    for path in projection.trajectories {
      let points = zip(path.x, path.y).map { "\(number(x($0))),\(number(y($1)))" }.joined(separator: " ")
      out += "<polyline class=\"path\" points=\"\(points)\"/>"
    }
    for mark in projection.marks {
      out += "<circle class=\"mark\" cx=\"\(number(x(mark.x)))\" cy=\"\(number(y(mark.y)))\" r=\"7\"/>"
    }
    return out + "</svg>"
  }

  private func scale(_ values: [Float], from start: Double, to end: Double) -> (Float) -> Double {
    let low = Double(values.min() ?? 0)
    let span = Double(values.max() ?? 1) - low
    return { span > 0 ? start + (end - start) * (Double($0) - low) / span : (start + end) / 2 }
  }

  private func number(_ v: Double) -> String { String(format: "%.1f", v) }
}
