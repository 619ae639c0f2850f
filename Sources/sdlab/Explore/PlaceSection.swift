import Analysis
import Engine
import Foundation
import Plots

extension ExploreStudy {
  /// Points that the picture is compared with.
  private struct Crowd {
    var features: [LatentFeatures]
    var captions: [String]
    var factors: [Report.Scatter.Factor]
    var sprite: Report.Scatter.Sprite?
    /// What they are, for the notes.
    var about: String
  }

  /// Where this picture lies among others.
  mutating func placeSection() throws -> Report.Section {
    let seeds = try (0..<plan.seeds).map { i in
      i == 0 ? base : try pass(seed: run.parameters.seed &+ UInt64(i), captures: [CaptureSpec("unet.mid_block.out", reduce: .pixels)])
    }
    let crowd = try crowd(seeds)
    let own = try LatentFeatures.of(
      Tensor.concatenated(try seeds.map { try $0.finalLatents() }), prompts: seeds.map { _ in prompt.text }, model: run.model)
    let paths = try seeds.map { try $0.predictions() }
    let names = seeds.indices.map { $0 == 0 ? "this picture" : "seed \(run.parameters.seed &+ UInt64($0))" }
    var projections: [Report.Scatter.Projection] = []
    let spaces: [(String, (LatentFeatures) -> [Float], Int)] = [
      ("latents", { $0.latents }, seeds.count), ("h-space", { $0.h }, seeds.count), ("text", { $0.text }, 1),
    ]
    var explained: (ratio: [Double], name: String)?
    for (space, feature, marks) in spaces {
      let rows = crowd.features.map(feature) + own.prefix(marks).map(feature)
      guard rows.count >= 5, Set(rows.map(\.count)).count == 1 else { continue }
      let points = try Points(rows, name: space)
      for method in Projection.Method.allCases {
        let result = try Projection.compute(points, method, options: .init(fitting: points.count, seed: run.parameters.seed))
        if space == "latents", method == .pca, let pca = try? PCA(points, components: min(10, rows.count - 1)) {
          explained = (pca.explainedVarianceRatio, space)
        }
        projections.append(
          try .init(
            result, space: space, crowd: crowd.features.count, marks: Array(names.prefix(marks)),
            paths: space == "latents" ? zip(names, paths).map { (label: $0, latents: $1, point: nil) } : []))
      }
    }
    let scatter = Report.Scatter(
      title: "this picture among \(crowd.about)", projections: projections, factors: crowd.factors, captions: crowd.captions,
      sprite: crowd.sprite)
    var parts: [any Report.Part] = [scatter]
    if let explained {
      let n = explained.ratio.count
      let scree = Figure(
        title: "Explained variance", subtitle: "of the principal components of the \(explained.name)", width: 480,
        panels: [
          Panel(
            x: .categorical("component", (1...n).map(String.init)), y: .linear("share of the variance", zero: true),
            marks: [.bars(explained.ratio)])
        ])
      parts.append(
        try figure(
          scree, caption: "How much of the variance each component holds: two are on the map.",
          alt:
            "The first component holds \(decimal(100 * explained.ratio[0], 1)) %, the second \(decimal(100 * (n > 1 ? explained.ratio[1] : 0), 1)) %."
        ))
    }
    return Report.Section(
      title: "Where this picture lies",
      shows:
        "This picture and the same prompt with \(plan.seeds - 1) other seeds among \(crowd.about), in the latents, in h-space and by their text.",
      limits:
        "A map in two dimensions tears neighbourhoods apart: read the scores beside it, and no meaning into distances between clusters of t-SNE and UMAP.",
      parts: parts)
  }

  /// The reference scenes for the model that comes with the program; for others the run's own further seeds and prompts.
  private mutating func crowd(_ seeds: [RunFolder]) throws -> Crowd {
    if plan.hasReference {
      let folder = try Resources.url("scenes-reference")
      let set = try ReferenceSet(folder: folder)
      let features =
        try ReferenceSet.storedFeatures(folder, modelSha256: base.manifest.modelSha256)
        ?? Reference.compute(set, run.model, quiet: run.report.quiet)
      guard features.count == set.scenes.count else {
        throw InputError(.badData, "\(folder.path): features of \(features.count) scenes, expected \(set.scenes.count)")
      }
      func factor(_ name: String, _ value: (ReferenceSet.Scene) -> String?, colours: [String: String] = [:]) -> Report.Scatter.Factor {
        let values = set.scenes.map(value)
        let categories = Set(values.compactMap { $0 }).sorted()
        return .init(
          name: name, categories: categories, values: values.map { $0.flatMap(categories.firstIndex(of:)) ?? -1 },
          colours: colours.isEmpty ? [] : categories.map { colours[$0] ?? "#888888" })
      }
      let colours = [
        "red": "#d62728", "orange": "#ff7f0e", "yellow": "#d9b800", "green": "#2ca02c", "blue": "#1f77b4", "purple": "#9467bd",
        "pink": "#e377c2",
        "brown": "#8c564b", "white": "#b8b8b8",
      ]
      let png = try Data(contentsOf: set.sheetFile)
      return Crowd(
        features: features, captions: set.scenes.map(\.caption),
        factors: [
          factor("setting", { $0.setting }), factor("first object", { $0.objects.first?.noun }),
          factor("first colour", { $0.objects.first?.colour }, colours: colours), factor("objects", { "\($0.objects.count)" }),
          factor("relation", { $0.relation }),
        ],
        sprite: .init(try Report.Picture(png: Array(png), alt: "1,024 reference scenes"), tileWidth: set.tile, tileHeight: set.tile),
        about: "1,024 reference scenes")
    }
    // Every pass that was made so far, with what it was told.
    let runs = passes
    let latents = try runs.map { try $0.finalLatents() }
    let prompts = runs.map { $0.manifest.spec.intervention["embedding"] == nil ? prompt.text : other }
    let features = try LatentFeatures.of(Tensor.concatenated(latents), prompts: prompts, model: run.model)
    let kinds = runs.map { $0.manifest.spec.intervention.keys.sorted().first ?? "seed" }
    let categories = Set(kinds).sorted()
    return Crowd(
      features: features,
      captions: runs.map { r in
        r.manifest.spec.intervention.isEmpty
          ? "seed \(r.manifest.spec.parameters.seed)" : r.manifest.spec.intervention.map { "\($0): \($1)" }.sorted().joined(separator: ", ")
      },
      factors: [.init(name: "kind of pass", categories: categories, values: kinds.map { categories.firstIndex(of: $0) ?? -1 })],
      sprite: nil,
      about: "the \(runs.count) passes of this exploration so far")
  }
}
