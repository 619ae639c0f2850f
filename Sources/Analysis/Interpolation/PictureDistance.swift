import Engine
import Foundation

/// How different two pictures look, without any trained weights: the mean over scales of the root mean square colour difference in CIELAB.
///
/// sRGB (IEC 61966-2-1) becomes CIELAB under D65 and 2 degrees (white 0.95047, 1, 1.08883); the colour difference of two pixels is CIE 1976's
/// `sqrt(dL^2 + da^2 + db^2)`. Each scale halves the sides by averages of 2x2 Lab pixels (fewer at an odd border), as long as both sides have at least 8
/// pixels, at most 5 scales in all. The coarse scales make it feel a change of composition more than a shift by a pixel. 0 for equal pictures, about 100
/// between black and white; it is a metric: symmetric, and no way round is shorter.
public enum PictureDistance {
  static let maximumScales = 5
  static let smallestSide = 8

  /// - Throws: `InputError` (usage) when the sizes differ.
  public static func between(_ a: Picture, _ b: Picture) throws -> Double {
    guard a.width == b.width, a.height == b.height else {
      throw InputError(.usage, "pictures of \(a.width)x\(a.height) and \(b.width)x\(b.height) cannot be compared")
    }
    let (x, y) = (lab(a), lab(b))
    // Averaging is linear: the difference is averaged instead of both pictures.
    var difference = zip(x, y).map { $0 - $1 }
    var (height, width) = (a.height, a.width)
    var total = 0.0
    var scales = 0
    while true {
      total += (difference.reduce(0) { $0 + $1 * $1 } / Double(height * width)).squareRoot()
      scales += 1
      if scales == maximumScales || min(height, width) < 2 * smallestSide { break }
      difference = halved(difference, height, width)
      (height, width) = ((height + 1) / 2, (width + 1) / 2)
    }
    return total / Double(scales)
  }

  /// `[height, width, 3]`: L in 0...100, a, b.
  static func lab(_ picture: Picture) -> [Double] {
    let linear = (0..<256).map { i -> Double in
      let v = Double(i) / 255
      return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4)
    }
    func f(_ t: Double) -> Double { t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116 }
    var out = [Double](repeating: 0, count: picture.pixels.count)
    for i in stride(from: 0, to: out.count, by: 3) {
      let (r, g, b) = (linear[Int(picture.pixels[i])], linear[Int(picture.pixels[i + 1])], linear[Int(picture.pixels[i + 2])])
      let x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047)
      let y = f(0.2126729 * r + 0.7151522 * g + 0.0721750 * b)
      let z = f((0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883)
      out[i] = 116 * y - 16
      out[i + 1] = 500 * (x - y)
      out[i + 2] = 200 * (y - z)
    }
    return out
  }

  private static func halved(_ x: [Double], _ height: Int, _ width: Int) -> [Double] {
    let (h, w) = ((height + 1) / 2, (width + 1) / 2)
    var out = [Double](repeating: 0, count: h * w * 3)
    for y in 0..<h {
      for c in 0..<w {
        let rows = 2 * y..<min(2 * y + 2, height)
        let columns = 2 * c..<min(2 * c + 2, width)
        for channel in 0..<3 {
          var sum = 0.0
          for i in rows { for j in columns { sum += x[(i * width + j) * 3 + channel] } }
          out[(y * w + c) * 3 + channel] = sum / Double(rows.count * columns.count)
        }
      }
    }
    return out
  }
}
