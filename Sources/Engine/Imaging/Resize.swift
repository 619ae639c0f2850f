import Foundation

extension Picture {
  /// How pixels are weighted when a picture changes its size.
  public enum Filter: Sendable, CaseIterable {
    /// The nearest pixel; no new colours.
    case nearest
    case box
    case bilinear
    /// Keys' cubic with a = -0.5.
    case bicubic
    /// Windowed sinc of radius 3: diffusers' default for the first picture and the mask.
    case lanczos

    /// Radius in source pixels at scale 1.
    fileprivate var support: Double {
      switch self {
      case .nearest, .box: 0.5
      case .bilinear: 1
      case .bicubic: 2
      case .lanczos: 3
      }
    }

    fileprivate func weight(_ x: Double) -> Double {
      switch self {
      case .nearest, .box: return x > -0.5 && x <= 0.5 ? 1 : 0
      case .bilinear: return max(0, 1 - abs(x))
      case .bicubic:
        let a = -0.5
        let x = abs(x)
        if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
      case .lanczos:
        func sinc(_ x: Double) -> Double { x == 0 ? 1 : sin(x * .pi) / (x * .pi) }
        return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0
      }
    }
  }

  /// The whole picture at another size, equal to `PIL.Image.resize` on an 8-bit RGB picture.
  ///
  /// As `Resample.c` of Pillow 13: the filter is widened by the scale when the picture shrinks (antialiasing); weights are rounded to 22
  /// bits; rows are resampled first and rounded to 8 bits, then columns, or the other way round when the height loses more than twice the
  /// pixels of the width.
  /// - Parameters: width, height: 1 to 65535 pixels.
  public func resized(width newWidth: Int, height newHeight: Int, filter: Filter = .lanczos) -> Picture {
    precondition(newWidth > 0 && newHeight > 0, "\(newWidth) x \(newHeight)")
    if filter == .nearest { return nearest(newWidth, newHeight) }
    let columnsFirst = height > newHeight && height - newHeight > 2 * (width - newWidth)
    var out = self
    if columnsFirst { out = out.resampledColumns(Weights(from: height, to: newHeight, filter)) }
    if newWidth != width { out = out.resampledRows(Weights(from: width, to: newWidth, filter)) }
    if newHeight != out.height { out = out.resampledColumns(Weights(from: height, to: newHeight, filter)) }
    return out
  }

  private func nearest(_ w: Int, _ h: Int) -> Picture {
    func sources(_ from: Int, _ to: Int) -> [Int] {
      let scale = Double(from) / Double(to)
      return (0..<to).map { min(from - 1, Int((Double($0) + 0.5) * scale)) }
    }
    let columns = sources(width, w)
    let rows = sources(height, h)
    let out = [UInt8](unsafeUninitializedCapacity: 3 * w * h) { out, count in
      var t = 0
      for y in rows {
        for x in columns {
          let s = 3 * (y * width + x)
          for c in 0..<3 { out[t + c] = pixels[s + c] }
          t += 3
        }
      }
      count = t
    }
    return Picture(width: w, height: h, pixels: out)
  }

  /// For every new pixel the source pixels that it sees and their weights, which sum to 1.
  struct ResampleWeights {
    var first: [Int] = []
    var values: [[Double]] = []

    init(from: Int, to: Int, _ filter: Filter) {
      let scale = Double(from) / Double(to)
      let stretch = max(scale, 1)
      let support = filter.support * stretch
      for i in 0..<to {
        let centre = (Double(i) + 0.5) * scale
        let low = max(0, Int(centre - support + 0.5))
        let high = min(from, Int(centre + support + 0.5))
        let raw = (low..<max(low, high)).map { filter.weight((Double($0) - centre + 0.5) * (1 / stretch)) }
        let sum = raw.reduce(0, +)
        first.append(low)
        values.append(sum == 0 ? raw : raw.map { $0 * (1 / sum) })
      }
    }
  }

  /// The same in 22-bit fixed point.
  private struct Weights {
    let first: [Int]
    let values: [[Int32]]
    static let precision = 32 - 8 - 2

    init(from: Int, to: Int, _ filter: Filter) {
      let exact = ResampleWeights(from: from, to: to, filter)
      first = exact.first
      values = exact.values.map { row in
        row.map { v in
          let fixed = v * Double(1 << Self.precision)
          return Int32(v < 0 ? fixed - 0.5 : fixed + 0.5)
        }
      }
    }
  }

  private static func round(_ sum: Int) -> UInt8 { UInt8(max(0, min(255, sum >> Weights.precision))) }

  private func resampledRows(_ w: Weights) -> Picture {
    let newWidth = w.first.count
    let out = [UInt8](unsafeUninitializedCapacity: 3 * newWidth * height) { target, count in
      nonisolated(unsafe) let target = target
      pixels.withUnsafeBufferPointer { source in
        nonisolated(unsafe) let source = source
        parallel(height) { rows in
          for y in rows {
            for x in 0..<newWidth {
              var sum = SIMD4<Int>(repeating: 1 << (Weights.precision - 1))
              var s = 3 * (y * width + w.first[x])
              for k in w.values[x] {
                sum &+= Int(k) &* SIMD4(Int(source[s]), Int(source[s + 1]), Int(source[s + 2]), 0)
                s += 3
              }
              let t = 3 * (y * newWidth + x)
              for c in 0..<3 { target[t + c] = Self.round(sum[c]) }
            }
          }
        }
      }
      count = target.count
    }
    return Picture(width: newWidth, height: height, pixels: out)
  }

  private func resampledColumns(_ w: Weights) -> Picture {
    let newHeight = w.first.count
    let stride = 3 * width
    let out = [UInt8](unsafeUninitializedCapacity: stride * newHeight) { target, count in
      nonisolated(unsafe) let target = target
      pixels.withUnsafeBufferPointer { source in
        nonisolated(unsafe) let source = source
        parallel(newHeight) { rows in
          for y in rows {
            for i in 0..<stride {
              var sum = 1 << (Weights.precision - 1)
              var s = w.first[y] * stride + i
              for k in w.values[y] {
                sum &+= Int(k) &* Int(source[s])
                s += stride
              }
              target[y * stride + i] = Self.round(sum)
            }
          }
        }
      }
      count = target.count
    }
    return Picture(width: width, height: newHeight, pixels: out)
  }
}
