import Engine

/// Sites that are patched together, with a short name: one row of a patching grid.
public struct SiteGroup: Sendable, Equatable {
  public enum Grouping: String, Sendable, CaseIterable {
    /// Sites of one module: the keys and values of one attention layer, say.
    case layer
    /// Sites of one block of the UNet: `down 0`, `mid`, `up 2`.
    case block
    /// Sites of one resolution, on the way down and up.
    case level
  }

  public let name: String
  /// In network order.
  public let sites: [String]

  public init(_ name: String, sites: [String]) {
    self.name = name
    self.sites = sites
  }

  /// Groups in network order, each where its first site is.
  /// - Parameter levels: number of levels of the UNet.
  public static func groups(_ sites: [Site], by grouping: Grouping, levels: Int) -> [SiteGroup] {
    var order: [String] = []
    var members: [String: [String]] = [:]
    for site in sites.sorted(by: { $0.id < $1.id }) {
      let key = key(site.path, grouping, levels)
      if members[key] == nil { order.append(key) }
      members[key, default: []].append(site.path)
    }
    let short = order.map { shortName($0, grouping) }
    let isClear = Set(short).count == short.count
    return zip(order, short).map { SiteGroup(isClear ? $1 : String($0.drop(while: { $0 != "." }).dropFirst()), sites: members[$0] ?? []) }
  }

  private static func key(_ path: String, _ grouping: Grouping, _ levels: Int) -> String {
    let parts = path.split(separator: ".").map(String.init)
    let isNumbered = parts.count > 2 && parts[1].hasSuffix("_blocks")
    switch grouping {
    case .layer: return parts.dropLast().joined(separator: ".")
    case .block: return parts.prefix(isNumbered ? 3 : 2).joined(separator: ".")
    case .level:
      guard isNumbered, let number = Int(parts[2]) else {
        return parts.count > 1 && parts[1] == "mid_block" ? "unet.level.\(levels - 1)" : "unet.ends"
      }
      return "unet.level.\(parts[1] == "down_blocks" ? number : levels - 1 - number)"
    }
  }

  /// `down 0`, `mid`, `up 2.1` for an attention layer, `up 2 resnet 1`, `level 1`.
  private static func shortName(_ key: String, _ grouping: Grouping) -> String {
    let parts = key.split(separator: ".").map(String.init)
    guard parts.count > 1 else { return key }
    if grouping == .level { return parts[1] == "ends" ? "ends" : "level \(parts.last ?? "")" }
    let number = parts.count > 2 && parts[1].hasSuffix("_blocks") ? " \(parts[2])" : ""
    let block = parts[1] == "mid_block" ? "mid" : parts[1].replacing("_blocks", with: "") + number
    let rest = Array(parts.dropFirst(number.isEmpty ? 2 : 3))
    guard rest.count > 1 else { return rest.isEmpty ? block : "\(block) \(rest[0])" }
    switch rest[0] {
    // The mid block has one transformer.
    case "attentions": return block == "mid" ? block : "\(block).\(rest[1])"
    case "resnets": return "\(block) resnet \(rest[1])"
    default: return "\(block) \(rest.joined(separator: "."))"
    }
  }
}
