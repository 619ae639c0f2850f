/// Pictures in a labelled grid.
///
///     let sheet = ContactSheet(rows: [[a, b], [c, nil]], title: "Two prompts", columnLabels: ["seed 1", "seed 2"])
///     let bytes = try sheet.render(.png, scale: 2)
public struct ContactSheet: Sendable {
  public struct Tile: Sendable {
    public var image: RGBImage
    /// A line or two under the picture; may be empty.
    public var caption: String
    public init(_ image: RGBImage, caption: String = "") {
      self.image = image
      self.caption = caption
    }
  }

  /// Rows of tiles; nil leaves a place empty. Rows may differ in length.
  public var rows: [[Tile?]]
  /// Empty strings take no room.
  public var title: String
  /// A line or two under the title: what was held constant, what is not shown.
  public var subtitle: String
  /// Over the columns; fewer than columns leave the rest without.
  public var columnLabels: [String]
  /// Left of the rows; fewer than rows leave the rest without.
  public var rowLabels: [String]
  public var theme: Theme
  /// The longer side of the largest picture in points. Smaller pictures are magnified by whole numbers only, so a tile may come out a
  /// little smaller.
  public var tileSize: Double

  public init(
    rows: [[Tile?]], title: String = "", subtitle: String = "", columnLabels: [String] = [], rowLabels: [String] = [],
    theme: Theme = .light,
    tileSize: Double = 192
  ) {
    self.rows = rows
    self.title = title
    self.subtitle = subtitle
    self.columnLabels = columnLabels
    self.rowLabels = rowLabels
    self.theme = theme
    self.tileSize = tileSize
  }

  /// The file's bytes; the same sheet gives the same bytes.
  ///
  /// - Parameter scale: pixels per point of a PNG, above 0; 2 suits today's screens. Vectors ignore it.
  /// - Throws: `PlotError` when there is no picture, a size makes no sense or memory runs out.
  public func render(_ format: FileFormat, scale: Double = 2) throws -> [UInt8] {
    // Text must be measured before the size is known: on a surface that is thrown away.
    let ruler = try Surface(.png, size: Size(width: 1, height: 1), scale: 1)
    let plan = try Layout(self, on: ruler)
    let surface = try Surface(format, size: plan.size, scale: scale)
    surface.describe(title: title)
    try draw(plan, on: surface)
    return try surface.finish()
  }

  // MARK: Layout

  /// Where everything goes, in points from the upper left corner.
  struct Layout {
    var size = Size(width: 0, height: 0)
    /// Upper left corners of the cells and the room for the pictures in them: all columns are as wide as the widest picture, a row is as
    /// high as its highest.
    var columnX: [Double] = []
    var rowY: [Double] = []
    var rowHeights: [Double] = []
    var columnWidth = 0.0
    var titleY = 0.0
    var subtitleY = 0.0
    var textWidth = 0.0
    var columnLabelsBottom = 0.0
    var rowLabelWidth = 0.0

    init(_ sheet: ContactSheet, on surface: Surface) throws {
      let tiles = sheet.rows.joined().compactMap { $0 }
      let columns = sheet.rows.map(\.count).max() ?? 0
      guard !tiles.isEmpty else { throw PlotError("contact sheet: there is no picture to show") }
      guard sheet.tileSize.isFinite, (8...4096).contains(sheet.tileSize) else {
        throw PlotError("contact sheet: expected tiles of 8 to 4096 points, found \(sheet.tileSize)")
      }
      columnWidth = tiles.map { sheet.shown($0.image).width }.max() ?? 0
      rowHeights = sheet.rows.map { row in row.compactMap { $0.map { sheet.shown($0.image).height } }.max() ?? sheet.em * 1.5 }

      let widest =
        try zip(sheet.rowLabels, rowHeights).map { try sheet.rowLabel($0, height: $1, on: surface).size.width }.max() ?? 0
      rowLabelWidth = widest.rounded(.up)
      let left = sheet.margin + (rowLabelWidth > 0 ? rowLabelWidth + sheet.labelGap : 0)
      columnX = (0..<columns).map { left + Double($0) * (columnWidth + sheet.gap) }
      let width = left + Double(columns) * columnWidth + Double(columns - 1) * sheet.gap + sheet.margin
      // A narrow sheet is widened a little, so that its title is not torn to pieces.
      let minimum = sheet.title.isEmpty && sheet.subtitle.isEmpty ? 0 : 320.0
      size.width = max(width, minimum).rounded(.up)
      textWidth = size.width - 2 * sheet.margin

      var y = sheet.margin
      titleY = y
      if !sheet.title.isEmpty { y += try sheet.titleText(width: textWidth, on: surface).size.height + sheet.em * 0.35 }
      subtitleY = y
      if !sheet.subtitle.isEmpty { y += try sheet.subtitleText(width: textWidth, on: surface).size.height }
      if y > sheet.margin { y += sheet.em * 1.5 }
      let labels =
        try sheet.columnLabels.prefix(columns).map { try sheet.columnLabel($0, width: columnWidth, on: surface).size.height }.max() ?? 0
      if labels > 0 { y += labels + sheet.em * 0.6 }
      columnLabelsBottom = y - sheet.em * 0.6
      var spacing = 0.0
      for (row, height) in zip(sheet.rows, rowHeights) {
        y = (y + spacing).rounded(.up)
        rowY.append(y)
        let captions = try row.compactMap { try $0.flatMap { try sheet.caption($0.caption, width: columnWidth, on: surface)?.size.height } }
        y += height + (captions.max().map { sheet.captionGap + $0 } ?? 0)
        // Without captions the gaps between rows equal those between columns.
        spacing = captions.isEmpty ? sheet.gap : sheet.em * 1.1
      }
      size.height = (y + sheet.margin).rounded(.up)
    }
  }

  private var em: Double { theme.fontSize }
  private var margin: Double { (em * 2).rounded() }
  private var gap: Double { (em * 0.9).rounded() }
  private var labelGap: Double { em * 1.1 }
  private var captionGap: Double { em * 0.45 }

  /// The size of a picture on the sheet: a whole multiple when it is smaller than the tile, scaled down to it when it is larger.
  func shown(_ image: RGBImage) -> Size {
    let side = Double(max(image.width, image.height))
    let factor = side <= tileSize ? (tileSize / side).rounded(.down) : tileSize / side
    return Size(width: Double(image.width) * factor, height: Double(image.height) * factor)
  }

  // MARK: Text

  private func titleText(width: Double, on surface: Surface) throws -> Text {
    try Text(title, font: theme.font, .init(size: em * 1.5, colour: theme.text, bold: true, lines: 3), width: width, on: surface)
  }
  private func subtitleText(width: Double, on surface: Surface) throws -> Text {
    try Text(subtitle, font: theme.font, .init(size: em, colour: theme.quietText, lines: 6), width: width, on: surface)
  }
  private func columnLabel(_ text: String, width: Double, on surface: Surface) throws -> Text {
    try Text(text, font: theme.font, .init(size: em, colour: theme.text, alignment: .centre, lines: 3), width: width, on: surface)
  }
  /// As many lines as fit beside a tile, at least one.
  private func rowLabel(_ text: String, height: Double, on surface: Surface) throws -> Text {
    let lines = max(1, min(6, Int(height / (em * 1.25))))
    return try Text(
      text, font: theme.font, .init(size: em, colour: theme.text, alignment: .right, lines: lines), width: em * 13, on: surface)
  }
  private func caption(_ text: String, width: Double, on surface: Surface) throws -> Text? {
    if text.isEmpty { return nil }
    return try Text(
      text, font: theme.font, .init(size: em * 0.85, colour: theme.quietText, alignment: .centre, lines: 2), width: width, on: surface)
  }

  // MARK: Drawing

  private func draw(_ plan: Layout, on surface: Surface) throws {
    surface.fill(Rectangle(x: 0, y: 0, width: plan.size.width, height: plan.size.height), theme.background)
    if !title.isEmpty { try titleText(width: plan.textWidth, on: surface).draw(x: margin, y: plan.titleY, on: surface) }
    if !subtitle.isEmpty { try subtitleText(width: plan.textWidth, on: surface).draw(x: margin, y: plan.subtitleY, on: surface) }
    for (label, x) in zip(columnLabels, plan.columnX) {
      // Labels of different heights stand on one line, next to their columns.
      let text = try columnLabel(label, width: plan.columnWidth, on: surface)
      text.draw(x: x, y: plan.columnLabelsBottom - text.size.height, on: surface)
    }
    for (i, (label, y)) in zip(rowLabels, plan.rowY).enumerated() {
      let height = plan.rowHeights[i]
      let text = try rowLabel(label, height: height, on: surface)
      // The column of row labels is as wide as the widest: the text's own column is wider and flush right.
      let right = (plan.columnX.first ?? margin) - labelGap
      text.draw(x: right - em * 13, y: y + (height - text.size.height) / 2, on: surface)
    }
    for (i, (row, y)) in zip(rows, plan.rowY).enumerated() {
      let bottom = y + plan.rowHeights[i]
      for (tile, x) in zip(row, plan.columnX) {
        guard let tile else { continue }
        let size = shown(tile.image)
        // Pictures of one row stand on one line, close to their captions.
        let place = Rectangle(
          x: (x + (plan.columnWidth - size.width) / 2).rounded(), y: (bottom - size.height).rounded(), width: size.width,
          height: size.height)
        surface.outline(place, theme.line, width: 1)
        try surface.draw(tile.image, in: place)
        try caption(tile.caption, width: plan.columnWidth, on: surface)?.draw(x: x, y: bottom + captionGap, on: surface)
      }
    }
  }
}
