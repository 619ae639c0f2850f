extension Tensor {
  /// Nearest-neighbour resize of `[n, h, w, c]` (torch's `nearest`: source index = floor(target * source size / target size)).
  func resizedNearest(height: Int, width: Int) -> Tensor {
    let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
    let out = Tensor(uninitialized: [n, height, width, c])
    let (source, target) = (data, out.storage.pointer)
    parallel(n * height, grain: max(1, 16384 / max(1, width * c))) { rows in
      for r in rows {
        let from = source + (r / height * h + r % height * h / height) * w * c
        let to = target + r * width * c
        for x in 0..<width { (to + x * c).update(from: from + x * w / width * c, count: c) }
      }
    }
    withExtendedLifetime(self) {}
    return records(self) ? out.recorded(from: [self]) { [$0.summedToNearest(height: h, width: w)] } : out
  }

  /// `[n, h, w, a]` and `[n, h, w, b]` as `[n, h, w, a + b]`.
  func joinedChannels(_ other: Tensor) -> Tensor {
    let (a, b) = (shape[-1], other.shape[-1])
    let rows = shape.rows
    precondition(shape.rank == 4 && rows == other.shape.rows, "joinedChannels: \(shape) and \(other.shape)")
    let out = Tensor(uninitialized: [shape[0], shape[1], shape[2], a + b])
    let (p, q, target) = (data, other.data, out.storage.pointer)
    parallel(rows, grain: max(1, 16384 / (a + b))) { range in
      for r in range {
        (target + r * (a + b)).update(from: p + r * a, count: a)
        (target + r * (a + b) + a).update(from: q + r * b, count: b)
      }
    }
    withExtendedLifetime((self, other)) {}
    guard records(self, other) else { return out }
    return out.recorded(from: [self, other]) { g in
      [self.node == nil ? nil : g.channels(0..<a), other.node == nil ? nil : g.channels(a..<a + b)]
    }
  }
}
