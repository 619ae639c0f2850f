/// One plot of a figure: two axes and the marks on them, drawn in their order.
public struct Panel: Sendable {
  /// Over the plot; may be empty.
  public var title: String
  public var x: Axis
  public var y: Axis
  public var marks: [Mark]
  /// Height over width of the plot; nil for what the marks ask for (pictures and matrices keep their shape), otherwise 0.62.
  public var aspect: Double?
  /// One unit is as long on both axes, as distances on a map want it.
  public var equalUnits: Bool
  /// Shows the legend and the colour bar, if there is something to say.
  public var legend: Bool

  public init(
    _ title: String = "", x: Axis = .linear(), y: Axis = .linear(), aspect: Double? = nil, equalUnits: Bool = false, legend: Bool = true,
    marks: [Mark]
  ) {
    self.title = title
    self.x = x
    self.y = y
    self.marks = marks
    self.aspect = aspect
    self.equalUnits = equalUnits
    self.legend = legend
  }

  var hasAxes: Bool { x.visible || y.visible }

  /// A panel in pixels of a picture, without axes, row 0 on top.
  public static func picture(_ title: String = "", marks: [Mark]) -> Panel {
    var y = Axis.hidden
    y.reversed = true
    return Panel(title, x: .hidden, y: y, marks: marks)
  }

  /// Labelled rows and columns of pictures, with a line of text under each.
  public static func pictures(
    _ title: String = "", images: [[RGBImage?]], captions: [[String]] = [], columnName: String = "", columns: [String] = [],
    rowName: String = "", rows: [String] = []
  ) -> Panel {
    let width = images.map(\.count).max() ?? 0
    func padded(_ labels: [String], _ count: Int) -> [String] { (0..<count).map { $0 < labels.count ? labels[$0] : "" } }
    return Panel(
      title, x: Axis(.categorical(padded(columns, width)), name: columnName, onTop: true),
      y: .categorical(rowName, padded(rows, images.count)),
      marks: [.pictures(images, captions: captions)])
  }
}

/// A panel whose marks were asked what they need, once.
struct PreparedPanel {
  let panel: Panel
  let x: Extent
  let y: Extent
  /// The values of all marks that colour values.
  let coloured: (scale: ColourScale, extent: Extent)?
  var colours: ResolvedColours?
  let omitted: Int
  /// There is a mark, but no value of it has a place.
  let isEmpty: Bool
  /// Automatic colour and place beside others, for each mark.
  let series: [Int]
  let places: [(index: Int, of: Int)]

  init(_ panel: Panel) throws {
    self.panel = panel
    var (x, y) = (Extent(), Extent())
    var coloured: (scale: ColourScale, extent: Extent)?
    var omitted = 0
    var series: [Int] = []
    var next = 0
    var beside: [Int] = []
    for mark in panel.marks {
      let body = mark.body
      try body.check()
      x.join(body.x)
      y.join(body.y)
      if let c = body.coloured {
        // One bar a panel: the first mark's scale speaks for all.
        if coloured == nil { coloured = c } else { coloured?.extent.join(c.extent) }
      }
      omitted += body.omitted(panel.x.kind, panel.y.kind)
      series.append(next)
      if body.takesColour { next += 1 }
      beside.append(body.standsBeside ? 1 : 0)
    }
    if let aspect = panel.aspect, !(aspect >= 0.01 && aspect <= 100) {
      throw PlotError("panel: expected a height of 0.01 to 100 times the width, found \(aspect)")
    }
    (self.x, self.y, self.coloured, self.omitted, self.series) = (x, y, coloured, omitted, series)
    let count = max(beside.reduce(0, +), 1)
    var at = 0
    places = beside.map { b in
      defer { at += b }
      return (b == 1 ? at : 0, count)
    }
    isEmpty = x.low > x.high || y.low > y.high
  }

  /// The height of a plot of this width; exact when its shape is not free.
  func height(width: Double, em: Double) -> (points: Double, exact: Bool) {
    if let aspect = panel.aspect { return (width * aspect, true) }
    for mark in panel.marks {
      if let h = mark.body.height(width: width, em: em) { return (h, true) }
    }
    return (width * (panel.equalUnits ? 0.8 : 0.62), false)
  }

  func legend(_ theme: Theme) -> [LegendEntry] {
    panel.legend ? zip(panel.marks, series).flatMap { $0.body.legend(series: $1, theme: theme) } : []
  }

  /// Scales that map onto `frame`.
  func scales(_ frame: Rectangle) throws -> (x: Scale, y: Scale) {
    var sx = try Scale(panel.x, x)
    var sy = try Scale(panel.y, y)
    if panel.equalUnits, panel.x.kind == .linear, panel.y.kind == .linear {
      let unit = max((sx.high - sx.low) / frame.width, (sy.high - sy.low) / frame.height)
      sx.widen(to: unit * frame.width)
      sy.widen(to: unit * frame.height)
    }
    (sx.start, sx.end) = (frame.x, frame.x + frame.width)
    (sy.start, sy.end) = (frame.y + frame.height, frame.y)
    if case .categorical = panel.y.kind { (sy.start, sy.end) = (sy.end, sy.start) }
    if panel.x.reversed { (sx.start, sx.end) = (sx.end, sx.start) }
    if panel.y.reversed { (sy.start, sy.end) = (sy.end, sy.start) }
    return (sx, sy)
  }
}

extension Scale {
  /// Shows `range` around the same middle.
  mutating func widen(to range: Double) {
    let middle = low + (high - low) / 2
    (low, high) = (middle - range / 2, middle + range / 2)
  }
}
