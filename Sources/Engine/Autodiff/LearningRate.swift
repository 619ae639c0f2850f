import Foundation

/// A linear rise over the first steps, then half a cosine down to a floor (Loshchilov and Hutter 2017).
public struct LearningRate: Sendable, Codable, Equatable {
  public let highest: Double
  /// Steps until the highest rate is reached.
  public let warmUp: Int
  /// Steps of the whole training; the floor holds beyond.
  public let total: Int
  /// Lowest rate, as a part of the highest.
  public let floor: Double

  public init(highest: Double, warmUp: Int, total: Int, floor: Double = 0.005) {
    (self.highest, self.warmUp, self.total, self.floor) = (highest, warmUp, total, floor)
  }

  /// The rate of step `step`, counted from 0.
  public func callAsFunction(_ step: Int) -> Double {
    let rise = min(1, Double(step + 1) / Double(max(1, warmUp)))
    let done = min(1, Double(step) / Double(max(1, total)))
    return highest * rise * max(0.5 + 0.5 * cos(Double.pi * done), floor)
  }
}
