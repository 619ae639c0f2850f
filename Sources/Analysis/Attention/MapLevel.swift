import Engine

/// Height and width of a feature map inside the UNet, found from the number of its pixels: never by a square root, pictures need not be square.
public struct MapSize: Hashable, Sendable {
  public let height: Int
  public let width: Int
  public var count: Int { height * width }

  public init(height: Int, width: Int) {
    self.height = height
    self.width = width
  }

  /// The levels of a UNet over latents of this size, itself first; each level down halves both sides, rounding up.
  /// - Parameter depth: number of levels; two at least are listed.
  func levels(_ depth: Int) -> [MapSize] {
    var levels = [self]
    for _ in 1..<max(2, depth) {
      let last = levels[levels.count - 1]
      levels.append(MapSize(height: (last.height + 1) / 2, width: (last.width + 1) / 2))
    }
    return levels
  }

  /// The level of a UNet over `latents` that has `pixels` positions; each level down halves both sides, rounding up. nil when there is none.
  public init?(pixels: Int, latents: MapSize) {
    var size = latents
    while size.count > pixels, size.count > 1 {
      size = MapSize(height: (size.height + 1) / 2, width: (size.width + 1) / 2)
    }
    guard size.count == pixels else { return nil }
    self = size
  }
}

/// Where a cross-attention layer stands in the UNet, read from its site.
public struct AttentionPlace: Hashable, Sendable {
  public enum Side: String, Sendable { case down, mid, up }
  /// Path of the attention module, without `.probs`.
  public let path: String
  public let side: Side

  /// nil for anything that is not an attention module of the UNet.
  public init?(_ site: Site) {
    guard let dot = site.path.lastIndex(of: "."), site.path.hasPrefix("unet.") else { return nil }
    path = String(site.path[..<dot])
    guard path.hasSuffix(".attn2") || path.hasSuffix(".attn1") else { return nil }
    side = path.hasPrefix("unet.down_blocks.") ? .down : path.hasPrefix("unet.up_blocks.") ? .up : .mid
  }

  /// Level of the UNet, 0 being the latents' size.
  /// - Parameter count: of levels: down block i works at level i, up block i at count - 1 - i.
  func level(of count: Int) -> Int {
    let block = path.split(separator: ".").lazy.compactMap { Int($0) }.first ?? 0
    return switch side {
    case .down: block
    case .mid: count - 1
    case .up: max(0, count - 1 - block)
    }
  }

  /// `down 0.0`, `mid`, `up 2.1`: block and attention.
  public var shortName: String {
    let numbers = path.split(separator: ".").compactMap { Int($0) }
    return side == .mid ? "mid" : "\(side.rawValue) \(numbers.prefix(2).map(String.init).joined(separator: "."))"
  }
}
