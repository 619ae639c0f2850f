/// A convolution over channels-last pictures.
struct Conv2d {
  let weight: ConvolutionWeight
  let bias: Tensor
  let stride: Int
  let padding: Padding

  /// Padding defaults to what keeps the size: (kernel - 1) / 2.
  init(_ scope: WeightScope, _ input: Int, _ output: Int, kernel: Int, stride: Int = 1, padding: Padding? = nil) {
    weight = scope.convolutionWeight([output, input, kernel, kernel])
    bias = scope.take("bias", [output])
    self.stride = stride
    self.padding = padding ?? Padding((kernel - 1) / 2)
  }

  /// - Parameters:
  ///   - x: `[n, h, w, in]`
  ///   - residual: added to the result.
  func callAsFunction(_ x: Tensor, adding residual: consuming Tensor? = nil) -> Tensor {
    x.conv2d(weight, bias, stride: stride, padding: padding, adding: residual)
  }

  /// Of a picture that is doubled by nearest neighbours before: `[n, 2h, 2w, out]`.
  func doubling(_ x: Tensor) -> Tensor {
    let (h, w) = (x.shape[1], x.shape[2])
    guard Winograd.isFor(weight.kernel, stride, padding),
      Winograd.paysDoubled(height: h, width: w, input: weight.input, output: weight.output), !records(x, weight.recorded, bias)
    else { return self(x.resizedNearest(height: 2 * h, width: 2 * w)) }
    return x.winogradDoubled(weight, bias)
  }

  /// With `extra` `[n, out]` added to every pixel of an image: the time embedding.
  func callAsFunction(_ x: Tensor, plus extra: Tensor) -> Tensor {
    if records(x, weight.recorded, bias, extra) {
      return x.conv2d(weight, extra.addingToRows(bias), stride: stride, padding: padding)
    }
    var perImage = extra
    perImage.withUnsafeMutableBuffer { e in
      for i in 0..<e.count { e[i] += bias.data[i % bias.count] }
    }
    return x.conv2d(weight, perImage, stride: stride, padding: padding)
  }
}
