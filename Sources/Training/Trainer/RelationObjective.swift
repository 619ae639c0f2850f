import Engine
import Foundation

/// Teaches a text encoder to write into its states where the objects of a caption stand. Our own.
///
/// A UNet learns nouns and colours from captions long before it learns "left of": the squared error hardly asks for it, and what a text encoder trained beside it gives for "left"
/// and "right" grows alike, for a difference that is not used only disturbs. Here the states themselves are taught, with no picture. With h the states of the encoder that it begins with, s
/// their deviation and u(d) a direction d = (x, y) as a vector, u = sqrt(width) (x e1 + y e2) for two orthonormal vectors e1 and e2 drawn from the seed, the states shall be
///
///     h(first noun) + strength s u(d)   at the words of the relation: who stands there, and on which side
///     h - strength s u(d)               at the words of the second object, which stands on the other side
///     h                                 everywhere else
///
/// Causal attention lets no earlier word know the relation. A UNet that is trained afterwards has one step to go: places on the left look for states that say left.
public struct RelationObjective {
  public struct Settings: Codable, Equatable, Sendable {
    /// Length of the code in deviations of the states, each number's.
    public var strength: Double
    /// Share of captions with two objects; the others keep what they are.
    public var pairs: Double

    public init(strength: Double = 1.5, pairs: Double = 0.8) { (self.strength, self.pairs) = (strength, pairs) }
  }

  public let settings: Settings
  private let config: CLIPTextConfig
  /// Whose states are kept and moved.
  private let before: CLIPText
  /// e1 and e2, each number of deviation 1.
  private let axes: [[Float]]
  /// Of the states, over all places and numbers.
  private let deviation: Float

  /// - Parameters:
  ///   - before: the text encoder that it begins with.
  ///   - captions: some hundred, whose states give the deviation.
  ///   - seed: of the two directions.
  public init(_ before: CLIPText, _ settings: Settings, captions: [RelationCaption], seed: UInt64) throws {
    (self.before, self.settings, config) = (before, settings, before.config)
    axes = Self.axes(before.config.hiddenSize, seed)
    let states = try before(captions.map(\.ids)).lastHiddenState.array.map(Double.init)
    let mean = states.reduce(0, +) / Double(states.count)
    deviation = Float((states.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(states.count)).squareRoot())
  }

  /// Two orthogonal vectors of length sqrt(width).
  private static func axes(_ width: Int, _ seed: UInt64) -> [[Float]] {
    var random = TorchRandom(seed: seed)
    func dot(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    func scaled(_ v: [Float]) -> [Float] {
      let factor = (Float(width) / dot(v, v)).squareRoot()
      return v.map { factor * $0 }
    }
    let first = scaled(random.normal(count: width))
    let drawn = random.normal(count: width)
    let along = dot(first, drawn) / Float(width)
    return [first, scaled(zip(drawn, first).map { $0 - along * $1 })]
  }

  public func isTrained(_ name: String) -> Bool { name.hasPrefix("text_encoder.") }

  /// The mean squared error of all states in units of their variance, plus that of the relations' words and that of the second objects', `[1]`.
  /// - Parameter parameters: of the text encoder, `text_encoder.…`.
  public func loss(_ parameters: RecordedParameters, _ captions: [RelationCaption]) throws -> Tensor {
    let found = try encoder(parameters)(captions.map(\.ids)).lastHiddenState
    let (places, width) = (found.shape[0] * found.shape[1], found.shape[2])
    return found.reshaped([places, width]).meanSquaredError(try targets(captions).reshaped([places, width]), weights: weights(captions))
  }

  func encoder(_ parameters: RecordedParameters) -> CLIPText { CLIPText(parameters.store["text_encoder"]["text_model"], config) }

  /// `[n, tokens, width]`
  func targets(_ captions: [RelationCaption]) throws -> Tensor {
    let states = try before(captions.map(\.ids)).lastHiddenState
    let (length, width) = (states.shape[1], states.shape[2])
    let kept = states.array
    var out = kept
    for (row, caption) in captions.enumerated() {
      guard let told = caption.told, let direction = told.relation.direction else { continue }
      let code = zip(axes[0], axes[1]).map { Float(settings.strength) * deviation * (direction.x * $0 + direction.y * $1) }
      for place in told.words {
        for i in 0..<width { out[(row * length + place) * width + i] = kept[(row * length + told.first) * width + i] + code[i] }
      }
      for place in told.second {
        for i in 0..<width { out[(row * length + place) * width + i] -= code[i] }
      }
    }
    return Tensor(out, states.shape)
  }

  /// Of each place, so that the mean over all is the sum of three means.
  private func weights(_ captions: [RelationCaption]) -> [Float] {
    let length = captions.first?.ids.count ?? 0
    let told = captions.map(\.told)
    let places = Float(captions.count * length)
    let words = Float(max(1, told.reduce(0) { $0 + ($1?.words.count ?? 0) })),
      second = Float(max(1, told.reduce(0) { $0 + ($1?.second.count ?? 0) }))
    let unit = 1 / (deviation * deviation)
    return told.flatMap { told in
      (0..<length).map { place in
        guard let told else { return unit }
        return unit * (told.words.contains(place) ? 1 + places / words : told.second.contains(place) ? 1 + places / second : 1)
      }
    }
  }

  /// In how many captions the state at the second object's noun says where it stands: its largest part along ±e1 and ±e2 is the right one. A chance guess is right in a quarter.
  /// - Parameter encoder: any of the same width.
  public func isRight(_ encoder: CLIPText, _ captions: [RelationCaption]) throws -> [Bool] {
    let found = try encoder(captions.map(\.ids)).lastHiddenState
    let (length, width) = (found.shape[1], found.shape[2])
    let states = found.array
    return captions.enumerated().compactMap { row, caption in
      guard let told = caption.told, let direction = told.relation.inverse.direction else { return nil }
      let place = (row * length + told.second.upperBound - 1) * width
      let along = axes.map { axis in (0..<width).reduce(Float(0)) { $0 + axis[$1] * states[place + $1] } }
      let (x, y) = (along[0], along[1])
      return abs(x) > abs(y) ? direction.x * x > 0 : direction.y * y > 0
    }
  }

  public func encoder(_ parameters: Parameters) -> CLIPText { encoder(parameters.recorded { _ in false }) }
}
