/// Resizing of stacks of maps as torch.nn.functional.interpolate does it with `align_corners=False` and no antialiasing.
public enum Upsampling: Sendable {
  case bilinear
  /// Cubic convolution with a = -0.75 (Keys 1981 with OpenCV's and torch's constant).
  case bicubic

  /// For each target position four source positions and their weights, sources clamped at the border.
  private func taps(_ from: Int, _ to: Int) -> [(sources: [Int], weights: [Float])] {
    let scale = Float(from) / Float(to)
    return (0..<to).map { i in
      let x = (Float(i) + 0.5) * scale - 0.5
      switch self {
      case .bilinear:
        let clamped = max(0, x)
        let first = min(Int(clamped), from - 1)
        let t = clamped - Float(first)
        return ([first, min(first + 1, from - 1)], [1 - t, t])
      case .bicubic:
        let floor = x.rounded(.down)
        let t = x - floor
        let a: Float = -0.75
        func near(_ d: Float) -> Float { ((a + 2) * d - (a + 3)) * d * d + 1 }
        func far(_ d: Float) -> Float { ((a * d - 5 * a) * d + 8 * a) * d - 4 * a }
        let weights = [far(t + 1), near(t), near(1 - t), far(2 - t)]
        return ((-1...2).map { min(max(Int(floor) + $0, 0), from - 1) }, weights)
      }
    }
  }

  /// `[height, width, channels]` at another size; channels side by side so that all maps of a layer are resized at once.
  public func resize(_ maps: [Float], _ size: MapSize, channels: Int, to target: MapSize) -> [Float] {
    precondition(maps.count == size.count * channels, "\(maps.count) values for \(size.height)x\(size.width)x\(channels)")
    if size == target { return maps }
    let rows = combine(maps, taps(size.height, target.height), outer: 1, length: size.height, inner: size.width * channels)
    return combine(rows, taps(size.width, target.width), outer: target.height, length: size.width, inner: channels)
  }

  /// Weighted sums along the middle one of three dimensions.
  private func combine(_ x: [Float], _ taps: [(sources: [Int], weights: [Float])], outer: Int, length: Int, inner: Int) -> [Float] {
    var out = [Float](repeating: 0, count: outer * taps.count * inner)
    x.withUnsafeBufferPointer { x in
      out.withUnsafeMutableBufferPointer { out in
        for o in 0..<outer {
          for (i, tap) in taps.enumerated() {
            let to = (o * taps.count + i) * inner
            for (source, weight) in zip(tap.sources, tap.weights) {
              let from = (o * length + source) * inner
              for c in 0..<inner { out[to + c] += weight * x[from + c] }
            }
          }
        }
      }
    }
    return out
  }
}
