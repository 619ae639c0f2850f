import Foundation

/// The scatter plot before JavaScript, or without: an inline SVG that takes its colours from the style sheet.
struct ScatterDrawing {
  var projection: Report.Scatter.Projection
  var factor: Report.Scatter.Factor?
  var title: String

  private static let width = 760.0
  private static let height = 520.0
  private static let margin = 24.0

  /// Eight colours in three shapes, in a box of 12: 24 categories can be told apart. The script has the same.
  private static let shapes = ["M6 1a5 5 0 1 0 .01 0z", "M1.5 1.5h9v9h-9z", "M6 .5l5.5 10h-11z"]

  /// Class, fill and shape of a category's points; -1 is none.
  private static func look(_ category: Int, of factor: Report.Scatter.Factor?) -> (style: String, fill: String?, shape: Int) {
    guard category >= 0 else { return ("none", nil, 0) }
    let fill = factor.flatMap { $0.colours.isEmpty ? nil : $0.colours[category] }
    return (fill == nil ? "c\(category % 8)" : "named", fill, category / 8 % 3)
  }

  /// For the template: the categories that points have.
  static func legend(of factor: Report.Scatter.Factor) -> [[String: Any]] {
    let present = Set(factor.values)
    return factor.categories.indices.filter(present.contains).map { category in
      let look = look(category, of: factor)
      return ["category": factor.categories[category], "class": look.style, "fill": shown(look.fill), "shape": shapes[look.shape]]
    }
  }

  func svg() -> String {
    let xs = projection.x + projection.marks.map(\.x) + projection.trajectories.flatMap(\.x)
    let ys = projection.y + projection.marks.map(\.y) + projection.trajectories.flatMap(\.y)
    let x = scale(xs, from: Self.margin, to: Self.width - Self.margin)
    let y = scale(ys, from: Self.height - Self.margin, to: Self.margin)
    let name = Markup().escapeText(
      "\(title): \(projection.method) of \(projection.space), \(projection.x.count) points"
        + (factor.map { ", coloured by \($0.name)" } ?? ""))
    var out = "<svg class=\"static\" viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\" aria-label=\"\(name)\">"
    func dot(_ i: Int) -> String {
      let look = Self.look(factor.map { $0.values[i] } ?? 0, of: factor)
      let fill = look.fill.map { " fill=\"\($0)\"" } ?? ""
      return "<path class=\"\(look.style)\"\(fill) d=\"\(Self.point(look.shape, x(projection.x[i]), y(projection.y[i])))\"/>"
    }
    out += projection.x.indices.map(dot).joined()
    for path in projection.trajectories {
      let points = zip(path.x, path.y).map { "\(Self.number(x($0))),\(Self.number(y($1)))" }.joined(separator: " ")
      if let end = path.point, let factor {
        let look = Self.look(factor.values[end], of: factor)
        let ink = look.fill ?? (look.style == "none" ? "var(--edge)" : "var(--\(look.style))")
        // Its own point lies above the line.
        out += "<polyline class=\"path\" style=\"stroke:\(ink)\" points=\"\(points)\"/>" + dot(end)
      } else {
        out += "<polyline class=\"path\" points=\"\(points)\"/>"
      }
      if let lastX = path.x.last, let lastY = path.y.last { out += label(path.label, x(lastX), y(lastY) + 20) }
    }
    for mark in projection.marks {
      out += "<circle class=\"mark\" cx=\"\(Self.number(x(mark.x)))\" cy=\"\(Self.number(y(mark.y)))\" r=\"7\"/>"
      out += label(mark.label, x(mark.x), y(mark.y) + 4)
    }
    return out + "</svg>"
  }

  private static func point(_ shape: Int, _ x: Double, _ y: Double) -> String {
    switch shape {
    case 0: "M\(number(x)) \(number(y - 3))a3 3 0 1 0 .01 0z"
    case 1: "M\(number(x - 2.7)) \(number(y - 2.7))h5.4v5.4h-5.4z"
    default: "M\(number(x)) \(number(y - 3.7))l3.4 6.1h-6.8z"
    }
  }

  /// Towards the middle, where there is room.
  private func label(_ text: String, _ x: Double, _ y: Double) -> String {
    let left = x > Self.width * 0.7
    let anchor = left ? " text-anchor=\"end\"" : ""
    return "<text x=\"\(Self.number(x + (left ? -12 : 12)))\" y=\"\(Self.number(y))\"\(anchor)>\(Markup().escapeText(text))</text>"
  }

  private func scale(_ values: [Float], from start: Double, to end: Double) -> (Float) -> Double {
    let low = Double(values.min() ?? 0)
    let span = Double(values.max() ?? 1) - low
    return { span > 0 ? start + (end - start) * (Double($0) - low) / span : (start + end) / 2 }
  }

  private static func number(_ v: Double) -> String { String(format: "%.1f", v) }
}
