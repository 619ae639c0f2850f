/// A convolution over channels-last pictures; its weight is packed once from PyTorch's order.
struct Conv2d {
  /// `[out, kh, kw, in]`
  let weight: Tensor
  let bias: Tensor
  let stride: Int
  let padding: Padding

  /// Padding defaults to what keeps the size: (kernel - 1) / 2.
  init(_ scope: WeightScope, _ input: Int, _ output: Int, kernel: Int, stride: Int = 1, padding: Padding? = nil) {
    // The pages of the file go back to the system with `stored`: only the packed copy stays in memory.
    let stored = scope.take("weight", [output, input, kernel, kernel])
    weight = stored.isEmpty ? stored : stored.packedForConvolution()
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

  /// With `extra` `[n, out]` added to every pixel of an image: the time embedding.
  func callAsFunction(_ x: Tensor, plus extra: Tensor) -> Tensor {
    var perImage = extra
    perImage.withUnsafeMutableBuffer { e in
      for i in 0..<e.count { e[i] += bias.data[i % bias.count] }
    }
    return x.conv2d(weight, perImage, stride: stride, padding: padding)
  }
}
