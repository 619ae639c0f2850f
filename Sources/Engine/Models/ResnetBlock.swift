/// norm, SiLU, 3x3 convolution, twice, beside a skip (He et al. 2016; diffusers ResnetBlock2D). The time embedding joins between the two.
struct ResnetBlock {
  let (norm1, norm2): (GroupNorm, GroupNorm)
  let (conv1, conv2): (Conv2d, Conv2d)
  let timeProjection: Linear?
  let shortcut: Linear?
  let output: Site

  /// - Parameter timeWidth: width of the time embedding; nil in the VAE.
  init(_ scope: WeightScope, _ input: Int, _ output: Int, timeWidth: Int?, groups: Int, eps: Double) {
    norm1 = GroupNorm(scope["norm1"], input, groups: groups, eps: eps)
    conv1 = Conv2d(scope["conv1"], input, output, kernel: 3)
    timeProjection = timeWidth.map { Linear(scope["time_emb_proj"], $0, output) }
    norm2 = GroupNorm(scope["norm2"], output, groups: groups, eps: eps)
    conv2 = Conv2d(scope["conv2"], output, output, kernel: 3)
    shortcut = input == output ? nil : Linear(pointwise: scope["conv_shortcut"], input, output)
    self.output = scope.site("out", "rows, height, width, channels")
  }

  /// - Parameters:
  ///   - x: `[n, h, w, input]`
  ///   - time: SiLU of the time embedding, `[n, timeWidth]`
  ///   - scale: the result is divided by it (diffusers output_scale_factor).
  func callAsFunction(_ x: Tensor, _ time: Tensor?, scale: Double = 1, _ context: ForwardContext) throws -> Tensor {
    if let inside = context.recomputing(x, time) {
      return try checkpoint(time.map { [x, $0] } ?? [x]) { try self($0[0], $0.count > 1 ? $0[1] : nil, scale: scale, inside) }
    }
    // One variable through the block: each buffer goes back to the pool as soon as the next stands.
    var h = norm1(x, silu: true)
    if let timeProjection, let time { h = conv1(h, plus: timeProjection(time)) } else { h = conv1(h) }
    h = norm2(h, silu: true)
    var y = conv2(h, adding: shortcut?(x) ?? x)
    if scale != 1 { y = (1 / scale) * y }
    try context.visit(output, &y)
    return y
  }
}
