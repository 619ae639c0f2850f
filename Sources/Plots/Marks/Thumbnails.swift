extension Mark {
  /// A picture at each point. Pictures that would cover one drawn before are left out and become dots, and the figure's note says how many
  /// are shown.
  ///
  /// - Parameters:
  ///   - side: the longer side of each picture in points.
  ///   - categories: frames in the colours of categories; nil for a quiet frame.
  ///   - overlapping: draws all of them, later ones over earlier ones.
  public static func thumbnails(
    _ x: [Double], _ y: [Double], _ images: [RGBImage], side: Double = 26, categories: [Int]? = nil, names: [String] = [],
    overlapping: Bool = false
  ) -> Mark {
    Mark(body: Thumbnails(xs: x, ys: y, images: images, side: side, categories: categories, names: names, overlapping: overlapping))
  }
}

private struct Thumbnails: MarkBody {
  let xs: [Double]
  let ys: [Double]
  let images: [RGBImage]
  let side: Double
  let categories: [Int]?
  let names: [String]
  let overlapping: Bool

  var x: Extent { Extent(xs) }
  var y: Extent { Extent(ys) }

  func check() throws {
    try requireCount(xs.count, "thumbnails", ("y", ys.count), ("pictures", images.count))
    if let categories { try requireCount(xs.count, "thumbnails", ("categories", categories.count)) }
    guard side >= 4, side <= 1000 else { throw PlotError("thumbnails: expected a side of 4 to 1000 points, found \(side)") }
  }

  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int { unplaced(xs, ys, x, y) }

  func legend(series: Int, theme: Theme) -> [LegendEntry] {
    guard let categories else { return [] }
    let used = Set(categories)
    return names.indices.filter(used.contains).map { LegendEntry(names[$0], theme.category($0), .swatch) }
  }

  private func colour(_ i: Int, _ theme: Theme) -> Colour {
    guard let categories, names.isEmpty || names.indices.contains(categories[i]) else { return theme.quietText }
    return theme.category(categories[i])
  }

  /// Where pictures stand, and the points that get none.
  private func arranged(in area: PlotArea) -> (pictures: [(index: Int, box: Rectangle)], dots: [(index: Int, at: Point)]) {
    var taken: [Cell: [Rectangle]] = [:]
    var pictures: [(index: Int, box: Rectangle)] = []
    var dots: [(index: Int, at: Point)] = []
    for i in xs.indices {
      guard let p = area.point(xs[i], ys[i]) else { continue }
      let image = images[i]
      let factor = side / Double(max(image.width, image.height))
      var box = Rectangle(x: 0, y: 0, width: Double(image.width) * factor, height: Double(image.height) * factor)
      // Whole inside the frame, as near to the point as that allows.
      box.x = min(max(p.x - box.width / 2, area.frame.x + 1), area.frame.x + area.frame.width - box.width - 1)
      box.y = min(max(p.y - box.height / 2, area.frame.y + 1), area.frame.y + area.frame.height - box.height - 1)
      let cell = Cell(column: Int((box.x / side).rounded(.down)), row: Int((box.y / side).rounded(.down)))
      let free = overlapping || cell.around.allSatisfy { (taken[$0] ?? []).allSatisfy { !$0.touches(box, gap: 2) } }
      if free {
        taken[cell, default: []].append(box)
        pictures.append((i, box))
      } else {
        dots.append((i, p))
      }
    }
    return (pictures, dots)
  }

  func remark(in area: PlotArea) -> String? {
    let (pictures, dots) = arranged(in: area)
    if dots.isEmpty { return nil }
    let (shown, all) = (Double(pictures.count), Double(pictures.count + dots.count))
    return "\(NumberFormat.fixed(shown, 0)) of \(NumberFormat.fixed(all, 0)) pictures are shown; the others would cover them and are dots."
  }

  func draw(in area: PlotArea) throws {
    let (pictures, dots) = arranged(in: area)
    for (i, p) in dots { area.surface.dot(p, colour(i, area.theme).with(alpha: 0.8), radius: 2) }
    for (i, box) in pictures {
      area.surface.outline(box, colour(i, area.theme), width: categories == nil ? 0.75 : 1.5)
      try area.surface.draw(images[i], in: box)
    }
  }

  /// Squares of the pictures' side: only neighbours can touch.
  private struct Cell: Hashable {
    var column: Int
    var row: Int
    var around: [Cell] { (-1...1).flatMap { r in (-1...1).map { c in Cell(column: column + c, row: row + r) } } }
  }
}

extension Rectangle {
  func touches(_ other: Rectangle, gap: Double = 0) -> Bool {
    x < other.x + other.width + gap && other.x < x + width + gap && y < other.y + other.height + gap && other.y < y + height + gap
  }
}
