/// How well a map says where a thing is, against its mask.
///
/// Every map is brought to 0...1 by its own lowest and highest value first, so that methods of any scale are treated alike.
public struct Localisation: Sendable {
  /// 0.05 to 0.95: where maps are cut.
  public static let thresholds: [Double] = (1...19).map { Double($0) / 20 }

  /// Intersection over union of the mask with the places above each threshold.
  public let iou: [Double]
  /// Area under the ROC curve: the chance that a place of the thing has a higher value than another place; ties count half. Below 0.5 the map is inverted.
  public let auc: Double
  /// Pointing game (Zhang et al. 2018): 1 when the highest value lies on the thing; of several highest the share that does.
  public let pointing: Double
  /// Share of the map's sum that lies on the thing, negative values taken as 0.
  public let mass: Double

  /// - Parameters:
  ///   - map: finite values, as many as the mask has.
  ///   - mask: with at least one place inside and one outside.
  public init(_ map: [Float], _ mask: [Bool]) {
    precondition(map.count == mask.count && mask.contains(true) && mask.contains(false), "\(map.count) values, \(mask.count) places")
    let (low, high) = (map.min() ?? 0, map.max() ?? 0)
    let span = Double(high) - Double(low)
    let inside = mask.count { $0 }
    iou = Self.thresholds.map { threshold in
      var both = 0
      var marked = 0
      for (value, isInside) in zip(map, mask) where span > 0 && (Double(value) - Double(low)) / span > threshold {
        marked += 1
        if isInside { both += 1 }
      }
      return Double(both) / Double(inside + marked - both)
    }
    let order = map.indices.sorted { map[$0] < map[$1] }
    var ranks = 0.0
    var start = 0
    while start < order.count {
      var end = start
      while end + 1 < order.count, map[order[end + 1]] == map[order[start]] { end += 1 }
      let rank = Double(start + end) / 2 + 1
      for place in start...end where mask[order[place]] { ranks += rank }
      start = end + 1
    }
    let (n, m) = (Double(inside), Double(mask.count - inside))
    auc = (ranks - n * (n + 1) / 2) / (n * m)
    let highest = map.indices.filter { map[$0] == high }
    pointing = Double(highest.count { mask[$0] }) / Double(highest.count)
    var (total, hit) = (0.0, 0.0)
    for (value, isInside) in zip(map, mask) where value > 0 {
      total += Double(value)
      if isInside { hit += Double(value) }
    }
    mass = total > 0 ? hit / total : n / (n + m)
  }
}
