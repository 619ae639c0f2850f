/// Group normalization, optionally followed by SiLU in the same pass.
struct GroupNorm {
  let weight: Tensor
  let bias: Tensor
  let groups: Int
  let eps: Double

  init(_ scope: WeightScope, _ channels: Int, groups: Int, eps: Double) {
    weight = scope.take("weight", [channels])
    bias = scope.take("bias", [channels])
    self.groups = groups
    self.eps = eps
  }

  func callAsFunction(_ x: Tensor, silu: Bool = false) -> Tensor { x.groupNorm(groups, weight, bias, eps: eps, silu: silu) }
}

/// Layer normalization over the channels.
struct LayerNorm {
  let weight: Tensor
  let bias: Tensor
  let eps: Double

  init(_ scope: WeightScope, _ channels: Int, eps: Double = 1e-5) {
    weight = scope.take("weight", [channels])
    bias = scope.take("bias", [channels])
    self.eps = eps
  }

  func callAsFunction(_ x: Tensor) -> Tensor { x.layerNorm(weight, bias, eps: eps) }
}
