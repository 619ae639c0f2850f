import COpenBLAS
import Engine
import Foundation

/// Which place of one picture looks to the UNet like a place of another: cosine similarity of their features.
///
/// As in the demonstration of DIFT (Tang et al., NeurIPS 2023), features are enlarged to the picture by bilinear interpolation (half-pixel centres) and compared pixel
/// by pixel. The enlarged features are never stored: a dot product is linear, and the norm of an interpolated vector follows from the products of
/// neighbouring cells.
public struct Correspondence: Sendable {
  /// A pixel, from the upper left corner.
  public struct Pixel: Hashable, Sendable {
    public let x: Int
    public let y: Int
    public init(x: Int, y: Int) {
      self.x = x
      self.y = y
    }
    public func distance(to other: Pixel) -> Double { hypot(Double(x - other.x), Double(y - other.y)) }
  }

  public struct Match: Sendable {
    public let from: Pixel
    public let to: Pixel
    /// Cosine, -1...1.
    public let similarity: Double
  }

  /// Features with their products, over a picture of so many pixels.
  public struct Side: Sendable {
    public let features: DiffusionFeatures
    public let picture: MapSize
    /// Products of each cell with itself, its right neighbour, the one below and the one right below; and of its right neighbour with the one below.
    fileprivate let products: [(own: Double, right: Double, below: Double, diagonal: Double, crossing: Double)]

    public init(_ features: DiffusionFeatures, picture: MapSize) {
      self.features = features
      self.picture = picture
      let (h, w) = (features.size.height, features.size.width)
      products = (0..<features.size.count).map { cell in
        let (y, x) = (cell / w, cell % w)
        let right = y * w + min(x + 1, w - 1)
        let below = min(y + 1, h - 1) * w + x
        let diagonal = min(y + 1, h - 1) * w + min(x + 1, w - 1)
        return (
          Self.dot(features, cell, cell), Self.dot(features, cell, right), Self.dot(features, cell, below),
          Self.dot(features, cell, diagonal), Self.dot(features, right, below)
        )
      }
    }

    private static func dot(_ f: DiffusionFeatures, _ a: Int, _ b: Int) -> Double {
      let c = f.channels
      return f.values.withUnsafeBufferPointer { v in
        var sum = 0.0
        for i in 0..<c { sum += Double(v[a * c + i]) * Double(v[b * c + i]) }
        return sum
      }
    }

    /// Where a pixel lies between the cells along one side: torch's `interpolate(mode="bilinear", align_corners=False)`.
    fileprivate static func place(_ pixel: Int, _ pixels: Int, _ cells: Int) -> (first: Int, second: Int, part: Double) {
      let at = max(0, (Double(pixel) + 0.5) * Double(cells) / Double(pixels) - 0.5)
      let first = min(Int(at), cells - 1)
      return (first, min(first + 1, cells - 1), min(at - Double(first), 1))
    }

    /// Squared norm of the interpolated vector.
    fileprivate func norm2(_ y: (first: Int, second: Int, part: Double), _ x: (first: Int, second: Int, part: Double)) -> Double {
      let w = features.size.width
      let (a, b, c, d) = (y.first * w + x.first, y.first * w + x.second, y.second * w + x.first, y.second * w + x.second)
      let (wa, wb) = ((1 - y.part) * (1 - x.part), (1 - y.part) * x.part)
      let (wc, wd) = (y.part * (1 - x.part), y.part * x.part)
      let p = products[a]
      let squares = wa * wa * p.own + wb * wb * products[b].own + wc * wc * products[c].own + wd * wd * products[d].own
      let sides = wa * wb * p.right + wc * wd * products[c].right + wa * wc * p.below + wb * wd * products[b].below
      return squares + 2 * (sides + wa * wd * p.diagonal + wb * wc * p.crossing)
    }

    /// The features at a pixel.
    fileprivate func vector(at pixel: Pixel) -> [Float] {
      let y = Self.place(pixel.y, picture.height, features.size.height)
      let x = Self.place(pixel.x, picture.width, features.size.width)
      let (w, c) = (features.size.width, features.channels)
      let cells = [
        (y.first * w + x.first, (1 - y.part) * (1 - x.part)), (y.first * w + x.second, (1 - y.part) * x.part),
        (y.second * w + x.first, y.part * (1 - x.part)), (y.second * w + x.second, y.part * x.part),
      ]
      return (0..<c).map { i in Float(cells.reduce(0.0) { $0 + $1.1 * Double(features.values[$1.0 * c + i]) }) }
    }

    /// Cosine of `vector` with the features at every pixel, `[height, width]`; 0 where one of them is 0.
    fileprivate func similarity(to vector: [Float]) -> [Float] {
      let c = features.channels
      let length = vector.reduce(0.0) { $0 + Double($1) * Double($1) }
      let dots = features.values.withUnsafeBufferPointer { v in
        (0..<features.size.count).map { cell in
          var sum = 0.0
          for i in 0..<c { sum += Double(v[cell * c + i]) * Double(vector[i]) }
          return sum
        }
      }
      let columns = (0..<picture.width).map { Self.place($0, picture.width, features.size.width) }
      let w = features.size.width
      var out = [Float](repeating: 0, count: picture.count)
      for row in 0..<picture.height {
        let y = Self.place(row, picture.height, features.size.height)
        for (column, x) in columns.enumerated() {
          let above = (1 - x.part) * dots[y.first * w + x.first] + x.part * dots[y.first * w + x.second]
          let below = (1 - x.part) * dots[y.second * w + x.first] + x.part * dots[y.second * w + x.second]
          let product = norm2(y, x) * length
          out[row * picture.width + column] = product > 1e-16 ? Float(((1 - y.part) * above + y.part * below) / product.squareRoot()) : 0
        }
      }
      return out
    }
  }

  public let a: Side
  public let b: Side

  /// - Throws: `InputError` (badData) for features of different blocks, or with values that are not numbers.
  public init(_ a: Side, _ b: Side) throws {
    guard a.features.channels == b.features.channels else {
      throw InputError(.badData, "features of \(a.features.channels) and \(b.features.channels) channels cannot be compared")
    }
    guard a.features.values.allSatisfy(\.isFinite), b.features.values.allSatisfy(\.isFinite) else {
      throw InputError(.badData, "the features have values that are not numbers", hint: "the model or the picture is damaged")
    }
    self.a = a
    self.b = b
  }

  /// Similarity of a pixel of A to every pixel of B, `[height, width]` of B.
  /// - Throws: `InputError` (usage) for a pixel outside of A.
  public func similarity(of pixel: Pixel) throws -> [Float] {
    guard (0..<a.picture.width).contains(pixel.x), (0..<a.picture.height).contains(pixel.y) else {
      throw InputError(
        .usage, "point \(pixel.x),\(pixel.y): the picture is \(a.picture.width)x\(a.picture.height)",
        hint: "x from 0 to \(a.picture.width - 1), y from 0 to \(a.picture.height - 1)")
    }
    return b.similarity(to: a.vector(at: pixel))
  }

  /// The most similar pixel of B, the first of equals in reading order.
  public func match(_ pixel: Pixel) throws -> (match: Match, map: [Float]) {
    let map = try similarity(of: pixel)
    let best = map.indices.max { map[$0] < map[$1] || (map[$0] == map[$1] && $0 > $1) } ?? 0
    let to = Pixel(x: best % b.picture.width, y: best / b.picture.width)
    return (Match(from: pixel, to: to, similarity: Double(map[best])), map)
  }

  /// From B to A.
  public var reversed: Correspondence { get throws { try Correspondence(b, a) } }

  /// Cells of A and B that are each other's most similar, in reading order of A; pixels are the cells' middles. The share of A's cells that have such a partner
  /// says how well the pictures correspond.
  public func mutual() -> [Match] {
    let (n, m, c) = (a.features.size.count, b.features.size.count, a.features.channels)
    let (x, y) = (Self.normalized(a.features), Self.normalized(b.features))
    var forth = [(index: Int, value: Float)](repeating: (0, -.infinity), count: n)
    var back = [(index: Int, value: Float)](repeating: (0, -.infinity), count: m)
    let rows = max(1, min(n, 4_000_000 / max(1, m)))
    var block = [Float](repeating: 0, count: rows * m)
    for start in stride(from: 0, to: n, by: rows) {
      let count = min(rows, n - start)
      x.withUnsafeBufferPointer { x in
        guard let base = x.baseAddress else { return }
        cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasTrans, blasint(count), blasint(m), blasint(c), 1, base + start * c, blasint(c), y, blasint(c),
          0,
          &block, blasint(m))
      }
      for i in 0..<count {
        for j in 0..<m {
          let v = block[i * m + j]
          if v > forth[start + i].value { forth[start + i] = (j, v) }
          if v > back[j].value { back[j] = (start + i, v) }
        }
      }
    }
    return forth.enumerated().compactMap { i, best in
      guard back[best.index].index == i, best.value > -.infinity else { return nil }
      return Match(from: Self.middle(i, a), to: Self.middle(best.index, b), similarity: Double(best.value))
    }
  }

  private static func middle(_ cell: Int, _ side: Side) -> Pixel {
    let (size, picture) = (side.features.size, side.picture)
    return Pixel(
      x: (2 * (cell % size.width) + 1) * picture.width / (2 * size.width),
      y: (2 * (cell / size.width) + 1) * picture.height / (2 * size.height))
  }

  private static func normalized(_ f: DiffusionFeatures) -> [Float] {
    var out = f.values
    for cell in 0..<f.size.count {
      let range = cell * f.channels..<(cell + 1) * f.channels
      let length = range.reduce(0.0) { $0 + Double(out[$1]) * Double(out[$1]) }.squareRoot()
      if length > 0 { for i in range { out[i] = Float(Double(out[i]) / length) } }
    }
    return out
  }

  /// At most `perSide` x `perSide` of `matches`, spread over picture A: of each square the pair nearest to its middle. The most similar pairs would be those along the
  /// border, which look alike because of the network's padding there.
  public static func spread(_ matches: [Match], over picture: MapSize, perSide: Int) -> [Match] {
    let (width, height) = (Double(max(1, picture.width)) / Double(perSide), Double(max(1, picture.height)) / Double(perSide))
    var best: [Int: (match: Match, distance: Double)] = [:]
    for match in matches {
      let (x, y) = ((Double(match.from.x) + 0.5) / width, (Double(match.from.y) + 0.5) / height)
      let (column, row) = (min(perSide - 1, Int(x)), min(perSide - 1, Int(y)))
      let distance = hypot(x - Double(column) - 0.5, y - Double(row) - 0.5)
      let bin = row * perSide + column
      if let there = best[bin], there.distance <= distance { continue }
      best[bin] = (match, distance)
    }
    return best.sorted { $0.key < $1.key }.map(\.value.match)
  }
}
