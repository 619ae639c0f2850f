import ArgumentParser
import Engine
import Foundation
import Training

/// How pictures are changed, anew each time that they are shown. Everything is off unless asked for.
struct AugmentationOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Share of pictures that are mirrored, 0 to 1; in the caption left and right change places.", valueName: "x"))
  var flip = 0.0

  @Option(help: ArgumentHelp("Largest turn either way in degrees, 0 to 45.", valueName: "x"))
  var rotation = 0.0

  @Option(help: ArgumentHelp("Smallest and largest magnification, within 0.5 and 2, such as 0.8,1.25.", valueName: "a,b"))
  var scale: String?

  @Option(
    help: ArgumentHelp(
      "Brightness, contrast and saturation are multiplied by up to 1 ± this, 0 to 0.9; hues stay, for captions name them.", valueName: "x"))
  var colourJitter = 0.0

  @Option(
    help: "What of a picture of another shape is seen: its centre, or a random part each time, which may cut off what the caption names.")
  var crop = Framing.Crop.centre

  /// - Parameter composites: share of composites, where the verb offers them.
  /// - Throws: `InputError` (usage) for what is out of range.
  func changes(composites: CompositeOptions? = nil) throws -> ExampleChanges {
    var out = Augmentation()
    (out.flip, out.rotation, out.colourJitter, out.composite) = (flip, rotation, colourJitter, composites?.composites ?? 0)
    try demand((0...1).contains(flip), "flip", "\(flip)", "0 to 1")
    try demand((0...45).contains(rotation), "rotation", "\(rotation)", "0 to 45 degrees")
    try demand((0...0.9).contains(colourJitter), "colour-jitter", "\(colourJitter)", "0 to 0.9")
    try demand((0...1).contains(out.composite), "composites", "\(out.composite)", "0 to 1")
    if let scale {
      let numbers = scale.split(separator: ",", omittingEmptySubsequences: false).map { Double($0.trimmingCharacters(in: .whitespaces)) }
      guard numbers.count == 2, let low = numbers[0], let high = numbers[1], low >= 0.5, low <= high, high <= 2 else {
        throw InputError(
          .usage, "--scale '\(scale.prefix(40).description.oneLine)': expected two numbers from 0.5 to 2, the smaller one first",
          hint: "such as 0.8,1.25")
      }
      out.scale = low...high
    }
    return ExampleChanges(augmentation: out, crop: crop)
  }
}

/// Two pictures in one.
struct CompositeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Share of pictures that become a half of a composite, the middle of another picture being the other; the caption says: … on the left, … on the right. 0 to 1.",
      valueName: "x"))
  var composites = 0.0
}

/// What is done to pictures before they are trained with.
struct ExampleChanges {
  var augmentation = Augmentation()
  var crop = Framing.Crop.centre

  private var parts: [(name: String, value: String, told: String)] {
    let a = augmentation
    func percent(_ x: Double) -> String { "\(decimal(100 * x, 0)) %" }
    return [
      a.flip > 0 ? ("flip", "\(a.flip)", "\(percent(a.flip)) mirrored") : nil,
      a.rotation > 0 ? ("rotation", "\(a.rotation)", "turned by up to \(decimal(a.rotation, 1)) degrees") : nil,
      a.scale != 1...1
        ? ("scale", "\(a.scale.lowerBound),\(a.scale.upperBound)", "magnified \(a.scale.lowerBound) to \(a.scale.upperBound) times") : nil,
      a.colourJitter > 0
        ? ("colour jitter", "\(a.colourJitter)", "brightness, contrast and saturation by up to \(percent(a.colourJitter))") : nil,
      a.composite > 0 ? ("composites", "\(a.composite)", "\(percent(a.composite)) beside another picture") : nil,
      crop == .random ? ("crop", "random", "cut at random") : nil,
    ].compactMap { $0 }
  }

  /// True when pictures differ from one time to the next.
  var isOn: Bool { !parts.isEmpty }
  /// For the training's record; nil where there are none.
  var record: [String: String]? { isOn ? Dictionary(uniqueKeysWithValues: parts.map { ($0.name, $0.value) }) : nil }
  /// For the card.
  var told: String { isOn ? parts.map(\.told).joined(separator: ", ") : "none" }
}

extension Framing.Crop: ExpressibleByArgument {}
