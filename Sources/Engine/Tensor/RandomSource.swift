/// A seeded stream of random numbers. Equal seeds and equal sequences of calls give equal numbers on every machine.
///
/// One image has one generator, so that its noise does not depend on the batch it is made in.
public protocol RandomSource: Sendable {
  /// The next `count` independent values of the standard normal distribution, as one call of `torch.randn` gives them.
  ///
  /// One call for `a + b` values is not two calls for `a` and `b` values: the generators work in blocks.
  mutating func normal(count: Int) -> [Float]
}

extension RandomSource {
  /// Standard normal noise of a channels-last `shape` `[n, h, w, c]`, drawn in PyTorch's order `[n, c, h, w]`.
  public mutating func normal(nhwc shape: Shape) -> Tensor {
    precondition(shape.rank == 4, "expected 4 dimensions, found \(shape)")
    return Tensor(normal(count: shape.count), [shape[0], shape[3], shape[1], shape[2]]).nhwc()
  }
}
