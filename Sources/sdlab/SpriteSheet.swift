import Engine

/// Pictures in reading order on a square sheet, as TensorBoard's projector and the report's scatter plot expect it; pictures that are not square are fitted into
/// black.
struct SpriteSheet {
  let picture: Picture
  /// Pixels of a picture's side.
  let tile: Int

  /// - Parameter longest: side of the sheet in pixels.
  init(_ pictures: [Picture], longest: Int = 2048) {
    let columns = Int(Double(pictures.count).squareRoot().rounded(.up))
    let largest = pictures.map { max($0.width, $0.height) }.max() ?? 1
    let tile = max(1, min(64, largest, longest / columns))
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
    picture = Picture(width: columns * tile, height: columns * tile, pixels: pixels)
    self.tile = tile
  }
}
