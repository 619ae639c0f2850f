import Analysis
import Engine
import Plots

extension ReportStudy {
  /// Fewer points make no map.
  private static let fewest = 5

  /// Where the runs' pictures lie to each other by their final latents; nil when there are too few of them, or they are of several sizes or models.
  func placeSection() throws -> Report.Section? {
    let folders = views.map(\.folder)
    guard Set(folders.map(\.manifest.latentSize)).count == 1, Set(folders.map(\.manifest.modelSha256)).count == 1 else { return nil }
    var rows: [[Float]] = []
    var pictures: [Picture] = []
    var labels: [(run: String, prompt: String, seed: String)] = []
    for (view, name) in zip(views, names) {
      let p = view.folder.manifest.spec.parameters
      let latents = try view.folder.finalLatents()
      for i in 0..<p.count {
        rows.append(latents.slice(i..<i + 1).array)
        pictures.append(try view.folder.picture(i))
        labels.append((name, p.prompt, "\(p.seed &+ UInt64(i))"))
      }
    }
    guard rows.count >= Self.fewest else { return nil }
    let points = try Points(rows, name: "the final latents")
    var first = 0
    let paths = try zip(views, names).map { view, name in
      defer { first += view.folder.manifest.spec.parameters.count }
      return (
        label: "run \(name)", latents: try view.folder.predictions().map { $0.slice(view.image..<view.image + 1) },
        point: Optional(first + view.image)
      )
    }
    let projections = try Projection.Method.allCases.map { method in
      try Report.Scatter.Projection(
        Projection.compute(points, method, options: .init(fitting: points.count, seed: 42)), space: "latents", crowd: points.count,
        marks: [],
        paths: paths)
    }
    func factor(_ name: String, _ value: ((run: String, prompt: String, seed: String)) -> String) -> Report.Scatter.Factor {
      var categories: [String] = []
      for text in labels.map(value) where !categories.contains(text) { categories.append(text) }
      return .init(name: name, categories: categories, values: labels.map { categories.firstIndex(of: value($0)) ?? -1 })
    }
    let factors = [factor("run") { $0.run }, factor("prompt") { $0.prompt }, factor("seed") { $0.seed }].filter { $0.categories.count > 1 }
    let sprite = SpriteSheet(pictures)
    return Report.Section(
      title: "Where the pictures lie to each other",
      shows:
        "The \(rows.count) pictures of these runs by their final latents, and the way of each run's picture through the same projection.",
      limits:
        "Few points: neighbourhoods among \(rows.count) pictures say little, and no meaning is in distances between clusters of t-SNE and UMAP.",
      parts: [
        Report.Scatter(
          title: "the pictures of these runs", projections: projections, factors: factors,
          captions: labels.map { "run \($0.run), \($0.prompt), seed \($0.seed)" },
          sprite: .init(
            try Report.Picture(RGBImage(sprite.picture), alt: "\(rows.count) pictures"), tileWidth: sprite.tile, tileHeight: sprite.tile))
      ])
  }
}
