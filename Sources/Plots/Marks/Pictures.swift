extension Mark {
  /// Pictures in a grid: place (i, k) of two categorical axes holds `images[k][i]`, row 0 on top, with a line of text under it.
  ///
  /// - Parameters:
  ///   - images: nil leaves a place empty; rows may differ in length.
  ///   - captions: as `images`; missing ones are empty.
  public static func pictures(_ images: [[RGBImage?]], captions: [[String]] = []) -> Mark {
    Mark(body: Pictures(images: images, captions: captions))
  }
}

private struct Pictures: MarkBody {
  let images: [[RGBImage?]]
  let captions: [[String]]

  private var columns: Int { images.map(\.count).max() ?? 0 }
  private var all: [RGBImage] { images.joined().compactMap { $0 } }
  private func captionHeight(_ em: Double) -> Double { captions.joined().contains { !$0.isEmpty } ? em * 1.35 : 0 }
  private func gap(_ em: Double) -> Double { em * 0.5 }

  var x: Extent { Extent([-0.5, Double(max(columns, 1)) - 0.5], flush: true) }
  var y: Extent { Extent([-0.5, Double(max(images.count, 1)) - 0.5], flush: true) }

  func check() throws {
    guard !all.isEmpty else { throw PlotError("pictures: there is no picture to show") }
  }

  func height(width: Double, em: Double) -> Double? {
    let cell = max(width / Double(max(columns, 1)) - gap(em), 1)
    let shape = all.map { Double($0.height) / Double($0.width) }.max() ?? 1
    return Double(images.count) * (cell * shape + gap(em) + captionHeight(em))
  }

  func draw(in area: PlotArea) throws {
    let em = area.canvas.em
    guard case .categorical = area.x.kind, case .categorical = area.y.kind else {
      throw PlotError("pictures: expected two categorical axes")
    }
    let width = area.x.pointsPerUnit - gap(em)
    let height = area.y.pointsPerUnit - gap(em) - captionHeight(em)
    guard width >= 4, height >= 4 else { throw PlotError("pictures: \(columns) columns and \(images.count) rows do not fit the figure") }
    for (r, row) in images.enumerated() {
      for (c, image) in row.enumerated() {
        guard let image, let p = area.point(Double(c), Double(r)) else { continue }
        let factor = min(width / Double(image.width), height / Double(image.height))
        let size = Size(width: Double(image.width) * factor, height: Double(image.height) * factor)
        let box = Rectangle(
          x: p.x - size.width / 2, y: p.y - captionHeight(em) / 2 - size.height / 2, width: size.width, height: size.height)
        area.surface.outline(box, area.theme.line, width: 0.75)
        try area.surface.draw(image, in: box)
        guard captions.indices.contains(r), captions[r].indices.contains(c), !captions[r][c].isEmpty else { continue }
        let label = try area.canvas.label(captions[r][c], size: 0.78, area.theme.quietText, width: width)
        area.canvas.draw(label, x: p.x - label.size.width / 2, y: box.y + box.height + em * 0.15, .mark)
      }
    }
  }
}
