/// `y = x W^T + b`.
struct Linear {
  /// `[out, in]`
  let weight: Tensor
  let bias: Tensor?

  init(_ scope: WeightScope, _ input: Int, _ output: Int, bias: Bool = true) {
    weight = scope.take("weight", [output, input])
    self.bias = bias ? scope.take("bias", [output]) : nil
  }

  /// A 1x1 convolution read as the linear layer that it is: channels-last, both are the same product.
  init(pointwise scope: WeightScope, _ input: Int, _ output: Int) {
    let w = scope.take("weight", [output, input, 1, 1])
    weight = w.isEmpty ? w : w.reshaped([output, input])
    bias = scope.take("bias", [output])
  }

  func callAsFunction(_ x: Tensor) -> Tensor { x.linear(weight, bias) }
}
