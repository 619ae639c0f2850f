extension Picture {
  /// The picture at another size without rounding to 8 bits on the way, `[1, height, width, 3]`, 0 to 255: bicubic with antialiasing, equal to
  /// `PIL.Image.resize` of each channel as a picture of mode F, then cut to the range. What clean-fid resizes with (Parmar, Zhang, Zhu, "On aliased resizing and
  /// surprising subtleties in GAN evaluation", CVPR 2022).
  public func bicubic(width newWidth: Int, height newHeight: Int) -> Tensor {
    var rows = pixels.map(Float.init)
    let columns = ResampleWeights(from: width, to: newWidth, .bicubic)
    let lines = ResampleWeights(from: height, to: newHeight, .bicubic)
    // As Pillow: rows first unless the height loses more than twice the pixels of the width.
    if height > newHeight, height - newHeight > 2 * (width - newWidth) {
      if newHeight != height { rows = Self.resampledColumns(rows, width: width, lines) }
      if newWidth != width { rows = Self.resampledRows(rows, width: width, height: newHeight, columns) }
    } else {
      if newWidth != width { rows = Self.resampledRows(rows, width: width, height: height, columns) }
      if newHeight != height { rows = Self.resampledColumns(rows, width: newWidth, lines) }
    }
    return Tensor(rows.map { min(max($0, 0), 255) }, [1, newHeight, newWidth, 3])
  }

  private static func resampledRows(_ source: [Float], width: Int, height: Int, _ w: ResampleWeights) -> [Float] {
    let target = w.first.count
    var out = [Float](repeating: 0, count: 3 * target * height)
    for y in 0..<height {
      for x in 0..<target {
        for c in 0..<3 {
          var sum = 0.0
          for (k, weight) in w.values[x].enumerated() { sum += Double(source[3 * (y * width + w.first[x] + k) + c]) * weight }
          out[3 * (y * target + x) + c] = Float(sum)
        }
      }
    }
    return out
  }

  private static func resampledColumns(_ source: [Float], width: Int, _ w: ResampleWeights) -> [Float] {
    let stride = 3 * width
    var out = [Float](repeating: 0, count: stride * w.first.count)
    for y in w.first.indices {
      for i in 0..<stride {
        var sum = 0.0
        for (k, weight) in w.values[y].enumerated() { sum += Double(source[(w.first[y] + k) * stride + i]) * weight }
        out[y * stride + i] = Float(sum)
      }
    }
    return out
  }
}
