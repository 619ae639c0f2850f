import Foundation

/// Sinusoidal embedding of scalars (Ho et al. 2020, after Vaswani et al. 2017; diffusers get_timestep_embedding).
///
/// `frequency_i = 10000^(-i / (half - shift))`; the embedding is `[cos(t f), sin(t f)]` if `flipSinToCos`, else `[sin, cos]`.
/// - Parameters:
///   - values: timesteps, one a row; multiplied by `scale`.
///   - dim: width of the embedding.
/// - Returns: `[rows, dim]`
func sinusoidalEmbedding(_ values: [Double], dim: Int, flipSinToCos: Bool, freqShift: Double, scale: Double = 1) -> Tensor {
  let half = dim / 2
  var out = [Float](repeating: 0, count: values.count * dim)
  for (row, value) in values.enumerated() {
    for i in 0..<half {
      let exponent = -log(Float(10000)) * Float(i) / (Float(half) - Float(freqShift))
      let angle = Float(scale) * (Float(value) * exp(exponent))
      let (s, c) = (row * dim + (flipSinToCos ? half + i : i), row * dim + (flipSinToCos ? i : half + i))
      out[s] = sin(angle)
      out[c] = cos(angle)
    }
  }
  return Tensor(out, [values.count, dim])
}

/// The UNet's two-layer perceptron over the sinusoidal embedding, with the guidance embedding of latent consistency models when there is one.
struct TimestepEmbedding {
  let (linear1, linear2): (Linear, Linear)
  /// `[channels, time_cond_proj_dim]`
  let condProj: Linear?

  init(_ scope: WeightScope, _ input: Int, _ output: Int, condDim: Int?) {
    linear1 = Linear(scope["linear_1"], input, output)
    linear2 = Linear(scope["linear_2"], output, output)
    condProj = condDim.map { Linear(scope["cond_proj"], $0, input, bias: false) }
  }

  func callAsFunction(_ sinusoid: Tensor, condition: Tensor?) -> Tensor {
    var x = sinusoid
    if let condProj, let condition { x.add(condProj(condition)) }
    var h = linear1(x)
    h.silu()
    return linear2(h)
  }
}
