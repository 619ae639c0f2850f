import Foundation

/// What a mark wants to be seen of an axis.
struct Extent: Equatable {
  var low = Double.infinity
  var high = -Double.infinity
  /// The lowest value above 0, for logarithmic axes.
  var lowestPositive = Double.infinity
  /// The edges are the mark's own: no room is left around it (pictures).
  var flush = false
  /// Zero belongs to it (bars).
  var zero = false

  init() {}

  init(_ values: [Double], flush: Bool = false, zero: Bool = false) {
    for v in values where v.isFinite { add(v) }
    self.flush = flush
    self.zero = zero
  }

  mutating func add(_ v: Double) {
    low = min(low, v)
    high = max(high, v)
    if v > 0 { lowestPositive = min(lowestPositive, v) }
  }

  mutating func join(_ other: Extent) {
    // Points over a picture do not bring room around the picture.
    flush = flush || other.flush
    zero = zero || other.zero
    low = min(low, other.low)
    high = max(high, other.high)
    lowestPositive = min(lowestPositive, other.lowestPositive)
  }
}

/// Values to places in points.
struct Scale: Equatable {
  let kind: Axis.Kind
  let whole: Bool
  /// The visible values: `low` is at `start`, `high` at `end`.
  var low: Double
  var high: Double
  var start = 0.0
  var end = 1.0

  /// Largest magnitude that can be shown: differences and squares of it must stay finite.
  static let largest = 1e150

  /// - Throws: `PlotError` for a domain that is not finite, is empty, or is not above 0 on a logarithmic axis.
  init(_ axis: Axis, _ extent: Extent, margin: Double = 0.04) throws {
    kind = axis.kind
    whole = axis.whole
    let what = axis.name.isEmpty ? "axis" : "axis '\(axis.name.prefix(80))'"
    if case .categorical(let labels) = kind {
      // Half a step around the first and the last.
      low = -0.5
      high = Double(max(labels.count, 1)) - 0.5
      return
    }
    if let domain = axis.domain {
      low = domain.lowerBound
      high = domain.upperBound
      guard low.isFinite, high.isFinite, low < high, max(abs(low), abs(high)) <= Self.largest, kind != .log || low > 0 else {
        throw PlotError("\(what): expected a finite range\(kind == .log ? " above 0" : ""), found \(low) to \(high)")
      }
      return
    }
    var (low, high) = (kind == .log ? extent.lowestPositive : extent.low, extent.high)
    if axis.zero || extent.zero, kind == .linear { (low, high) = (min(low, 0), max(high, 0)) }
    if low > high { (low, high) = kind == .log ? (1, 10) : (0, 1) }  // no values at all
    guard max(abs(low), abs(high)) <= Self.largest, kind != .log || low >= 1 / Self.largest else {
      throw PlotError("\(what): values of \(low) to \(high) are beyond what can be drawn (\(Self.largest))")
    }
    if kind == .log {
      let room = high > low * 1.0001 ? log10(high / low) * margin : 0.3
      self.low = low / pow(10, room)
      self.high = high * pow(10, room)
      return
    }
    // Equal values, or as good as equal, stand in the middle of a range of their own size.
    let isFlat = high - low <= max(abs(low), abs(high)) * 1e-11
    if isFlat {
      let room = low == 0 ? 1 : abs(low) * 0.1
      (low, high) = (low - room, high + room)
    } else if !extent.flush {
      let room = (high - low) * margin
      // What stands on zero touches it.
      if !((axis.zero || extent.zero) && low == 0) { low -= room }
      if !((axis.zero || extent.zero) && high == 0) { high += room }
    }
    self.low = low
    self.high = high
  }

  /// The place of `v` in points; nil when it has none.
  func callAsFunction(_ v: Double) -> Double? {
    guard v.isFinite else { return nil }
    if kind == .log {
      guard v > 0 else { return nil }
      return place((log10(v) - log10(low)) / (log10(high) - log10(low)))
    }
    return place((v - low) / (high - low))
  }

  /// Far outside stays far outside, but within what Cairo's numbers hold.
  private func place(_ part: Double) -> Double { start + min(max(part, -50), 51) * (end - start) }

  /// Points that one unit takes, where that is the same everywhere.
  var pointsPerUnit: Double { abs(end - start) / (high - low) }

  func ticks(count: Int) -> Ticks {
    switch kind {
    case .linear: .linear(low, high, count: count, whole: whole)
    case .log: .log(low, high, count: count)
    case .time: .time(low, high, count: count)
    case .categorical(let labels): Ticks(values: labels.indices.map(Double.init), labels: labels)
    }
  }
}
