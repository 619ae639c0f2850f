/// An invisible watermark: a few bytes written into a picture's colour, bit for bit as method `dwtDct` of the Python package
/// invisible-watermark 0.2.0 does it (ShieldMnt, `imwatermark/maxDct.py`), so that what one writes the other reads.
///
/// The chroma channel U (BT.601) is taken through one level of the Haar wavelet. Each 4x4 block of the low band, which is 8x8 pixels, carries one bit:
/// its largest coefficient but the first is moved to a quarter (0) or three quarters (1) of the step of 36 that it lies in. The bits are repeated over the
/// picture and read by a vote. In spite of its name this version of the method does no cosine transform. The inverse transform takes the horizontal and the
/// vertical details for one another, as the package does: the colour of each 2x2 pixels is transposed, which reading does not see.
enum Watermark {
  static let step = 36.0
  /// Fewer pixels than this are refused, as the package does.
  static let fewestPixels = 256 * 256

  /// One bit for each 8x8 pixels.
  static func blocks(width: Int, height: Int) -> Int { (width / 8) * (height / 8) }

  static func check(_ picture: Picture, bytes: Int) throws {
    guard picture.width * picture.height >= fewestPixels else {
      throw InputError(
        .badData, "a watermark needs at least 256x256 pixels, found \(picture.width)x\(picture.height)",
        hint: "a larger picture, or none")
    }
    let most = blocks(width: picture.width, height: picture.height) / 8
    guard bytes >= 1, bytes <= most else {
      throw InputError(
        .usage, "a watermark of \(bytes) bytes: expected 1 or more, and \(picture.width)x\(picture.height) pixels hold at most \(most)")
    }
  }
}

extension Picture {
  /// This picture with `content` written into its colour; every sample may change a little. Not every picture keeps it: where the colour
  /// is even another coefficient of the block becomes the largest, where it is saturated the way back to RGB clips. Who must know reads it back.
  /// - Parameter content: bytes, one bit for each 8x8 pixels at most; repeated until the picture is full.
  /// - Throws: `InputError` (badData) below 256x256 pixels; (usage) when there are no bytes or more than fit.
  public func watermarked(with content: [UInt8]) throws -> Picture {
    try Watermark.check(self, bytes: content.count)
    var planes = YUVPlanes(self)
    var bands = HaarBands(planes)
    bands.forEachBlock { index, largest in
      let bit = content[index / 8 % content.count] >> UInt8(7 - index % 8) & 1
      largest = (Watermark.floorDivision(largest, Watermark.step) + 0.25 + 0.5 * Double(bit)) * Watermark.step
    }
    bands.write(into: &planes)
    return planes.picture
  }

  /// The watermark of a picture. Nothing says whether there is one: a picture without gives bytes too, by chance.
  /// - Parameter bytes: how many were written.
  /// - Throws: `InputError` (badData) below 256x256 pixels; (usage) when there cannot be so many.
  public func watermark(bytes: Int) throws -> [UInt8] {
    try Watermark.check(self, bytes: bytes)
    let bits = 8 * bytes
    var ones = [Int](repeating: 0, count: bits)
    var votes = ones
    var bands = HaarBands(YUVPlanes(self))
    bands.forEachBlock { index, largest in
      votes[index % bits] += 1
      if largest.truncatingRemainder(dividingBy: Watermark.step) > 0.5 * Watermark.step { ones[index % bits] += 1 }
    }
    var content = [UInt8](repeating: 0, count: bytes)
    // 127 of 255, not a half: the package's threshold, which decides ties.
    for i in 0..<bits where Double(ones[i]) / Double(votes[i]) * 255 > 127 { content[i / 8] |= 1 << UInt8(7 - i % 8) }
    return content
  }
}

extension Watermark {
  /// numpy's `//` for positive numbers, which goes by way of the remainder and may differ from `(a / b).rounded(.down)` in the last place.
  fileprivate static func floorDivision(_ a: Double, _ b: Double) -> Double {
    let quotient = (a - a.truncatingRemainder(dividingBy: b)) / b
    let whole = quotient.rounded(.down)
    return quotient - whole > 0.5 ? whole + 1 : whole
  }
}

/// Luma and chroma in OpenCV's 14-bit fixed point (`COLOR_BGR2YUV`, `COLOR_YUV2BGR`), 8 bits each.
private struct YUVPlanes {
  let width: Int
  let height: Int
  var y: [UInt8]
  var u: [UInt8]
  var v: [UInt8]

  private static func rounded(_ x: Int) -> UInt8 { UInt8(clamping: (x + 1 << 13) >> 14) }

  init(_ picture: Picture) {
    width = picture.width
    height = picture.height
    y = [UInt8](repeating: 0, count: width * height)
    u = y
    v = y
    let grey = 128 << 14
    for i in 0..<width * height {
      let (red, green, blue) = (Int(picture.pixels[3 * i]), Int(picture.pixels[3 * i + 1]), Int(picture.pixels[3 * i + 2]))
      y[i] = Self.rounded(4899 * red + 9617 * green + 1868 * blue)
      u[i] = Self.rounded(8061 * (blue - Int(y[i])) + grey)
      v[i] = Self.rounded(14369 * (red - Int(y[i])) + grey)
    }
  }

  var picture: Picture {
    var pixels = [UInt8](repeating: 0, count: 3 * width * height)
    for i in 0..<width * height {
      let (luma, u, v) = (Int(y[i]) << 14, Int(u[i]) - 128, Int(v[i]) - 128)
      pixels[3 * i] = Self.rounded(luma + 18678 * v)
      pixels[3 * i + 1] = Self.rounded(luma - 6472 * u - 9519 * v)
      pixels[3 * i + 2] = Self.rounded(luma + 33292 * u)
    }
    return Picture(width: width, height: height, pixels: pixels)
  }
}

/// One level of the Haar wavelet of U, without the last rows and columns that make no 4x4. The order of every sum is PyWavelets' (rows first): results are cut
/// to whole numbers at the end, where the last place of a Double decides.
private struct HaarBands {
  let rows: Int
  let columns: Int
  /// Low in both; high between rows; high between columns; high in both. `rows` x `columns` each.
  var low: [Double]
  var acrossRows: [Double]
  var acrossColumns: [Double]
  var both: [Double]
  private static let half = 0.7071067811865476

  init(_ planes: YUVPlanes) {
    rows = planes.height / 4 * 2
    columns = planes.width / 4 * 2
    low = [Double](repeating: 0, count: rows * columns)
    acrossRows = low
    acrossColumns = low
    both = low
    let s = Self.half
    for r in 0..<rows {
      for c in 0..<columns {
        let at = 2 * r * planes.width + 2 * c
        let (a, b) = (Double(planes.u[at]), Double(planes.u[at + 1]))
        let (d, e) = (Double(planes.u[at + planes.width]), Double(planes.u[at + planes.width + 1]))
        let (lowLeft, lowRight) = (s * d + s * a, s * e + s * b)
        let (highLeft, highRight) = (-s * d + s * a, -s * e + s * b)
        let i = r * columns + c
        low[i] = s * lowRight + s * lowLeft
        acrossColumns[i] = -s * lowRight + s * lowLeft
        acrossRows[i] = s * highRight + s * highLeft
        both[i] = -s * highRight + s * highLeft
      }
    }
  }

  /// The largest value but the first of each 4x4 block of the low band, the first of equals. The band is never negative: neither is U.
  mutating func forEachBlock(_ body: (_ index: Int, _ largest: inout Double) -> Void) {
    var index = 0
    for blockRow in 0..<rows / 4 {
      for blockColumn in 0..<columns / 4 {
        let start = 4 * blockRow * columns + 4 * blockColumn
        var largest = start + 1
        for k in 2..<16 where low[start + k / 4 * columns + k % 4] > low[largest] { largest = start + k / 4 * columns + k % 4 }
        body(index, &low[largest])
        index += 1
      }
    }
  }

  /// Back to U, cut to whole numbers. U of a picture is 17 to 239 and moves by 13.5 at most: it stays within 8 bits.
  func write(into planes: inout YUVPlanes) {
    let s = Self.half
    for r in 0..<rows {
      for c in 0..<columns {
        let i = r * columns + c
        // The details change places, as in the package.
        let (betweenRows, betweenColumns) = (acrossColumns[i], acrossRows[i])
        let (lowLeft, lowRight) = (s * low[i] + s * betweenColumns, s * low[i] - s * betweenColumns)
        let (highLeft, highRight) = (s * betweenRows + s * both[i], s * betweenRows - s * both[i])
        let at = 2 * r * planes.width + 2 * c
        planes.u[at] = UInt8(s * lowLeft + s * highLeft)
        planes.u[at + 1] = UInt8(s * lowRight + s * highRight)
        planes.u[at + planes.width] = UInt8(s * lowLeft - s * highLeft)
        planes.u[at + planes.width + 1] = UInt8(s * lowRight - s * highRight)
      }
    }
  }
}
