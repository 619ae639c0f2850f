import Analysis
import Engine
import Plots

extension Projection.Options {
  /// The usual settings, smaller where there are few points.
  init(fitting count: Int, seed: UInt64) {
    self.init()
    self.seed = seed
    perplexity = min(30, Double(count - 1) / 3)
    neighbours = min(15, count - 1)
  }
}

extension Report.Scatter.Projection {
  /// A map of points as a report shows it.
  ///
  /// - Parameters:
  ///   - result: its first `crowd` points are those that one compares with; behind them stand the marked ones.
  ///   - space: what the points are, such as "latents".
  ///   - marks: labels of the marked points.
  ///   - paths: under PCA, ways through the same projection, each a tensor a step; `point` is the one of the crowd that it leads to, if it does.
  init(
    _ result: ProjectionResult, space: String, crowd: Int, marks: [String], paths: [(label: String, latents: [Tensor], point: Int?)]
  ) throws {
    let values = result.embedding.values
    let d = result.embedding.dimension
    func x(_ i: Int) -> Float { values[i * d] }
    func y(_ i: Int) -> Float { d > 1 ? values[i * d + 1] : 0 }
    let own = marks.enumerated().map { i, label in Report.Scatter.Mark(label, x: x(crowd + i), y: y(crowd + i)) }
    var scores: [(name: String, value: String)] = []
    if let ratio = result.explainedVarianceRatio {
      scores.append(("explained variance", decimal(100 * ratio.prefix(2).reduce(0, +), 1) + " %"))
    }
    if let t = result.scores.trustworthiness { scores.append(("trustworthiness (k = 15)", decimal(t, 3))) }
    if let c = result.scores.continuity { scores.append(("continuity (k = 15)", decimal(c, 3))) }
    if let r = result.scores.neighbourRecall { scores.append(("neighbour recall (k = 10)", decimal(r, 3))) }
    if let kl = result.scores.klDivergence { scores.append(("KL divergence", decimal(kl, 3))) }
    scores.append(("time", duration(result.seconds)))
    var trajectories: [Report.Scatter.Trajectory] = []
    if let pca = result.pca {
      // The first predictions lie far outside and would press the crowd into a line.
      let (xs, ys) = (Self.widened((0..<crowd).map(x)), Self.widened((0..<crowd).map(y)))
      for (label, path, point) in paths {
        let projected = try pca.transform(Points(path.map(\.array), name: "predicted x0")).values
        let inside = path.indices.filter { xs.contains(projected[$0 * d]) && ys.contains(projected[$0 * d + 1]) }
        guard !inside.isEmpty else { continue }
        trajectories.append(
          .init(
            label: label, x: inside.map { projected[$0 * d] },
            y: inside.map { projected[$0 * d + 1] }, steps: inside.map { "step \($0 + 1)" }, point: point))
      }
    }
    let (name, axes, note): (String, (String, String), String) =
      switch result.method {
      case .pca:
        (
          "PCA",
          (
            "PC 1 (\(decimal(100 * (result.explainedVarianceRatio?.first ?? 0), 1)) %)",
            "PC 2 (\(decimal(100 * (result.explainedVarianceRatio?.dropFirst().first ?? 0), 1)) %)"
          ),
          trajectories.isEmpty
            ? "" : "Lines: predicted x₀ step by step, through the same projection; steps far outside of the crowd are left out."
        )
      case .tsne: ("t-SNE", ("t-SNE 1", "t-SNE 2"), "Distances between clusters carry no meaning.")
      case .umap: ("UMAP", ("UMAP 1", "UMAP 2"), "Distances between clusters carry no meaning.")
      }
    self.init(
      method: name, space: space, x: (0..<crowd).map(x), y: (0..<crowd).map(y), xLabel: axes.0, yLabel: axes.1, note: note,
      marks: trajectories.isEmpty ? own : [],
      trajectories: trajectories, scores: scores)
  }

  /// The range of the values and half of it on either side.
  private static func widened(_ values: [Float]) -> ClosedRange<Float> {
    let (low, high) = (values.min() ?? 0, values.max() ?? 0)
    let room = (high - low) / 2
    return low - room...high + room
  }
}
