extension FigureLayout {
  func draw(on canvas: Canvas) throws {
    // One point more: the last pixels of a fractional size are covered whole.
    canvas.surface.fill(Rectangle(x: 0, y: 0, width: size.width + 1, height: size.height + 1), canvas.theme.background)
    canvas.panel = -1
    for (label, y, role) in header { canvas.draw(label, x: margin + label.text.inset, y: y, role) }
    if let bar { try bar.bar.draw(x: margin, y: bar.y, canvas) }
    if let note { canvas.draw(note.label, x: margin + note.label.text.inset, y: note.y, .note) }
    for (i, plot) in plots.enumerated() {
      canvas.panel = i
      try plot.draw(on: canvas)
    }
  }
}

extension FigureLayout.Plot {
  fileprivate func draw(on canvas: Canvas) throws {
    drawHead(on: canvas)
    // The bar may throw; the rest of the head cannot.
    try bar?.draw(x: headX, y: barY(canvas.em), canvas)
    let isPicture = prepared.x.flush || prepared.y.flush
    if !isPicture { drawGrid(on: canvas) }
    try canvas.surface.clipped(to: clip) {
      for (mark, area) in zip(prepared.panel.marks, areas(canvas)) { try mark.body.draw(in: area) }
    }
    if prepared.isEmpty {
      let label = try canvas.label("no values", canvas.theme.quietText, width: frame.width)
      canvas.draw(label, x: frame.x + (frame.width - label.size.width) / 2, y: frame.y + (frame.height - label.size.height) / 2, .mark)
    }
    drawX(on: canvas, line: !isPicture)
    drawY(on: canvas)
  }

  /// Strokes on the edge of a plot are whole.
  private var clip: Rectangle { Rectangle(x: frame.x - 1, y: frame.y - 1, width: frame.width + 2, height: frame.height + 2) }

  /// Heads of pictures stand flush with the picture, others with the labels of the y axis.
  private var headX: Double { y.labels.isEmpty ? frame.x : cell.x }

  private func barY(_ em: Double) -> Double {
    cell.y + (title.map { $0.size.height + em * 0.5 } ?? 0) + (legend.height > 0 ? legend.height + em * 0.3 : 0)
  }

  private func drawHead(on canvas: Canvas) {
    let em = canvas.em
    if let title { canvas.draw(title, x: headX, y: cell.y, .panelTitle) }
    legend.draw(x: headX, y: cell.y + (title.map { $0.size.height + em * 0.5 } ?? 0), canvas)
    let top = prepared.panel.x.onTop ? x.depth : 0
    if let name = y.name { canvas.draw(name, x: headX, y: frame.y - top - em * 0.65 - name.size.height, .axisName) }
    if prepared.panel.x.onTop, let name = x.name {
      canvas.draw(name, x: frame.x + frame.width - name.size.width, y: frame.y - top - em * 0.65 - name.size.height, .axisName)
    }
  }

  private func drawGrid(on canvas: Canvas) {
    let (s, theme) = (canvas.surface, canvas.theme)
    let isNamed = (x: x.isCategorical, y: y.isCategorical)
    if !isNamed.x {
      for (at, _) in x.labels { s.line(Point(x: at, y: frame.y), Point(x: at, y: frame.y + frame.height), theme.grid, width: 0.75) }
    }
    if !isNamed.y {
      for (at, _) in y.labels { s.line(Point(x: frame.x, y: at), Point(x: frame.x + frame.width, y: at), theme.grid, width: 0.75) }
    }
  }

  private func drawX(on canvas: Canvas, line: Bool) {
    guard prepared.panel.x.visible else { return }
    let (s, theme, em) = (canvas.surface, canvas.theme, canvas.em)
    let bottom = frame.y + frame.height
    if prepared.panel.x.onTop {
      for (at, label) in x.labels {
        canvas.draw(label, x: at - label.size.width / 2, y: frame.y - AxisLayout.gap(em) - label.size.height, .xTick)
      }
      return
    }
    if line { s.line(Point(x: frame.x, y: bottom), Point(x: frame.x + frame.width, y: bottom), theme.quietText, width: 0.9) }
    if !x.isCategorical {
      for at in x.minor { s.line(Point(x: at, y: bottom), Point(x: at, y: bottom + em * 0.18), theme.quietText, width: 0.6) }
      for (at, _) in x.labels { s.line(Point(x: at, y: bottom), Point(x: at, y: bottom + em * 0.35), theme.quietText, width: 0.9) }
    }
    for (at, label) in x.labels {
      if x.slanted {
        canvas.drawSlanted(label, endX: at + label.size.height * 0.2, y: bottom + AxisLayout.gap(em), angle: AxisLayout.angle, .xTick)
      } else {
        canvas.draw(label, x: at - label.size.width / 2, y: bottom + AxisLayout.gap(em), .xTick)
      }
    }
    if let name = x.name {
      let right = max(frame.x + frame.width - name.size.width, cell.x)
      canvas.draw(name, x: right, y: bottom + x.depth + em * 0.2, .axisName)
    }
  }

  private func drawY(on canvas: Canvas) {
    guard prepared.panel.y.visible else { return }
    let (s, theme, em) = (canvas.surface, canvas.theme, canvas.em)
    for at in y.minor { s.line(Point(x: frame.x - em * 0.2, y: at), Point(x: frame.x, y: at), theme.quietText, width: 0.6) }
    for (at, label) in y.labels {
      canvas.draw(label, x: frame.x - AxisLayout.gap(em) * 1.2 - label.size.width, y: at - label.size.height / 2, .yTick)
    }
  }
}

extension AxisLayout {
  var isCategorical: Bool { if case .categorical = axis.kind { true } else { false } }
}

extension Theme {
  /// Lines behind marks: fainter than the edges of pictures.
  var grid: Colour { line.mixed(with: background, 0.35) }
}
