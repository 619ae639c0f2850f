extension Mark {
  /// A picture.
  ///
  /// - Parameter x, y: the outer edges on the axes; nil for `0...width` and `0...height` in pixels. The first row lies at the low end of the y
  ///   axis: the top of a reversed one, such as `Panel.picture` has.
  public static func image(_ image: RGBImage, x: ClosedRange<Double>? = nil, y: ClosedRange<Double>? = nil) -> Mark {
    Mark(body: Picture(image: image, xRange: x, yRange: y))
  }
}

private struct Picture: MarkBody {
  let image: RGBImage
  let xRange: ClosedRange<Double>?
  let yRange: ClosedRange<Double>?

  private var grid: Grid {
    Grid(
      values: [], rows: image.height, columns: image.width, x: xRange ?? 0...Double(image.width), y: yRange ?? 0...Double(image.height))
  }
  var x: Extent { Extent([grid.left, grid.right], flush: true) }
  var y: Extent { Extent([grid.low, grid.high], flush: true) }

  func check() throws {
    guard [grid.left, grid.right, grid.low, grid.high].allSatisfy({ $0.isFinite }), grid.left < grid.right, grid.low < grid.high else {
      throw PlotError("picture: expected finite edges")
    }
  }

  func height(width: Double, em: Double) -> Double? {
    xRange == nil && yRange == nil ? width * Double(image.height) / Double(image.width) : nil
  }

  func draw(in area: PlotArea) throws {
    let (box, flipX, flipY) = try grid.place(in: area, "picture")
    try area.surface.draw(flipX || flipY ? try image.flipped(flipX, flipY) : image, in: box)
  }
}

extension RGBImage {
  func flipped(_ horizontally: Bool, _ vertically: Bool) throws -> RGBImage {
    var out: [UInt8] = []
    out.reserveCapacity(pixels.count)
    for y in 0..<height {
      for x in 0..<width {
        let at = 3 * ((vertically ? height - 1 - y : y) * width + (horizontally ? width - 1 - x : x))
        out += pixels[at..<at + 3]
      }
    }
    return try RGBImage(width: width, height: height, pixels: out)
  }
}
