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
      let (sheet, tile) = self.sheet(pictures)
      try sheet.writePNG(to: sprite)
      side = tile
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

  /// All pictures in reading order on a square sheet, as the projector expects it; pictures that are not square are fitted into black.
  private func sheet(_ pictures: [Picture]) -> (sheet: Picture, tile: Int) {
    let columns = Int(Double(pictures.count).squareRoot().rounded(.up))
    let largest = pictures.map { max($0.width, $0.height) }.max() ?? 1
    let tile = max(1, min(64, largest, Self.longestSprite / columns))
    var pixels = [UInt8](repeating: 0, count: 3 * columns * tile * columns * tile)
    var small: [Picture] = []
    for (i, picture) in pictures.enumerated() {
      // Points of one run share its pictures: neighbours are often the same.
      if i > 0, picture == pictures[i - 1] {
        small.append(small[i - 1])
      } else {
        let factor = Double(tile) / Double(max(picture.width, picture.height))
        small.append(
          picture.resized(
            width: max(1, Int(Double(picture.width) * factor)), height: max(1, Int(Double(picture.height) * factor)), filter: .lanczos))
      }
      let (top, left) = (i / columns * tile, i % columns * tile)
      let shown = small[i]
      for y in 0..<shown.height {
        let from = 3 * y * shown.width
        let to = 3 * ((top + (tile - shown.height) / 2 + y) * columns * tile + left + (tile - shown.width) / 2)
        pixels.replaceSubrange(to..<to + 3 * shown.width, with: shown.pixels[from..<from + 3 * shown.width])
      }
    }
    return (Picture(width: columns * tile, height: columns * tile, pixels: pixels), tile)
  }
}
