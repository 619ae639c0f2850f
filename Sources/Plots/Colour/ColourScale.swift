/// How values become colours: a palette, the values at its ends, and what they mean.
public struct ColourScale: Sendable, Equatable {
  public var palette: Palette
  /// The values of the first and the last colour; nil for the smallest and the largest value drawn (symmetric around zero where the
  /// palette diverges). Values beyond get the colour of the end.
  public var domain: ClosedRange<Double>?
  /// Written over the colour bar.
  public var name: String
  public var unit: String

  public init(_ palette: Palette = .viridis, _ name: String = "", unit: String = "", domain: ClosedRange<Double>? = nil) {
    self.palette = palette
    self.domain = domain
    self.name = name
    self.unit = unit
  }

  /// The domain for what is drawn.
  ///
  /// - Throws: `PlotError` when the given one is not finite or empty, or values are beyond what can be drawn.
  func resolved(_ extent: Extent) throws -> ResolvedColours {
    var (low, high) = (extent.low, extent.high)
    if let domain {
      (low, high) = (domain.lowerBound, domain.upperBound)
      guard low.isFinite, high.isFinite, low < high else {
        throw PlotError("colours: expected a finite range, found \(low) to \(high)")
      }
    } else {
      if low > high { (low, high) = (0, 1) }
      if palette.diverging {
        high = max(abs(low), abs(high))
        low = -high
      }
      // One value only: it gets the middle.
      if high - low <= max(abs(low), abs(high)) * 1e-11 {
        let room = low == 0 ? 1 : abs(low) * 0.1
        (low, high) = (low - room, high + room)
      }
    }
    guard max(abs(low), abs(high)) <= Scale.largest else {
      throw PlotError("colours: values of \(low) to \(high) are beyond what can be drawn (\(Scale.largest))")
    }
    return ResolvedColours(scale: self, low: low, high: high)
  }
}

/// A colour scale whose ends are known.
struct ResolvedColours: Equatable {
  let scale: ColourScale
  let low: Double
  let high: Double

  func part(_ v: Double) -> Double { (v - low) / (high - low) }
  /// nil for what is not finite.
  func colour(_ v: Double) -> Colour? { v.isFinite ? scale.palette.colour(part(v)) : nil }
}
