import Analysis
import Engine
import Foundation
import Plots

/// The map as a scatter plot.
struct ProjectFigure {
  let result: ProjectionResult
  let labelled: LabelledPoints
  let colour: LabelledPoints.Column?
  let thumbnails: Bool
  let about: String

  /// More groups than this are told apart by nobody: numbers become a scale, names are refused.
  private static let mostGroups = 12

  func figure() throws -> Figure {
    let embedding = result.embedding
    guard embedding.dimension >= 2 else {
      throw InputError(.usage, "--figure: a map of one dimension is not drawn", hint: "give --dimensions 2")
    }
    let x = (0..<embedding.count).map { Double(embedding[$0][embedding[$0].startIndex]) }
    let y = (0..<embedding.count).map { Double(embedding[$0][embedding[$0].startIndex + 1]) }
    let radius = embedding.count > 5000 ? 1.2 : embedding.count > 500 ? 2.2 : 3.2
    var marks: [Mark] = []
    var subtitle = about
    if let colour {
      subtitle += "; coloured by \(colour.name)"
      let names = colour.distinct
      let numbers = colour.values.compactMap(Double.init)
      if names.count > Self.mostGroups || (names.count > 7 && numbers.count == colour.values.count) {
        guard numbers.count == colour.values.count else {
          throw InputError(
            .usage, "--colour \(colour.name): \(names.count) different names, expected at most \(Self.mostGroups), or numbers",
            hint: "choose another with --colour")
        }
        marks.append(.points(x, y, values: numbers, colours: ColourScale(.viridis, colour.name), radius: radius))
      } else {
        let index = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        let shown = names.map { $0.count > 40 ? $0.prefix(39) + "…" : $0 }
        marks.append(.points(x, y, categories: colour.values.map { index[$0] ?? -1 }, names: shown, radius: radius))
      }
    } else {
      marks.append(.points(x, y, radius: radius))
    }
    if thumbnails, let pictures = labelled.pictures {
      marks.insert(.thumbnails(x, y, try pictures.map { try RGBImage($0) }), at: 0)
    }
    return Figure(
      title: title, subtitle: subtitle, note: note, panels: [Panel(x: .linear(axis(0)), y: .linear(axis(1)), marks: marks)])
  }

  private var title: String {
    let name = [Projection.Method.pca: "Principal components", .tsne: "t-SNE", .umap: "UMAP"][result.method] ?? ""
    return "\(name) of \(grouped(labelled.points.count)) points with \(grouped(labelled.points.dimension)) coordinates"
  }

  private func axis(_ k: Int) -> String {
    guard let ratio = result.explainedVarianceRatio, ratio.indices.contains(k) else {
      return "\(result.method == .tsne ? "t-SNE" : "UMAP") \(k + 1)"
    }
    return "component \(k + 1) (\(decimal(100 * ratio[k], 1)) % of the variance)"
  }

  private var note: String {
    var parts: [String] = []
    if let trust = result.scores.trustworthiness { parts.append("Trustworthiness \(decimal(trust, 3)) (15 neighbours).") }
    if result.method == .pca {
      if let ratio = result.explainedVarianceRatio {
        parts.append("What the two axes do not show: \(decimal(100 * max(0, 1 - ratio.prefix(2).reduce(0, +)), 1)) % of the variance.")
      }
    } else {
      parts.append("Neighbours are meaningful; distances between clusters, their sizes and their densities are not.")
    }
    return parts.joined(separator: " ")
  }
}
