/// A way through several stations: 0 at the first, 1 at the last, the same length between each two.
public struct Course: Sendable, Equatable {
  /// At least 1; with one station every place is it.
  public let stations: Int

  public init(stations: Int) {
    precondition(stations >= 1, "a way through \(stations) stations")
    self.stations = stations
  }

  /// The ways between neighbouring stations.
  public var legs: Int { stations - 1 }

  /// Where each station lies in 0...1.
  public var places: [Double] { (0..<stations).map { legs == 0 ? 0 : Double($0) / Double(legs) } }

  /// The station at or before `t`, and how far the way to the next one has been gone, 0 to below 1: exactly 0 at a station, whose picture is then the
  /// station's own.
  public func place(_ t: Double) -> (station: Int, gone: Double) {
    let along = max(0, min(1, t)) * Double(legs)
    // What only rounding keeps from a station is the station.
    let nearest = along.rounded()
    if abs(along - nearest) < 1e-9 { return (Int(nearest), 0) }
    return (Int(along), along - along.rounded(.down))
  }

  /// True when `frames` frames, evenly placed, show every station.
  public func isHit(byFrames frames: Int) -> Bool { legs == 0 || (frames - 1) % legs == 0 }

  /// The smallest number of frames, at least `wanted`, that shows every station.
  public func frames(atLeast wanted: Int) -> Int {
    guard legs > 0 else { return wanted }
    return (max(1, wanted - 1) + legs - 1) / legs * legs + 1
  }
}
