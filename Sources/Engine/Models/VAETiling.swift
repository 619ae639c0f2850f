/// Whether a large picture goes through the VAE in overlapping tiles, which bounds memory and changes the result slightly at the seams.
public enum Tiling: String, Sendable, CaseIterable {
  /// Tiles above one megapixel.
  case auto
  case on
  case off
}

/// Tiled coding as diffusers' `enable_tiling()`: tiles of the training size overlap by a quarter and are blended linearly.
extension VAE {
  /// Part of a tile that overlaps the next one.
  private static let overlap = 0.25

  private func tiles(_ tiling: Tiling, pixels: Int, side: Int, tile: Int) -> Bool {
    switch tiling {
    case .off: false
    case .on: side > tile
    case .auto: pixels > 1 << 20 && side > tile
    }
  }

  /// As `decode`, in tiles where `tiling` asks for it.
  public func decode(_ latents: Tensor, tiling: Tiling) throws -> Tensor {
    let tile = max(1, Int(Double(config.sampleSize) / Double(config.factor)))
    let (h, w) = (latents.shape[1], latents.shape[2])
    guard tiles(tiling, pixels: h * w * config.factor * config.factor, side: max(h, w), tile: tile) else { return try decode(latents) }
    return try tiled(latents, tile: tile, outputTile: config.sampleSize) { try decode($0) }
  }

  /// As `encode`, in tiles where `tiling` asks for it.
  public func encode(_ picture: Tensor, tiling: Tiling) throws -> Distribution {
    let (h, w) = (picture.shape[1], picture.shape[2])
    guard tiles(tiling, pixels: h * w, side: max(h, w), tile: config.sampleSize) else { return try encode(picture) }
    let tile = max(1, Int(Double(config.sampleSize) / Double(config.factor)))
    return distribution(try tiled(picture, tile: config.sampleSize, outputTile: tile) { try moments($0, ForwardContext()) })
  }

  /// Cuts `x` into tiles of `tile` positions, runs each and blends the results, whose tiles have `outputTile` positions.
  private func tiled(_ x: Tensor, tile: Int, outputTile: Int, _ run: (Tensor) throws -> Tensor) throws -> Tensor {
    let step = Int(Double(tile) * (1 - Self.overlap))
    let blend = Int(Double(outputTile) * Self.overlap)
    let kept = outputTile - blend
    let (h, w) = (x.shape[1], x.shape[2])
    var above: [Tensor] = []
    var strips: [Tensor] = []
    for top in stride(from: 0, to: h, by: step) {
      var row: [Tensor] = []
      for left in stride(from: 0, to: w, by: step) {
        row.append(try run(x.cropped(top: top, left: left, height: min(tile, h - top), width: min(tile, w - left))))
      }
      // Blending reads the neighbours as they are after their own blending, left to right, top to bottom, as diffusers does.
      for i in row.indices {
        if !above.isEmpty { row[i].blendFromAbove(above[i], blend) }
        if i > 0 { row[i].blendFromLeft(row[i - 1], blend) }
      }
      let parts = row.map { $0.cropped(top: 0, left: 0, height: min(kept, $0.shape[1]), width: min(kept, $0.shape[2])) }
      strips.append(Tensor.joinedColumns(parts))
      above = row
    }
    return Tensor.joinedRows(strips)
  }
}

extension Tensor {
  /// A window of `[n, h, w, c]`, copied.
  func cropped(top: Int, left: Int, height: Int, width: Int) -> Tensor {
    let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
    let out = Tensor(uninitialized: [n, height, width, c])
    for i in 0..<n {
      for y in 0..<height {
        (out.storage.pointer + (i * height + y) * width * c).update(from: data + ((i * h + top + y) * w + left) * c, count: width * c)
      }
    }
    return out
  }

  fileprivate mutating func blendFromAbove(_ other: Tensor, _ extent: Int) {
    let (n, h, w, c, oh) = (shape[0], shape[1], shape[2], shape[3], other.shape[1])
    let extent = min(oh, h, extent)
    let p = mutableData()
    for i in 0..<n {
      for y in 0..<extent {
        let f = Float(y) / Float(extent)
        let a = other.data + (i * oh + oh - extent + y) * w * c
        let b = p + (i * h + y) * w * c
        for j in 0..<w * c { b[j] = a[j] * (1 - f) + b[j] * f }
      }
    }
  }

  fileprivate mutating func blendFromLeft(_ other: Tensor, _ extent: Int) {
    let (n, h, w, c, ow) = (shape[0], shape[1], shape[2], shape[3], other.shape[2])
    let extent = min(ow, w, extent)
    let p = mutableData()
    for row in 0..<n * h {
      for x in 0..<extent {
        let f = Float(x) / Float(extent)
        let a = other.data + (row * ow + ow - extent + x) * c
        let b = p + (row * w + x) * c
        for j in 0..<c { b[j] = a[j] * (1 - f) + b[j] * f }
      }
    }
  }

  /// Pictures of one height side by side.
  fileprivate static func joinedColumns(_ parts: [Tensor]) -> Tensor {
    let (n, h, c) = (parts[0].shape[0], parts[0].shape[1], parts[0].shape[3])
    let width = parts.reduce(0) { $0 + $1.shape[2] }
    let out = Tensor(uninitialized: [n, h, width, c])
    var left = 0
    for part in parts {
      let w = part.shape[2]
      for row in 0..<n * h { (out.storage.pointer + (row * width + left) * c).update(from: part.data + row * w * c, count: w * c) }
      left += w
    }
    return out
  }

  /// Pictures of one width, one below the other.
  fileprivate static func joinedRows(_ parts: [Tensor]) -> Tensor {
    let (n, w, c) = (parts[0].shape[0], parts[0].shape[2], parts[0].shape[3])
    let height = parts.reduce(0) { $0 + $1.shape[1] }
    let out = Tensor(uninitialized: [n, height, w, c])
    var top = 0
    for part in parts {
      let h = part.shape[1]
      for i in 0..<n { (out.storage.pointer + (i * height + top) * w * c).update(from: part.data + i * h * w * c, count: h * w * c) }
      top += h
    }
    return out
  }
}
