import Foundation

extension Mark {
  /// A heatmap laid over a picture, stretched to its edges whatever the shapes of both: `image * (1 - opacity) + colour(value) * opacity`,
  /// mixed in sRGB as image programs do. In a `Panel.picture`.
  ///
  /// Panels of one figure share a scale and a colour bar with `Figure(commonColours: true)`.
  ///
  /// - Parameters:
  ///   - values: `rows * columns`, row 0 at the top of the picture.
  ///   - opacity: 0 shows the picture alone, 1 the heatmap alone.
  ///   - smooth: values between cell centres are interpolated linearly; otherwise each cell is a block.
  ///   - contours: levels drawn as lines.
  public static func overlay(
    _ image: RGBImage, _ values: [Double], rows: Int, columns: Int, colours: ColourScale = ColourScale(.inferno), opacity: Double = 0.6,
    smooth: Bool = true, contours: [Double] = []
  ) -> Mark {
    let size = (x: 0...Double(image.width), y: 0...Double(image.height))
    let grid = Grid(values: values, rows: rows, columns: columns, x: size.x, y: size.y)
    return Mark(body: Overlay(image: image, grid: grid, colours: colours, opacity: opacity, smooth: smooth, contours: contours))
  }
}

struct Overlay: MarkBody {
  let image: RGBImage
  let grid: Grid
  let colours: ColourScale
  let opacity: Double
  let smooth: Bool
  let contours: [Double]

  var x: Extent { Extent([0, Double(image.width)], flush: true) }
  var y: Extent { Extent([0, Double(image.height)], flush: true) }
  var coloured: (scale: ColourScale, extent: Extent)? { (colours, Extent(grid.values)) }

  func check() throws {
    try grid.check("overlay")
    guard (0...1).contains(opacity) else { throw PlotError("overlay: expected an opacity of 0 to 1, found \(opacity)") }
  }
  func omitted(_ x: Axis.Kind, _ y: Axis.Kind) -> Int { grid.values.lazy.filter { !$0.isFinite }.count }
  func height(width: Double, em: Double) -> Double? { width * Double(image.height) / Double(image.width) }

  func draw(in area: PlotArea) throws {
    guard let colours = area.colours else { return }
    let (box, flipX, flipY) = try grid.place(in: area, "overlay")
    var mixed = try blended(colours)
    if flipX || flipY { mixed = try mixed.flipped(flipX, flipY) }
    try area.surface.draw(mixed, in: box)
    if !contours.isEmpty { ContourLines.draw(smooth ? refined() : grid, contours, ink: nil, width: 1, in: area) }
  }

  /// The picture with the colours mixed in: magnified by a whole number first if it is small, so that a smooth map is smooth.
  func blended(_ colours: ResolvedColours) throws -> RGBImage {
    let factor = smooth ? max(1, 320 / max(image.width, image.height)) : 1
    let (w, h) = (image.width * factor, image.height * factor)
    var pixels = [UInt8](repeating: 0, count: 3 * w * h)
    for py in 0..<h {
      for px in 0..<w {
        let s = 3 * (py / factor * image.width + px / factor)
        let d = 3 * (py * w + px)
        let v = sample((Double(px) + 0.5) / Double(w), (Double(py) + 0.5) / Double(h))
        guard v.isFinite else {
          for k in 0..<3 { pixels[d + k] = image.pixels[s + k] }
          continue
        }
        let (r, g, b) = colours.scale.palette.rgb(colours.part(v))
        for (k, c) in [r, g, b].enumerated() {
          pixels[d + k] = UInt8((Double(image.pixels[s + k]) * (1 - opacity) + Double(c) * opacity).rounded())
        }
      }
    }
    return try RGBImage(width: w, height: h, pixels: pixels)
  }

  /// The interpolated map on cells so small that its contours are curves.
  private func refined() -> Grid {
    let factor = max(1, 256 / max(grid.rows, grid.columns))
    let (rows, columns) = (grid.rows * factor, grid.columns * factor)
    var values: [Double] = []
    values.reserveCapacity(rows * columns)
    for r in 0..<rows {
      for c in 0..<columns { values.append(sample((Double(c) + 0.5) / Double(columns), (Double(r) + 0.5) / Double(rows))) }
    }
    return Grid(values: values, rows: rows, columns: columns, x: grid.x, y: grid.y)
  }

  /// The value at a place, both coordinates 0 to 1. Beyond the outermost centres it stays as it is there.
  private func sample(_ u: Double, _ v: Double) -> Double {
    if !smooth {
      return grid.values[
        min(Int(v * Double(grid.rows)), grid.rows - 1) * grid.columns + min(Int(u * Double(grid.columns)), grid.columns - 1)]
    }
    let gx = min(max(u * Double(grid.columns) - 0.5, 0), Double(grid.columns - 1))
    let gy = min(max(v * Double(grid.rows) - 0.5, 0), Double(grid.rows - 1))
    let (x0, y0) = (Int(gx), Int(gy))
    let (x1, y1) = (min(x0 + 1, grid.columns - 1), min(y0 + 1, grid.rows - 1))
    let (fx, fy) = (gx - Double(x0), gy - Double(y0))
    func at(_ y: Int, _ x: Int, _ weight: Double) -> Double { weight == 0 ? 0 : grid.values[y * grid.columns + x] * weight }
    return at(y0, x0, (1 - fx) * (1 - fy)) + at(y0, x1, fx * (1 - fy)) + at(y1, x0, (1 - fx) * fy) + at(y1, x1, fx * fy)
  }
}
