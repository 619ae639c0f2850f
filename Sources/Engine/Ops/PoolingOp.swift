/// Pooling of windows, for networks that are only looked through: no gradient goes back.
extension Tensor {
  /// The largest value of each window, `[n, h', w', c]` (torch's max_pool2d): what lies outside of the picture does not count.
  func maxPooled(_ kernel: Int, stride: Int, padding: Int = 0) -> Tensor {
    pooled(kernel, stride: stride, padding: padding, start: -.infinity, { max($0, $1) }, { sum, _ in sum })
  }

  /// The mean of each window over the pixels that lie in the picture (torch's avg_pool2d with `count_include_pad=False`).
  func averagePooled(_ kernel: Int, stride: Int, padding: Int = 0) -> Tensor {
    pooled(kernel, stride: stride, padding: padding, start: 0, +, { sum, count in sum / Float(count) })
  }

  @inline(__always)
  private func pooled(
    _ kernel: Int, stride: Int, padding: Int, start: Float, _ join: (Float, Float) -> Float, _ end: (Float, Int) -> Float
  ) -> Tensor {
    precondition(!records(self) && padding < kernel, "pooling \(shape)")
    let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
    let (oh, ow) = ((h + 2 * padding - kernel) / stride + 1, (w + 2 * padding - kernel) / stride + 1)
    let out = Tensor(uninitialized: [n, oh, ow, c])
    let (source, target) = (data, out.storage.pointer)
    parallel(n * oh) { rows in
      for row in rows {
        let (image, y) = (row / oh, row % oh * stride - padding)
        let ys = max(0, y)..<min(h, y + kernel)
        for x in 0..<ow {
          let left = x * stride - padding
          let xs = max(0, left)..<min(w, left + kernel)
          let to = target + (row * ow + x) * c
          to.update(repeating: start, count: c)
          for sy in ys {
            for sx in xs {
              let from = source + ((image * h + sy) * w + sx) * c
              for k in 0..<c { to[k] = join(to[k], from[k]) }
            }
          }
          let count = ys.count * xs.count
          for k in 0..<c { to[k] = end(to[k], count) }
        }
      }
    }
    withExtendedLifetime(self) {}
    return out
  }
}

extension Tensor {
  /// The mean over all pixels of each picture, `[n, h, w, c]` to `[n, c]` (torch's adaptive_avg_pool2d to one pixel).
  func meanOverPixels() -> Tensor {
    let (n, c) = (shape[0], shape[3])
    let pixels = shape[1] * shape[2]
    precondition(shape.rank == 4 && pixels > 0, "meanOverPixels: \(shape)")
    let out = detached.blockSums(blocks: n) / Float(pixels)
    guard records(self) else { return out }
    return out.recorded(from: [self]) { g in
      let gradient = Tensor(uninitialized: self.shape)
      let target = gradient.storage.pointer
      for image in 0..<n {
        for pixel in 0..<pixels {
          for i in 0..<c { target[(image * pixels + pixel) * c + i] = g.data[image * c + i] / Float(pixels) }
        }
      }
      return [gradient]
    }
  }
}
