import Engine
import Foundation

/// Changes to a picture that leave its caption true. Everything is off unless asked for.
///
/// There is no shift of hue: captions name colours.
public struct Augmentation: Sendable, Equatable {
  /// Probability of a mirror image; left and right change places in the caption.
  public var flip = 0.0
  /// Largest turn either way in degrees, 0 to 45.
  public var rotation = 0.0
  /// Smallest and largest magnification, 0.5 to 2.
  public var scale = 1.0...1.0
  /// Brightness, contrast and saturation are multiplied by up to 1 ± this, 0 to 0.9.
  public var colourJitter = 0.0
  /// Probability that the picture becomes one half of a composite, the other half being another example; the caption names both.
  public var composite = 0.0

  public init() {}

  /// - Throws: `InputError` `.usage` for what lies outside the ranges above.
  public func check() throws {
    func demand(_ isFine: Bool, _ name: String, _ value: String, _ range: String) throws {
      guard isFine else { throw InputError(.usage, "augmentation: \(name) \(value), expected \(range)") }
    }
    try demand((0...1).contains(flip), "flip", "\(flip)", "0 to 1")
    try demand((0...45).contains(rotation), "rotation", "\(rotation)", "0 to 45 degrees")
    try demand(scale.lowerBound >= 0.5 && scale.upperBound <= 2, "scale", "\(scale)", "within 0.5...2")
    try demand((0...0.9).contains(colourJitter), "colour jitter", "\(colourJitter)", "0 to 0.9")
    try demand((0...1).contains(composite), "composite", "\(composite)", "0 to 1")
  }

  /// - Parameter other: another example of the same size, asked for only when a composite is made.
  func apply(_ example: Example, _ random: inout NumPyRandom, other: (inout NumPyRandom) throws -> Example) rethrows -> Example {
    // The same numbers are drawn whatever is switched on, so that one setting does not change what another one does.
    let (toComposite, toFlip) = (random.unit(), random.unit())
    let angle = random.uniform(-rotation, rotation)
    let factor = exp(random.uniform(log(scale.lowerBound), log(scale.upperBound)))
    let light = (0..<3).map { _ in random.uniform(1 - colourJitter, 1 + colourJitter) }
    var out = example
    if toComposite < composite { out = Self.sideBySide(out, try other(&random)) }
    if toFlip < flip { out = Example(picture: out.picture.mirrored, caption: Self.mirrored(out.caption)) }
    if angle != 0 || factor != 1 { out.picture = out.picture.turned(degrees: angle, scaled: factor) }
    if colourJitter > 0 { out.picture = out.picture.relit(brightness: light[0], contrast: light[1], saturation: light[2]) }
    return out
  }

  /// The middle halves of two pictures of one size, beside each other.
  static func sideBySide(_ left: Example, _ right: Example) -> Example {
    let (w, h) = (left.picture.width, left.picture.height)
    precondition(right.picture.width == w && right.picture.height == h, "a composite of pictures of different sizes")
    if w < 2 { return left }
    let half = w / 2
    let a = left.picture.cropped(x: (w - half) / 2, y: 0, width: half, height: h)
    let b = right.picture.cropped(x: half / 2, y: 0, width: w - half, height: h)
    var pixels: [UInt8] = []
    pixels.reserveCapacity(3 * w * h)
    for y in 0..<h {
      pixels += a.pixels[3 * y * half..<3 * (y + 1) * half]
      pixels += b.pixels[3 * y * (w - half)..<3 * (y + 1) * (w - half)]
    }
    return Example(
      picture: Picture(width: w, height: h, pixels: pixels), caption: "\(left.caption) on the left, \(right.caption) on the right")
  }

  /// The caption with the words left and right exchanged, in whatever letters they are written; "leftover" and "bright" stay.
  public static func mirrored(_ caption: String) -> String {
    var out = ""
    var word = ""
    func finish() {
      let other = ["left": "right", "right": "left"][word.lowercased()]
      out += other.map { like(word, $0) } ?? word
      word = ""
    }
    for c in caption {
      if c.isLetter || c.isNumber {
        word.append(c)
      } else {
        finish()
        out.append(c)
      }
    }
    finish()
    return out
  }

  /// `word` written with the capitals of `model`.
  private static func like(_ model: String, _ word: String) -> String {
    if model == model.uppercased() { return word.uppercased() }
    guard let first = model.first, first.isUppercase else { return word }
    return word.prefix(1).uppercased() + word.dropFirst()
  }
}
