/// A low-rank addition to one weight: `W + scale * up * down` (Hu et al., LoRA, ICLR 2022).
///
/// For a convolution `W` is read as a matrix of `[out, in * kh * kw]`, as in PEFT's and kohya's implementations, whose second factor is a 1x1
/// convolution.
public struct LowRankDelta: Sendable {
  /// `[r, in]`, or `[r, in, kh, kw]`: lora_A, lora_down.
  public let down: StoredTensor
  /// `[out, r]`, or `[out, r, 1, 1]`: lora_B, lora_up.
  public let up: StoredTensor
  /// The file's alpha; it equals the rank where the file gives none.
  public let alpha: Double
  /// How much of it is added: the person's weight times alpha / r.
  public let scale: Float

  public var rank: Int { down.shape.first ?? 0 }

  /// Adds it to a weight in PyTorch's order.
  func add(to weight: inout Tensor) {
    let (rows, columns) = (weight.shape[0], weight.count / weight.shape[0])
    let left = scale * up.readAgain()
    let right = down.readAgain()
    let target = weight.mutableData()
    parallelProduct(
      rows, columns, rank, Matrix(pointer: left.data, stride: rank), Matrix(pointer: right.data, stride: columns), beta: 1, target, columns)
    withExtendedLifetime((left, right)) {}
  }

  /// The addition alone, `[out, in * kh * kw]`, in float32: for those who want to know how large it is.
  func values() -> Tensor {
    var delta = Tensor.zeros([up.shape[0], down.count / max(rank, 1)])
    add(to: &delta)
    return delta
  }
}
