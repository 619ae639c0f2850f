/// The colours of a scale with their values, lying: the name over it, the numbers under it.
struct ColourBar {
  let colours: ResolvedColours
  let height: Double
  private let name: Canvas.Label?
  private let ticks: [(at: Double, label: Canvas.Label)]
  private let width: Double

  init(_ colours: ResolvedColours, width: Double, _ canvas: Canvas) throws {
    self.colours = colours
    let em = canvas.em
    let length = min(width, em * 20)
    self.width = length
    // Ticks by the same rule as an axis; numbers that would touch are asked for again, fewer.
    var found = Ticks()
    var labels: [(at: Double, label: Canvas.Label)] = []
    for count in stride(from: 6, through: 2, by: -1) {
      found = Ticks.linear(colours.low, colours.high, count: count)
      labels = try zip(found.values, found.labels).map { (colours.part($0) * length, try canvas.label($1, size: 0.78)) }
      let boxes = labels.map { Self.left($0.at, $0.label, length) }
      if zip(labels.indices, labels.indices.dropFirst()).allSatisfy({ boxes[$0] + labels[$0].label.size.width + em * 0.5 <= boxes[$1] }) {
        break
      }
    }
    ticks = labels
    let axis = Axis(.linear, name: colours.scale.name, unit: colours.scale.unit)
    let caption = axis.caption(exponent: found.exponent)
    name = caption.isEmpty ? nil : try canvas.label(caption, canvas.theme.quietText, width: width, lines: 2)
    height = (name.map { $0.size.height + em * 0.25 } ?? 0) + em * 0.75 + em * 0.2 + em * 1.1
  }

  /// Centred under its place, but not beyond the ends.
  private static func left(_ at: Double, _ label: Canvas.Label, _ width: Double) -> Double {
    min(max(at - label.size.width / 2, 0), max(width - label.size.width, 0))
  }

  func draw(x: Double, y: Double, _ canvas: Canvas) throws {
    var top = y
    let em = canvas.em
    if let name {
      canvas.draw(name, x: x, y: y, .colourBar)
      top += name.size.height + em * 0.25
    }
    let bar = Rectangle(x: x, y: top, width: width, height: em * 0.75)
    try canvas.surface.draw(RGBImage(width: 256, height: 1, pixels: colours.scale.palette.bytes), in: bar)
    canvas.surface.outline(bar, canvas.theme.line, width: 0.5)
    for (at, label) in ticks {
      let from = Point(x: x + at, y: top + bar.height)
      canvas.surface.line(from, Point(x: x + at, y: from.y + em * 0.2), canvas.theme.quietText, width: 0.75)
      canvas.draw(label, x: x + Self.left(at, label, width), y: from.y + em * 0.2, .colourBar)
    }
  }
}
