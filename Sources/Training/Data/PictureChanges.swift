import Engine
import Foundation

extension Picture {
  /// As in a mirror: left becomes right.
  var mirrored: Picture {
    var out = [UInt8](repeating: 0, count: pixels.count)
    for y in 0..<height {
      for x in 0..<width {
        let (s, t) = (3 * (y * width + x), 3 * (y * width + width - 1 - x))
        for c in 0..<3 { out[t + c] = pixels[s + c] }
      }
    }
    return Picture(width: width, height: height, pixels: out)
  }

  /// Turned clockwise about its middle and magnified; beyond the edges the picture goes on mirrored. Bilinear.
  func turned(degrees: Double, scaled factor: Double) -> Picture {
    precondition(factor > 0, "scale \(factor)")
    let angle = degrees * .pi / 180
    let (cosine, sine) = (cos(angle) / factor, sin(angle) / factor)
    let (centreX, centreY) = (Double(width - 1) / 2, Double(height - 1) / 2)
    return resampled { x, y in
      let (dx, dy) = (x - centreX, y - centreY)
      return (centreX + cosine * dx + sine * dy, centreY - sine * dx + cosine * dy)
    }
  }

  /// Each pixel from another place; beyond the edges the picture goes on mirrored. Bilinear.
  /// - Parameter place: where the pixel at (x, y) comes from.
  func resampled(_ place: (_ x: Double, _ y: Double) -> (x: Double, y: Double)) -> Picture {
    var out = [UInt8](repeating: 0, count: pixels.count)
    for y in 0..<height {
      for x in 0..<width {
        let source = place(Double(x), Double(y))
        let (left, top) = (source.x.rounded(.down), source.y.rounded(.down))
        let (u, v) = (source.x - left, source.y - top)
        let (x0, x1) = (Self.reflected(Int(left), width), Self.reflected(Int(left) + 1, width))
        let (y0, y1) = (Self.reflected(Int(top), height), Self.reflected(Int(top) + 1, height))
        for c in 0..<3 {
          func value(_ x: Int, _ y: Int) -> Double { Double(pixels[3 * (y * width + x) + c]) }
          let upper = value(x0, y0) * (1 - u) + value(x1, y0) * u
          let lower = value(x0, y1) * (1 - u) + value(x1, y1) * u
          out[3 * (y * width + x) + c] = UInt8((upper * (1 - v) + lower * v).rounded())
        }
      }
    }
    return Picture(width: width, height: height, pixels: out)
  }

  /// `d c b a | a b c d | d c b a`.
  static func reflected(_ i: Int, _ count: Int) -> Int {
    let period = 2 * count
    let place = ((i % period) + period) % period
    return place < count ? place : period - 1 - place
  }

  /// Brightness, contrast about the mean grey, and saturation, one after another; 1 leaves a thing as it is.
  /// As torchvision's `adjust_brightness`, `adjust_contrast` and `adjust_saturation` on float pictures, in this order.
  func relit(brightness: Double, contrast: Double, saturation: Double) -> Picture {
    var values = pixels.map { min(255, Double($0) * brightness) }
    func grey(_ i: Int) -> Double { 0.2989 * values[i] + 0.587 * values[i + 1] + 0.114 * values[i + 2] }
    let mean = stride(from: 0, to: values.count, by: 3).reduce(0) { $0 + grey($1) } / Double(width * height)
    for i in values.indices { values[i] = min(255, max(0, mean + contrast * (values[i] - mean))) }
    for i in stride(from: 0, to: values.count, by: 3) {
      let g = grey(i)
      for c in i..<i + 3 { values[c] = min(255, max(0, g + saturation * (values[c] - g))) }
    }
    return Picture(width: width, height: height, pixels: values.map { UInt8($0.rounded()) })
  }
}
