extension Picture {
  /// `[1, height, width, 3]` in -1...1: `2 * (x / 255) - 1`, as diffusers' `VaeImageProcessor.preprocess`.
  public var tensor: Tensor {
    var out = Tensor.zeros([1, height, width, 3])
    out.withUnsafeMutableBuffer { t in
      for i in 0..<t.count { t[i] = 2 * (Float(pixels[i]) / 255) - 1 }
    }
    return out
  }

  /// Image `index` of a batch `[n, height, width, 3]` in -1...1: `(x / 2 + 0.5)` clamped to 0...1, times 255, half to even, as diffusers'
  /// `VaeImageProcessor.postprocess`. What is not a number becomes 0.
  public init(_ tensor: Tensor, index: Int = 0) {
    let s = tensor.shape
    precondition(
      s.rank == 4 && s[3] == 3 && (0..<s[0]).contains(index), "expected a picture [n, height, width, 3], found \(s), image \(index)")
    let count = s[1] * s[2] * 3
    let pixels = tensor.withUnsafeBuffer { t in
      t[index * count..<(index + 1) * count].map { v -> UInt8 in
        let unit = v / 2 + 0.5
        // Comparisons with NaN are false: it falls to 0 here and never reaches the conversion, which would trap.
        return unit > 0 ? UInt8(((unit < 1 ? unit : 1) * 255).rounded(.toNearestOrEven)) : 0
      }
    }
    self.init(width: s[2], height: s[1], pixels: pixels)
  }

  /// A mask `[1, height, width, 1]` of 0 (keep) and 1 (paint anew): grey / 255, 1 from 0.5 on, as diffusers' mask processor. Resize first.
  public var mask: Tensor {
    Tensor(grey.map { Float($0) / 255 >= 0.5 ? 1 : 0 }, [1, height, width, 1])
  }
}
