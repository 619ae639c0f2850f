import Analysis
import Engine
import Foundation

/// A folder that TensorBoard's projector opens: the points, the map, where each came from, and a sprite of pictures.
struct ProjectorFiles {
  let folder: URL
  let hasPictures: Bool

  var vectors: URL { folder.appendingPathComponent("vectors.tsv") }
  var map: URL { folder.appendingPathComponent("map.tsv") }
  var metadata: URL { folder.appendingPathComponent("metadata.tsv") }
  var sprite: URL { folder.appendingPathComponent("sprite.png") }
  var config: URL { folder.appendingPathComponent("projector_config.pbtxt") }

  var all: [URL] { [vectors, map, metadata, config] + (hasPictures ? [sprite] : []) }

  /// The longest side of a sprite that TensorBoard takes.
  private static let longestSprite = 8192

  /// The projector cannot read the name of a single column: a table with one has no head line.
  func write(_ labelled: LabelledPoints, _ embedding: Points) throws {
    try table(labelled.points, to: vectors)
    try table(embedding, to: map)
    let columns = labelled.columns
    try AtomicFile.write(to: metadata) { sink in
      if columns.count > 1 { try sink.write(columns.map(\.name).joined(separator: "\t") + "\n") }
      for i in 0..<labelled.points.count {
        try sink.write(columns.map { $0.values[i].oneLine.replacing("\t", with: " ") }.joined(separator: "\t") + "\n")
      }
    }
    var side = 0
    if let pictures = labelled.pictures {
      let sheet = SpriteSheet(pictures, longest: Self.longestSprite)
      try sheet.picture.writePNG(to: sprite)
      side = sheet.tile
    }
    let entries = [("points", vectors, labelled.points), ("map", map, embedding)].map { name, url, points in
      let sprite =
        side > 0 ? "  sprite {\n    image_path: \"sprite.png\"\n    single_image_dim: \(side)\n    single_image_dim: \(side)\n  }\n" : ""
      return """
        embeddings {
          tensor_name: "\(name)"
          tensor_shape: \(points.count)
          tensor_shape: \(points.dimension)
          tensor_path: "\(url.lastPathComponent)"
          metadata_path: "metadata.tsv"
        \(sprite)}

        """
    }
    try AtomicFile.write(Data(entries.joined().utf8), to: config)
  }

  private func table(_ points: Points, to url: URL) throws {
    try AtomicFile.write(to: url) { sink in
      for i in 0..<points.count { try sink.write(points[i].map { "\($0)" }.joined(separator: "\t") + "\n") }
    }
  }
}
