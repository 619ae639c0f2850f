extension Tensor {
  /// The transpose of `resizedNearest` for self the gradient of its result: each source pixel gets the sum of its copies, `[n, h, w, c]`.
  func summedToNearest(height h: Int, width w: Int) -> Tensor {
    let (n, height, width, c) = (shape[0], shape[1], shape[2], shape[3])
    let out = Tensor.zeros([n, h, w, c])
    let (source, target) = (data, out.storage.pointer)
    parallel(n) { images in
      for r in images.lowerBound * height..<images.upperBound * height {
        let to = target + (r / height * h + r % height * h / height) * w * c
        for x in 0..<width { Kernel.table.add(to + x * w / width * c, source + (r * width + x) * c, c) }
      }
    }
    withExtendedLifetime(self) {}
    return out
  }

  /// Channels `range` of `[..., c]`, copied: what `joinedChannels` put side by side.
  func channels(_ range: Range<Int>) -> Tensor {
    let c = shape[-1]
    precondition(range.lowerBound >= 0 && range.upperBound <= c, "channels \(range) of \(shape)")
    var d = shape.dimensions
    d[d.count - 1] = range.count
    let out = Tensor(uninitialized: Shape(d))
    let (source, target) = (data + range.lowerBound, out.storage.pointer)
    parallel(shape.rows, grain: max(1, 16384 / max(1, range.count))) { rows in
      for r in rows { (target + r * range.count).update(from: source + r * c, count: range.count) }
    }
    withExtendedLifetime(self) {}
    guard records(self) else { return out }
    return out.recorded(from: [self]) { g in
      let whole = Tensor.zeros(self.shape)
      for r in 0..<g.shape.rows {
        (whole.storage.pointer + r * c + range.lowerBound).update(from: g.data + r * range.count, count: range.count)
      }
      return [whole]
    }
  }
}
