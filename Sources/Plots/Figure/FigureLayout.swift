import Foundation

/// Where everything of a figure goes, in points from the upper left corner.
struct FigureLayout {
  struct Plot {
    var prepared: PreparedPanel
    var cell = Rectangle(x: 0, y: 0, width: 0, height: 0)
    var frame = Rectangle(x: 0, y: 0, width: 0, height: 0)
    var x: AxisLayout
    var y: AxisLayout
    var title: Canvas.Label?
    var legend: Legend
    var bar: ColourBar?
  }

  private(set) var size: Size
  private(set) var plots: [Plot] = []
  private(set) var header: [(label: Canvas.Label, y: Double, role: DrawnText.Role)] = []
  private(set) var note: (label: Canvas.Label, y: Double)?
  private(set) var bar: (bar: ColourBar, y: Double)?
  let margin: Double

  init(_ figure: Figure, _ canvas: Canvas) throws {
    guard figure.width.isFinite, (60...20_000).contains(figure.width) else {
      throw PlotError("figure: expected a width of 60 to 20000 points, found \(figure.width)")
    }
    if let height = figure.height, !(40...20_000).contains(height) {
      throw PlotError("figure: expected a height of 40 to 20000 points, found \(height)")
    }
    guard !figure.panels.isEmpty else { throw PlotError("figure: there is no panel to show") }
    guard figure.panels.count <= 400 else { throw PlotError("figure: expected at most 400 panels, found \(figure.panels.count)") }
    var prepared = try figure.panels.map(PreparedPanel.init)
    let common = try Self.resolveColours(&prepared, common: figure.commonColours)
    margin = (canvas.em * 1.5).rounded()
    size = Size(width: figure.width, height: 0)

    let omitted = prepared.map(\.omitted).reduce(0, +)
    let hasLog = figure.panels.contains { $0.x.kind == .log || $0.y.kind == .log }
    var sentences = figure.note.isEmpty ? [] : [figure.note]
    if omitted > 0 {
      let what = hasLog ? "not finite, or not above 0 on a logarithmic axis" : "not finite"
      sentences.append(
        omitted == 1
          ? "1 value is \(what), and is not drawn." : "\(NumberFormat.fixed(Double(omitted), 0)) values are \(what), and are not drawn.")
    }
    try arrange(figure, prepared, common, note: sentences.joined(separator: " "), canvas)
    let remarks = remarks(canvas)
    if !remarks.isEmpty { try arrange(figure, prepared, common, note: (sentences + remarks).joined(separator: " "), canvas) }
  }

  private static func resolveColours(_ panels: inout [PreparedPanel], common: Bool) throws -> ResolvedColours? {
    if common {
      guard var all = panels.lazy.compactMap(\.coloured).first else { return nil }
      for p in panels { if let c = p.coloured { all.extent.join(c.extent) } }
      let resolved = try all.scale.resolved(all.extent)
      for i in panels.indices where panels[i].coloured != nil { panels[i].colours = resolved }
      return resolved
    }
    for i in panels.indices { panels[i].colours = try panels[i].coloured.map { try $0.scale.resolved($0.extent) } }
    return nil
  }

  private mutating func arrange(
    _ figure: Figure, _ prepared: [PreparedPanel], _ common: ResolvedColours?, note text: String, _ canvas: Canvas
  ) throws {
    let em = canvas.em
    let theme = canvas.theme
    let inner = figure.width - 2 * margin
    header = []
    var y = margin
    if !figure.title.isEmpty {
      let label = try canvas.label(figure.title, size: 1.35, bold: true, width: inner, lines: 3)
      header.append((label, y, .title))
      y += label.size.height + em * 0.3
    }
    if !figure.subtitle.isEmpty {
      let label = try canvas.label(figure.subtitle, size: 1, theme.quietText, width: inner, lines: 4)
      header.append((label, y, .subtitle))
      y += label.size.height + em * 0.3
    }
    if !header.isEmpty { y += em * 0.7 }
    if let common {
      let bar = try ColourBar(common, width: inner, canvas)
      self.bar = (bar, y)
      y += bar.height + em
    }
    let noteLabel = text.isEmpty ? nil : try canvas.label(text, size: 0.82, theme.quietText, width: inner, lines: 12)
    let noteRoom = noteLabel.map { $0.size.height + em } ?? 0
    let bottom = try arrangePanels(
      figure, prepared, canvas, top: y, room: figure.height.map { $0 - y - noteRoom - margin })
    size.height = figure.height ?? (bottom + noteRoom + margin).rounded(.up)
    note = noteLabel.map { ($0, size.height - margin - $0.size.height) }
  }

  /// Insets of columns and rows of panels grow until all labels have their room; plots of one column begin and end alike, but for pictures, which have no
  /// axes and keep the column's whole width.
  private mutating func arrangePanels(
    _ figure: Figure, _ prepared: [PreparedPanel], _ canvas: Canvas, top: Double, room: Double?
  ) throws -> Double {
    let em = canvas.em
    let columns = min(max(figure.columns ?? min(prepared.count, 3), 1), prepared.count)
    let rows = (prepared.count + columns - 1) / columns
    let gap = em * 1.8
    let cellWidth = (figure.width - 2 * margin - Double(columns - 1) * gap) / Double(columns)
    guard cellWidth >= 30 else { throw PlotError("figure: \(columns) panels side by side do not fit \(figure.width) points") }
    let heads = try prepared.map { try Head($0, width: cellWidth, shared: figure.commonColours, canvas) }
    var left = [Double](repeating: 0, count: columns)
    var right = left
    var above = [Double](repeating: 0, count: rows)
    var below = above
    var bottom = top
    for _ in 0..<8 {
      let insets: [(left: Double, right: Double)] = prepared.enumerated().map { i, p in
        p.panel.hasAxes ? (left[i % columns], right[i % columns]) : (0, 0)
      }
      let natural = zip(prepared, insets).map { $0.height(width: cellWidth - $1.left - $1.right, em: em) }
      var heights = (0..<rows).map { r in natural[(r * columns)..<min((r + 1) * columns, natural.count)].map(\.points).max() ?? 0 }
      if let room {
        let free = room - above.reduce(0, +) - below.reduce(0, +) - Double(rows - 1) * gap
        let factor = free / max(heights.reduce(0, +), 1e-9)
        heights = heights.map { $0 * factor }
      }
      guard heights.allSatisfy({ $0 >= 8 && $0 <= 30_000 }), zip(left, right).allSatisfy({ cellWidth - $0 - $1 >= 16 }) else {
        throw PlotError(
          "figure: \(prepared.count) panels and their labels do not fit \(figure.width) x \(figure.height ?? .infinity) points")
      }
      var grown = false
      func grow(_ value: inout Double, _ needed: Double) {
        if needed > value + 0.01 {
          value = needed
          grown = true
        }
      }
      plots = []
      var y = top
      for r in 0..<rows {
        for i in (r * columns)..<min((r + 1) * columns, prepared.count) {
          let c = i % columns
          let cell = Rectangle(x: margin + Double(c) * (cellWidth + gap), y: y, width: cellWidth, height: above[r] + heights[r] + below[r])
          var frame = Rectangle(
            x: cell.x + insets[i].left, y: y + above[r], width: cellWidth - insets[i].left - insets[i].right, height: heights[r])
          if natural[i].exact { frame = Self.fitted(prepared[i], frame, em) }
          let scales = try prepared[i].scales(frame)
          let onTop = prepared[i].panel.x.onTop
          let cellSize = Size(width: cellWidth, height: cell.height)
          let plot = Plot(
            prepared: prepared[i], cell: cell, frame: frame,
            x: try AxisLayout(prepared[i].panel.x, scales.x, horizontal: true, sharesLine: onTop, cell: cellSize, canvas),
            y: try AxisLayout(prepared[i].panel.y, scales.y, horizontal: false, sharesLine: onTop, cell: cellSize, canvas),
            title: heads[i].title,
            legend: heads[i].legend, bar: heads[i].bar)
          plots.append(plot)
          grow(&left[c], max(plot.y.depth, plot.x.overhang.left))
          grow(&right[c], plot.x.overhang.right)
          grow(&above[r], heads[i].height(em) + plot.roomAbove(em))
          grow(&below[r], plot.roomBelow(em))
        }
        y += above[r] + heights[r] + below[r] + gap
      }
      bottom = y - gap
      if !grown { return bottom }
    }
    return bottom
  }

  /// The largest frame of the panel's own shape in the upper left of `frame`.
  private static func fitted(_ panel: PreparedPanel, _ frame: Rectangle, _ em: Double) -> Rectangle {
    var out = frame
    let natural = panel.height(width: frame.width, em: em).points
    if natural <= frame.height + 1e-6 {
      out.height = natural
      return out
    }
    var (low, high) = (0.0, frame.width)
    for _ in 0..<40 {
      let middle = (low + high) / 2
      if panel.height(width: middle, em: em).points <= frame.height { low = middle } else { high = middle }
    }
    out.width = max(low, 1)
    return out
  }

  /// What stands over a plot and does not depend on its size.
  private struct Head {
    var title: Canvas.Label?
    var legend: Legend
    var bar: ColourBar?

    init(_ p: PreparedPanel, width: Double, shared: Bool, _ canvas: Canvas) throws {
      title = p.panel.title.isEmpty ? nil : try canvas.label(p.panel.title, size: 1, bold: true, width: width, lines: 2)
      legend = try Legend(p.legend(canvas.theme), width: width, canvas)
      if let colours = p.colours, !shared, p.panel.legend { bar = try ColourBar(colours, width: width, canvas) }
    }

    func height(_ em: Double) -> Double {
      (title.map { $0.size.height + em * 0.5 } ?? 0) + (legend.height > 0 ? legend.height + em * 0.3 : 0)
        + (bar.map { $0.height + em * 0.5 } ?? 0)
    }
  }

  private func remarks(_ canvas: Canvas) -> [String] {
    plots.flatMap { plot in
      zip(plot.prepared.panel.marks, plot.areas(canvas)).compactMap { $0.body.remark(in: $1) }
    }
  }
}

extension FigureLayout.Plot {
  /// Names and labels over the plot; half of the uppermost label of the y axis too.
  fileprivate func roomAbove(_ em: Double) -> Double {
    let names = max(y.name?.size.height ?? 0, prepared.panel.x.onTop ? x.name?.size.height ?? 0 : 0)
    let labels = prepared.panel.x.onTop ? x.depth : 0
    if names > 0 { return names + em * 0.65 + labels }
    return max(labels, y.labels.isEmpty ? 0 : em * 0.6)
  }

  fileprivate func roomBelow(_ em: Double) -> Double {
    let half = y.labels.isEmpty ? 0 : em * 0.6
    if prepared.panel.x.onTop { return half }
    return max(half, x.depth + (x.name.map { $0.size.height + em * 0.2 } ?? 0) + (y.labels.isEmpty ? 0 : em * 0.2))
  }

  /// One area for each mark.
  func areas(_ canvas: Canvas) -> [PlotArea] {
    prepared.panel.marks.indices.map { i in
      PlotArea(
        frame: frame, x: x.scale, y: y.scale, canvas: canvas, series: prepared.series[i], place: prepared.places[i],
        colours: prepared.colours)
    }
  }
}
