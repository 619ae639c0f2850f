import Engine

/// How well pictures fit their prompts: 100 times the cosine of their CLIP embeddings, at least 0, and its mean.
///
/// Hessel et al., "CLIPScore: A reference-free evaluation metric for image captioning", EMNLP 2021, with the factor 100 that torchmetrics and most papers about generated
/// pictures have (the paper's own is 2.5).
public enum CLIPScore {
  /// - Parameters:
  ///   - pictures, prompts: unit vectors `[n, d]`, row by row.
  ///   - replicates: resamplings of the pairs for the interval; 0 makes none.
  public static func of(_ pictures: Tensor, _ prompts: Tensor, replicates: Int = 0, seed: UInt64 = 0) -> (
    pairs: [Double], mean: MetricEstimate
  ) {
    precondition(pictures.shape == prompts.shape, "\(pictures.shape) beside \(prompts.shape)")
    let (n, d) = (pictures.shape[0], pictures.shape[1])
    let (a, b) = (pictures.array, prompts.array)
    let pairs = (0..<n).map { i in 100 * max(0, (i * d..<(i + 1) * d).reduce(0.0) { $0 + Double(a[$1]) * Double(b[$1]) }) }
    let drawn = Bootstrap.replicates(replicates) { r in
      zip(pairs, Bootstrap.weights(n, replicate: r, seed: seed)).reduce(0) { $0 + $1.0 * $1.1 } / Double(n)
    }
    return (pairs, Bootstrap.estimate(pairs.reduce(0, +) / Double(n), drawn))
  }
}
