/// The vector-Jacobian product of a convolution.
extension Tensor {
  /// `conv2d` with the way back.
  func recordedConv2d(_ weight: ConvolutionWeight, _ bias: Tensor?, stride: Int, padding: Padding, adding residual: Tensor?) -> Tensor {
    let out = withoutRecording {
      detached.trainingConv2d(weight, bias?.detached, stride: stride, padding: padding, adding: residual?.detached)
    }
    let leaf = weight.recorded
    return out.recorded(from: [self, leaf, bias, residual]) { g in
      [
        self.node == nil ? nil : g.convolutionInputGradient(self.shape, weight, stride, padding),
        leaf.flatMap { $0.node == nil ? nil : self.convolutionWeightGradient(g, $0.shape, stride, padding) },
        bias.flatMap { $0.node == nil ? nil : $0.shape.rank == 2 ? g.blockSums(blocks: $0.shape[0]) : g.columnSums() },
        residual?.node == nil ? nil : g,
      ]
    }
  }

  /// `conv2d` where the weight is used for this batch alone.
  private func trainingConv2d(
    _ weight: ConvolutionWeight, _ bias: Tensor?, stride: Int = 1, padding: Padding, adding residual: consuming Tensor? = nil
  ) -> Tensor {
    Winograd.isFor(weight.kernel, stride, padding) && Winograd.paysInTraining(shape, output: weight.output)
      ? winograd(weight, bias, adding: residual) : conv2d(weight, bias, stride: stride, padding: padding, adding: residual)
  }

  /// The gradient of the picture `[n, h, w, in]` for self the gradient of the result.
  private func convolutionInputGradient(_ input: Shape, _ weight: ConvolutionWeight, _ stride: Int, _ padding: Padding) -> Tensor {
    let (kh, kw) = weight.kernel
    if stride == 1 {
      // A convolution with the kernel turned by 180 degrees and inputs and outputs exchanged.
      let (p, q) = (kh - 1, kw - 1)
      var turned = Padding(0)
      (turned.top, turned.left, turned.bottom, turned.right) = (p - padding.top, q - padding.left, p - padding.bottom, q - padding.right)
      if [turned.top, turned.left, turned.bottom, turned.right].allSatisfy({ $0 >= 0 }) {
        return trainingConv2d(weight.turned, nil, padding: turned)
      }
    }
    return scattered(input, weight.values, stride, padding)
  }

  /// `[out, in, kh, kw]` as `[in, out, kh, kw]`, turned by 180 degrees.
  func turnedKernel() -> Tensor {
    let (o, i, k) = (shape[0], shape[1], shape[2] * shape[3])
    let out = Tensor(uninitialized: [i, o, shape[2], shape[3]])
    let (source, target) = (data, out.storage.pointer)
    parallel(i, grain: max(1, 16384 / (o * k))) { inputs in
      for b in inputs { for a in 0..<o { for c in 0..<k { target[(b * o + a) * k + k - 1 - c] = source[(a * i + b) * k + c] } } }
    }
    withExtendedLifetime(self) {}
    return out
  }

  /// Gradients of patches (g W), added where the patches came from. Image by image, since patches overlap.
  private func scattered(_ input: Shape, _ weight: Tensor, _ stride: Int, _ padding: Padding) -> Tensor {
    let (n, oh, ow, cout) = (shape[0], shape[1], shape[2], shape[3])
    let (h, w, cin) = (input[1], input[2], input[3])
    let (kh, kw) = (weight.shape[2], weight.shape[3])
    let k = kh * kw * cin
    let packed = weight.patchOrder()
    let out = Tensor.zeros(input)
    let block = min(oh * ow, 256)
    parallel(n, scratch: block * k) { images, patches in
      for image in images {
        let target = out.storage.pointer + image * h * w * cin
        var first = 0
        while first < oh * ow {
          let rows = min(block, oh * ow - first)
          product(
            rows, k, cout, Matrix(pointer: data + (image * oh * ow + first) * cout, stride: cout), Matrix(pointer: packed.data, stride: k),
            beta: 0, patches, k)
          for r in 0..<rows {
            let (y, x) = ((first + r) / ow * stride - padding.top, (first + r) % ow * stride - padding.left)
            for ky in max(0, -y)..<max(max(0, -y), min(kh, h - y)) {
              for kx in max(0, -x)..<max(max(0, -x), min(kw, w - x)) {
                Kernel.table.add(target + ((y + ky) * w + x + kx) * cin, patches + r * k + (ky * kw + kx) * cin, cin)
              }
            }
          }
          first += rows
        }
      }
    }
    withExtendedLifetime((self, packed)) {}
    return out
  }

  /// The gradient of the weight `[out, in, kh, kw]`: the sum over pixels of g times the patch, for self the picture.
  private func convolutionWeightGradient(_ g: Tensor, _ weight: Shape, _ stride: Int, _ padding: Padding) -> Tensor {
    let (n, h, w, cin) = (shape[0], shape[1], shape[2], shape[3])
    let (oh, ow, cout) = (g.shape[1], g.shape[2], g.shape[3])
    let (kh, kw) = (weight[2], weight[3])
    if Winograd.isFor((kh, kw), stride, padding), Winograd.paysInTraining(shape, output: cout) { return Winograd.weightGradient(self, g) }
    let k = kh * kw * cin
    let pixels = n * oh * ow
    // Each part sums its own pixels into a matrix of its own; the parts are added in order.
    let parts = max(1, min(Threads.count, pixels / 64))
    let block = max(64, min(1024, (2 << 20) / (4 * k)))
    let sums = Storage(count: parts * cout * k)
    let scratch = Storage(count: parts * block * k)
    parallel(parts) { range in
      for part in range {
        let own = pixels * part / parts..<pixels * (part + 1) / parts
        let patches = scratch.pointer + part * block * k
        let sum = sums.pointer + part * cout * k
        if own.isEmpty { sum.update(repeating: 0, count: cout * k) }
        var first = own.lowerBound
        while first < own.upperBound {
          let rows = first..<min(first + block, own.upperBound)
          gather(rows, into: patches, h: h, w: w, cin: cin, oh: oh, ow: ow, kh: kh, kw: kw, stride: stride, padding: padding)
          product(
            cout, k, rows.count, Matrix(pointer: g.data + first * cout, stride: cout, transposed: true),
            Matrix(pointer: patches, stride: k), beta: first == own.lowerBound ? 0 : 1, sum, k)
          first = rows.upperBound
        }
      }
    }
    for part in 1..<max(parts, 1) { Kernel.table.add(sums.pointer, sums.pointer + part * cout * k, cout * k) }
    let out = Tensor(uninitialized: weight)
    let (source, target, area) = (sums.pointer, out.storage.pointer, kh * kw)
    for o in 0..<cout { for i in 0..<cin { for a in 0..<area { target[(o * cin + i) * area + a] = source[(o * area + a) * cin + i] } } }
    withExtendedLifetime((self, g, sums, scratch)) {}
    return out
  }

  /// `[out, in, kh, kw]` as `[out, kh * kw * in]`, the order of patches.
  private func patchOrder() -> Tensor {
    let (o, i, k) = (shape[0], shape[1], shape[2] * shape[3])
    let out = Tensor(uninitialized: [o, k * i])
    let (source, target) = (data, out.storage.pointer)
    for a in 0..<o { for b in 0..<i { for c in 0..<k { target[(a * k + c) * i + b] = source[(a * i + b) * k + c] } } }
    withExtendedLifetime(self) {}
    return out
  }
}
