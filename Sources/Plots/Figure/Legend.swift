/// One line of a legend.
struct LegendEntry: Equatable {
  enum Key: Equatable {
    case sign(Sign)
    case swatch
    case line(width: Double, dash: [Double], band: Bool, dots: Bool)
  }
  var label: String
  var colour: Colour
  var key: Key

  init(_ label: String, _ colour: Colour, _ key: Key) {
    self.label = label
    self.colour = colour
    self.key = key
  }
}

/// Keys and labels that flow in lines over a plot.
struct Legend {
  private var items: [(entry: LegendEntry, label: Canvas.Label, x: Double, y: Double)] = []
  private(set) var height = 0.0

  /// More entries than anybody tells apart: the rest is counted.
  private static let most = 40

  /// Same labels with same keys are shown once.
  init(_ entries: [LegendEntry], width: Double, _ canvas: Canvas) throws {
    var unique: [LegendEntry] = []
    for e in entries where !unique.contains(e) { unique.append(e) }
    if unique.isEmpty { return }
    let em = canvas.em
    let line = em * 1.45
    var (x, y) = (0.0, 0.0)
    for (i, e) in unique.prefix(Self.most).enumerated() {
      let key = Self.keyWidth(e.key, em)
      let label = try canvas.label(e.label, width: max(min(width - key, em * 22), em))
      let needed = key + label.size.width
      if i > 0, x + needed > width {
        x = 0
        y += line
      }
      items.append((e, label, x, y))
      x += needed + em * 1.4
    }
    if unique.count > Self.most {
      let label = try canvas.label("and \(unique.count - Self.most) more", canvas.theme.quietText, width: width)
      items.append((LegendEntry("", canvas.theme.quietText, .line(width: 0, dash: [], band: false, dots: false)), label, 0, y + line))
      y += line
    }
    height = y + line
  }

  private static func keyWidth(_ key: LegendEntry.Key, _ em: Double) -> Double {
    if case .line(let width, _, _, _) = key { return width == 0 ? 0 : em * 2.3 }
    return em * 1.15
  }

  func draw(x: Double, y: Double, _ canvas: Canvas) {
    let em = canvas.em
    for item in items {
      let left = x + item.x
      let middle = y + item.y + item.label.size.height / 2
      let s = canvas.surface
      switch item.entry.key {
      case .sign(let sign):
        s.sign(sign, Point(x: left + em * 0.4, y: middle), item.entry.colour, radius: em * 0.34)
      case .swatch:
        s.fill(Rectangle(x: left, y: middle - em * 0.4, width: em * 0.8, height: em * 0.8), item.entry.colour)
      case .line(let width, let dash, let band, let dots):
        if width > 0 {
          if band {
            s.fill(Rectangle(x: left, y: middle - em * 0.4, width: em * 1.8, height: em * 0.8), item.entry.colour.with(alpha: 0.2))
          }
          let ends = (Point(x: left + width / 2, y: middle), Point(x: left + em * 1.8 - width / 2, y: middle))
          s.line(ends.0, ends.1, item.entry.colour, width: width, dash: dash)
          if dots { s.dot(Point(x: left + em * 0.9, y: middle), item.entry.colour, radius: width * 1.5) }
        }
      }
      canvas.draw(item.label, x: left + Self.keyWidth(item.entry.key, em), y: y + item.y, .legend)
    }
  }
}
