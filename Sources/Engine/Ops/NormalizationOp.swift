extension Tensor {
  /// Group normalization over the channels of `[n, ..., c]` (Wu & He 2018; torch.nn.functional.group_norm), followed by SiLU if asked.
  ///
  /// Statistics are summed in double: variance is a difference of two near values.
  /// - Parameters:
  ///   - weight: `[c]`; bias: `[c]`; groups divides c.
  func groupNorm(_ groups: Int, _ weight: Tensor, _ bias: Tensor, eps: Double, silu: Bool) -> Tensor {
    let c = shape[-1]
    let n = shape[0]
    let pixels = count / (n * c)
    let size = c / groups
    precondition(weight.count == c && c % groups == 0, "groupNorm: \(shape), \(groups) groups, weight \(weight.shape)")
    let out = Tensor(uninitialized: shape)
    let (source, target, gamma, beta) = (data, out.storage.pointer, weight.data, bias.data)
    // As many parts as threads; each sums its own rows, so the result does not depend on who is faster.
    let parts = max(1, min(Threads.count, pixels * c / 8192))
    withUnsafeTemporaryAllocation(of: Double.self, capacity: n * parts * 2 * c) { sums in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: n * 2 * c) { affine in
        sums.initialize(repeating: 0)
        let (s, a) = (sums.baseAddress!, affine.baseAddress!)
        parallel(parts) { range in
          for part in range {
            let rows = pixels * part / parts..<pixels * (part + 1) / parts
            for image in 0..<n {
              let at = s + (image * parts + part) * 2 * c
              Kernel.table.channel_sums(source + (image * pixels + rows.lowerBound) * c, rows.count, c, at, at + c)
            }
          }
        }
        for image in 0..<n {
          for g in 0..<groups {
            var total = 0.0
            var squares = 0.0
            for part in 0..<parts {
              let at = s + (image * parts + part) * 2 * c
              for i in g * size..<(g + 1) * size {
                total += at[i]
                squares += at[c + i]
              }
            }
            let number = Double(pixels * size)
            let mean = total / number
            let variance = max(0, squares / number - mean * mean)
            let inverse = 1 / (variance + eps).squareRoot()
            for i in g * size..<(g + 1) * size {
              let scale = Double(gamma[i]) * inverse
              a[image * 2 * c + i] = Float(scale)
              a[image * 2 * c + c + i] = Float(Double(beta[i]) - mean * scale)
            }
          }
        }
        parallel(parts) { range in
          for part in range {
            let rows = pixels * part / parts..<pixels * (part + 1) / parts
            for image in 0..<n {
              let at = (image * pixels + rows.lowerBound) * c
              Kernel.table.scale_shift(source + at, target + at, rows.count, c, a + image * 2 * c, a + image * 2 * c + c, silu ? 1 : 0)
            }
          }
        }
      }
    }
    withExtendedLifetime((self, weight, bias)) {}
    guard records(self, weight, bias) else { return out }
    return out.recorded(from: [self, weight, bias]) { self.groupNormGradients($0, groups, weight, bias, eps: eps, silu: silu) }
  }

  /// Layer normalization over the last dimension (Ba et al. 2016). weight and bias: `[c]`.
  func layerNorm(_ weight: Tensor, _ bias: Tensor, eps: Double) -> Tensor {
    let c = shape[-1]
    precondition(weight.count == c, "layerNorm: \(shape), weight \(weight.shape)")
    let out = Tensor(uninitialized: shape)
    let (source, target) = (data, out.storage.pointer)
    parallel(shape.rows, grain: max(1, 8192 / max(1, c))) { rows in
      Kernel.table.layer_norm(
        source + rows.lowerBound * c, target + rows.lowerBound * c, rows.count, c, weight.data, bias.data, Float(eps))
    }
    withExtendedLifetime((self, weight, bias)) {}
    guard records(self, weight, bias) else { return out }
    return out.recorded(from: [self, weight, bias]) { self.layerNormGradients($0, weight, bias, eps: eps) }
  }
}
