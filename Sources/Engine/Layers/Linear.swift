/// `y = x W^T + b`.
struct Linear {
  let weight: LinearWeight
  let bias: Tensor?

  init(_ scope: WeightScope, _ input: Int, _ output: Int, bias: Bool = true) {
    weight = scope.linearWeight([output, input])
    self.bias = bias ? scope.take("bias", [output]) : nil
  }

  /// A 1x1 convolution read as the linear layer that it is: channels-last, both are the same product.
  init(pointwise scope: WeightScope, _ input: Int, _ output: Int) {
    weight = scope.linearWeight([output, input, 1, 1])
    bias = scope.take("bias", [output])
  }

  func callAsFunction(_ x: Tensor) -> Tensor { x.linear(weight, bias) }
}
