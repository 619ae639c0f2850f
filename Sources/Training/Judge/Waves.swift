import Foundation

/// A smooth random field over a picture: three plane waves of up to three periods a side, each as high as the others.
struct Waves {
  private var waves: [(x: Double, y: Double, phase: Double)] = []

  /// The same generator, the same waves.
  init(_ random: inout NumPyRandom) {
    for _ in 0..<3 { waves.append((random.uniform(-3, 3), random.uniform(-3, 3), random.uniform(0, 2 * .pi))) }
  }

  /// In [-1, 1], at a place in units of the picture's side.
  func height(_ x: Double, _ y: Double) -> Double {
    waves.reduce(0) { $0 + sin(2 * .pi * ($1.x * x + $1.y * y) + $1.phase) } / Double(waves.count)
  }
}
