/// Zeros around the picture, in pixels.
struct Padding: Sendable, Equatable {
  var top: Int
  var left: Int
  var bottom: Int
  var right: Int

  init(_ all: Int) { (top, left, bottom, right) = (all, all, all, all) }
  /// What the VAE's encoder adds before its strided convolutions: below and to the right only.
  static let belowAndRight: Padding = {
    var p = Padding(0)
    (p.bottom, p.right) = (1, 1)
    return p
  }()
}

extension Tensor {
  /// Two-dimensional cross-correlation, channels-last (torch.nn.functional.conv2d).
  ///
  /// A 1x1 convolution is one matrix product. 3x3 convolutions of many pixels go by Winograd's algorithm (`Winograd`). Others gather the patches of some
  /// hundred pixels at a time (im2col) into a buffer that stays in the cache and multiply: nothing of the size of the whole patch matrix ever exists.
  /// - Parameters:
  ///   - bias: `[out]`, or `[n, out]` for one bias an image: this is how the time embedding enters without a pass of its own.
  ///   - residual: added to the result; its buffer becomes the result if nobody else holds it.
  /// - Returns: `[n, h', w', out]` for self `[n, h, w, in]`.
  func conv2d(
    _ weight: ConvolutionWeight, _ bias: Tensor?, stride: Int = 1, padding: Padding, adding residual: consuming Tensor? = nil
  ) -> Tensor {
    let (n, h, w, cin) = (shape[0], shape[1], shape[2], shape[3])
    let (cout, kh, kw) = (weight.output, weight.kernel.height, weight.kernel.width)
    precondition(weight.input == cin, "conv2d: input \(shape), weight of \(weight.input) channels")
    if records(self, weight.recorded, bias, residual) {
      return recordedConv2d(weight, bias, stride: stride, padding: padding, adding: residual)
    }
    if Winograd.isFor(weight.kernel, stride, padding),
      Winograd.pays(height: h, width: w, input: cin, output: cout, inBFloat16: weight.isInBFloat16)
    {
      return winograd(weight, bias, adding: residual)
    }
    let oh = (h + padding.top + padding.bottom - kh) / stride + 1
    let ow = (w + padding.left + padding.right - kw) / stride + 1
    let pixels = oh * ow
    let perImage = (bias?.shape.rank ?? 1) == 2

    let adds = residual != nil
    var out = residual ?? Tensor(uninitialized: [n, oh, ow, cout])
    precondition(out.shape == [n, oh, ow, cout], "conv2d: residual \(out.shape), result [\(n), \(oh), \(ow), \(cout)]")
    let target = out.mutableData()
    let k = kh * kw * cin
    let packed = weight.panels
    if n * pixels >= 32 * Threads.count {
      let block = patchRows(n * pixels, k)
      parallel(n * pixels, grain: 16, scratch: block * k) { rows, patches in
        var first = rows.lowerBound
        while first < rows.upperBound {
          let end = perImage ? (first / pixels + 1) * pixels : rows.upperBound
          let part = first..<min(first + block, rows.upperBound, end)
          gather(part, into: patches, h: h, w: w, cin: cin, oh: oh, ow: ow, kh: kh, kw: kw, stride: stride, padding: padding)
          product(
            part.count, patches, k, packed, bias: bias.map { $0.data + (perImage ? first / pixels * cout : 0) }, adds: adds,
            target + first * cout, cout)
          first = part.upperBound
        }
      }
    } else {
      // Few pixels and many channels: all patches once, then split over the output channels, so that the weights are read once.
      let patches = Storage(count: n * pixels * k)
      gather(0..<n * pixels, into: patches.pointer, h: h, w: w, cin: cin, oh: oh, ow: ow, kh: kh, kw: kw, stride: stride, padding: padding)
      for first in Swift.stride(from: 0, to: n * pixels, by: perImage ? pixels : n * pixels) {
        parallelProduct(
          perImage ? pixels : n * pixels, patches.pointer + first * k, k, packed,
          bias: bias.map { $0.data + (perImage ? first / pixels * cout : 0) }, adds: adds, target + first * cout, cout)
      }
      withExtendedLifetime(patches) {}
    }
    withExtendedLifetime((self, packed, bias)) {}
    return out
  }

  /// Rows of patches gathered at a time. 4 MiB of them keep the product at its full rate (measured: 128 rows reach 0.88 of it, 256 rows 0.98)
  /// and fit the last-level cache.
  private func patchRows(_ pixels: Int, _ k: Int) -> Int { min(pixels, max(128, min(1024, (4 << 20) / (4 * k)))) }

  /// Writes the patches of the output pixels `rows` to `patches`: `[rows, kh * kw * cin]`.
  func gather(
    _ rows: Range<Int>, into patches: UnsafeMutablePointer<Float>, h: Int, w: Int, cin: Int, oh: Int, ow: Int, kh: Int, kw: Int,
    stride: Int,
    padding: Padding
  ) {
    let source = data
    let run = kw * cin
    var t = patches
    for r in rows {
      let image = r / (oh * ow)
      let y = r % (oh * ow) / ow * stride - padding.top
      let x = r % ow * stride - padding.left
      let from = max(0, -x)
      let to = min(kw, w - x)
      for ky in 0..<kh {
        let row = y + ky
        if row < 0 || row >= h || from >= to {
          t.update(repeating: 0, count: run)
        } else {
          // Neighbouring pixels are neighbours in memory: one copy per kernel row.
          if from > 0 { t.update(repeating: 0, count: from * cin) }
          (t + from * cin).update(from: source + ((image * h + row) * w + x + from) * cin, count: (to - from) * cin)
          if to < kw { (t + to * cin).update(repeating: 0, count: (kw - to) * cin) }
        }
        t += run
      }
    }
  }
}
