/// What some schedulers do to the predicted x0. Latent models use neither.
enum Clipping: Sendable {
  case none
  /// To [-range, range].
  case clamp(Float)
  /// Dynamic thresholding: s = that quantile of |x0| of each image, at least 1 and at most `limit`; x0 to [-s, s], divided by s.
  /// Source: Saharia et al., NeurIPS 2022 (Imagen), section 2.3.
  case threshold(quantile: Float, limit: Float)

  /// `clips` is the class's default of `clip_sample`, nil for a class that only thresholds.
  init(_ config: ConfigReader, clips: Bool?, thresholds: Bool = true) throws {
    if try thresholds && config.bool("thresholding", false) {
      let quantile = try config.double("dynamic_thresholding_ratio", 0.995)
      try config.refuse(unless: (0...1).contains(quantile), "dynamic_thresholding_ratio", "a number from 0 to 1")
      self = .threshold(quantile: Float(quantile), limit: Float(try config.double("sample_max_value", 1)))
    } else if let clips, try config.bool("clip_sample", clips) {
      self = .clamp(Float(try config.double("clip_sample_range", 1)))
    } else {
      self = .none
    }
  }

  func callAsFunction(_ x0: Tensor) -> Tensor {
    switch self {
    case .none: x0
    case .clamp(let range): x0.map { min(max($0, -range), range) }
    case .threshold(let quantile, let limit):
      Tensor.concatenated(
        (0..<x0.shape[0]).map { image in
          let x = x0.slice(image..<image + 1)
          let s = min(max(Self.quantile(quantile, x.array.map(abs)), 1), limit)
          return x.map { min(max($0, -s), s) / s }
        })
    }
  }

  /// `torch.quantile`, linear between the values.
  private static func quantile(_ q: Float, _ values: [Float]) -> Float {
    let sorted = values.sorted()
    let rank = q * Float(sorted.count - 1)
    let below = Int(rank)
    let above = min(below + 1, sorted.count - 1)
    return sorted[below] + (rank - Float(below)) * (sorted[above] - sorted[below])
  }
}
