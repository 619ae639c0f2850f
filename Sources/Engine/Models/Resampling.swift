/// Halves a feature map with a strided 3x3 convolution (diffusers Downsample2D).
struct Downsample {
  let conv: Conv2d
  let output: Site

  /// - Parameter padding: zeros on every side; 0 means what diffusers means by it: one row and one column, below and to the right.
  init(_ scope: WeightScope, _ channels: Int, padding: Int) {
    conv = Conv2d(scope["conv"], channels, channels, kernel: 3, stride: 2, padding: padding == 0 ? .belowAndRight : Padding(padding))
    output = scope.site("out", "rows, height, width, channels")
  }

  func callAsFunction(_ x: Tensor, _ context: ForwardContext) throws -> Tensor {
    var y = conv(x)
    try context.visit(output, &y)
    return y
  }
}

/// Enlarges a feature map by nearest neighbours, then convolves (diffusers Upsample2D).
struct Upsample {
  let conv: Conv2d
  let output: Site

  init(_ scope: WeightScope, _ channels: Int) {
    conv = Conv2d(scope["conv"], channels, channels, kernel: 3)
    output = scope.site("out", "rows, height, width, channels")
  }

  func callAsFunction(_ x: Tensor, height: Int, width: Int, _ context: ForwardContext) throws -> Tensor {
    let isDoubled = height == 2 * x.shape[1] && width == 2 * x.shape[2]
    var y = isDoubled ? conv.doubling(x) : conv(x.resizedNearest(height: height, width: width))
    try context.visit(output, &y)
    return y
  }
}
