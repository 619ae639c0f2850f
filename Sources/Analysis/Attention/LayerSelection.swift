import Engine

/// Attention layers by where they are: `down`, `mid`, `up`, a size such as `16x16` (height x width), or a pattern over their paths.
public struct LayerSelection: Sendable {
  private enum Part: Sendable {
    case side(AttentionPlace.Side)
    case size(MapSize)
    case pattern(String)
  }
  private let parts: [(text: String, part: Part)]

  /// - Parameter text: parts separated by commas; a layer that fits one of them is taken.
  public init(_ text: String) throws {
    parts = try text.split(separator: ",").map { raw in
      let part = String(raw.filter { $0 != " " })
      if let side = AttentionPlace.Side(rawValue: part) { return (part, .side(side)) }
      let numbers = part.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
      if numbers.count == 2, let h = numbers[0], let w = numbers[1] {
        guard h > 0, w > 0 else { throw InputError(.usage, "layers '\(part)': expected a height and a width above 0") }
        return (part, .size(MapSize(height: h, width: w)))
      }
      return (part, .pattern(part.hasPrefix("unet.") ? part : "*\(part)*"))
    }
    guard !parts.isEmpty else { throw InputError(.usage, "layers: expected down, mid, up, a size or a pattern, found nothing") }
  }

  public func contains(_ place: AttentionPlace, _ size: MapSize) -> Bool { parts.contains { Self.fits($0.part, place, size) } }

  private static func fits(_ part: Part, _ place: AttentionPlace, _ size: MapSize) -> Bool {
    switch part {
    case .side(let side): place.side == side
    case .size(let wanted): size == wanted
    case .pattern(let pattern): Glob.matches(pattern, place.path)
    }
  }

  /// - Throws: `InputError` (usage) for a part that fits no layer of `layers`, with what there is.
  public func check(_ layers: [CrossAttentionRecorder.Layer]) throws { try check(layers.map { ($0.place, $0.size) }) }

  /// The same for layers of which only place and size are known.
  public func check(_ layers: [(place: AttentionPlace, size: MapSize)]) throws {
    for (text, part) in parts where !layers.contains(where: { Self.fits(part, $0.place, $0.size) }) {
      let near = EditDistance.nearest(to: text, among: layers.map(\.place.path), count: 2)
      let sizes = Set(layers.map { "\($0.size.height)x\($0.size.width)" }).sorted()
      throw InputError(
        .usage, "no cross-attention layer fits '\(text)'",
        hint: "down, mid, up, \(sizes.joined(separator: ", ")), or a pattern such as \(near.first ?? "up_blocks.1")")
    }
  }
}
