import Engine
import Foundation

/// The project's own classifier of the scenes world: which noun and which colour is where in a picture, and which setting it is.
///
/// It is trained on scenes of all combinations, held-out ones too (`sdlab train classifier`), so that it does not share the blind spots of the models that it judges. It
/// sees only what it was trained to tell apart: a right answer says that shape and colour are there, not that the drawing is flawless.
public struct SceneJudge: Sendable {
  /// Pixels a side of the pictures that it knows.
  public static let side = 64
  public static let configFile = "config.json"

  public let config: SegmentationNetConfig
  private let net: SegmentationNet

  /// - Parameter width: of the network; 24 is what comes with the program.
  public static func config(width: Int = 24) -> SegmentationNetConfig {
    SegmentationNetConfig(
      width: width, groups: width % 8 == 0 ? 8 : 4, maps: [Noun.allCases.count + 1, ObjectColour.allCases.count + 1],
      classes: Judgement.Backdrop.all.count)
  }

  /// - Parameter weights: of `SegmentationNet.parameters(config)`.
  public init(_ weights: Parameters, _ config: SegmentationNetConfig) {
    self.config = config
    net = SegmentationNet(weights.recorded { _ in false }.store, config)
  }

  /// A folder with `config.json` and `model.safetensors`.
  /// - Throws: `InputError` when files are missing, damaged or not a judge of these scenes.
  public init(folder: URL) throws {
    let file = folder.appendingPathComponent(Self.configFile)
    guard let data = try? Data(contentsOf: file) else {
      throw InputError(.missing, "\(file.relativePath): no such file", hint: "expected the folder model of sdlab train classifier")
    }
    let reader = try ConfigReader(data, file: file.relativePath)
    try reader.refuse(unless: reader.string("_class_name", "") == "SceneJudge", "_class_name", "SceneJudge")
    for (key, names) in Self.names { try reader.refuse(unless: reader.strings(key, []) == names, key, "the scenes' own") }
    config = Self.config(width: try reader.int("width", 24, in: 4...512))
    try reader.refuse(unless: config.width % config.groups == 0, "width", "a multiple of 4")
    net = try SegmentationNet(in: folder, config, of: "a judge")
  }

  /// The one that comes with the program.
  public static func embedded() throws -> SceneJudge { try SceneJudge(folder: Resources.url("scenes-judge")) }

  private static var names: [(key: String, names: [String])] {
    [
      ("nouns", Noun.allCases.map(\.rawValue)), ("colours", ObjectColour.allCases.map(\.rawValue)),
      ("settings", Judgement.Backdrop.all.map(\.name)),
    ]
  }

  /// Writes a judge's folder but for its card.
  /// - Parameter half: weights in half precision, rounded.
  /// - Throws: `InputError` (cannotWrite).
  public static func write(_ weights: Parameters, _ config: SegmentationNetConfig, half: Bool, to folder: URL) throws {
    try SegmentationNet.write(weights, half: half, in: folder)
    let names = names.map { "  \"\($0.key)\": [\($0.names.map { "\"\($0)\"" }.joined(separator: ", "))]" }.joined(separator: ",\n")
    let text = "{\n  \"_class_name\": \"SceneJudge\",\n  \"width\": \(config.width),\n\(names)\n}\n"
    try AtomicFile.write(Data(text.utf8), to: folder.appendingPathComponent(configFile))
  }

  // MARK: What it says

  /// Pictures that are passed through the network at once.
  private static let batch = 32

  private func outputs(_ pictures: Tensor, _ body: (SegmentationNet.Output) -> Void) {
    precondition(
      pictures.shape.rank == 4 && pictures.shape[1] == Self.side && pictures.shape[2] == Self.side && pictures.shape[3] == 3,
      "a judge of pictures \(Self.side)x\(Self.side) is shown \(pictures.shape)")
    for start in stride(from: 0, to: pictures.shape[0], by: Self.batch) {
      body(net(pictures.slice(start..<min(start + Self.batch, pictures.shape[0]))))
    }
  }

  /// - Parameter pictures: `[n, 64, 64, 3]` in [-1, 1]; others are resized before.
  public func judgements(of pictures: Tensor) -> [Judgement] {
    var out: [Judgement] = []
    outputs(pictures) { output in
      let (nouns, colours, backdrops) = (output.maps[0].nchw(), output.maps[1].nchw(), output.classes)
      let width = output.maps[0].shape[2]
      for i in 0..<nouns.shape[0] {
        out.append(
          Judgement(
            nouns: Self.planes(nouns, i), colours: Self.planes(colours, i), backdrops: backdrops.slice(i..<i + 1).array, width: width))
      }
    }
    return out
  }

  /// Picture `i` of `[n, classes, h, w]`, a row a class.
  private static func planes(_ maps: Tensor, _ i: Int) -> [[Float]] {
    let values = maps.slice(i..<i + 1).array
    let cells = values.count / maps.shape[1]
    return (0..<maps.shape[1]).map { Array(values[$0 * cells..<($0 + 1) * cells]) }
  }

  /// What the deepest level says of each picture, averaged over its places: features for distances between sets of pictures (FID, KID).
  /// - Parameter pictures: `[n, 64, 64, 3]` in [-1, 1]; others are resized before.
  /// - Returns: `[n, 4 width]`, 96 of the judge that comes with the program.
  public func features(of pictures: Tensor) -> Tensor {
    var parts: [Tensor] = []
    outputs(pictures) { parts.append($0.features) }
    return .concatenated(parts)
  }

  /// Where a picture has what speaks for each noun: class activation maps by gradients of the judge itself (`classActivation`). The score of a noun is the sum of its logits over
  /// all places, as for other networks that say a class for every place (Vinogradova et al., AAAI 2020); the features are those of the deepest level.
  /// - Parameter picture: `[1, 64, 64, 3]` in [-1, 1].
  /// - Returns: for each noun `[8, 8]`.
  public func activation(of picture: Tensor, nouns: [Noun]) -> [[Float]] {
    nouns.map { noun in
      net.activation(of: picture, map: 0, class: 1 + (Noun.allCases.firstIndex(of: noun) ?? 0)).values
    }
  }

  /// For the inception score: the logarithm of how much of each picture each noun has, over all places. Its softmax is the share of what is no background.
  /// - Parameter pictures: as for `features`.
  /// - Returns: `[n, 16]`
  public func logits(of pictures: Tensor) -> Tensor {
    var parts: [Tensor] = []
    outputs(pictures) { output in
      let maps = output.maps[0]
      let (n, classes) = (maps.shape[0], maps.shape[3])
      let values = maps.array
      let cells = values.count / (n * classes)
      var sums = [Float](repeating: 0, count: n * (classes - 1))
      for i in 0..<n {
        var shares = [Double](repeating: 0, count: classes)
        for cell in 0..<cells {
          let row = values[(i * cells + cell) * classes..<(i * cells + cell + 1) * classes].map(Double.init)
          let top = row.max() ?? 0
          let exponents = row.map { exp($0 - top) }
          let sum = exponents.reduce(0, +)
          for k in 0..<classes { shares[k] += exponents[k] / sum }
        }
        for k in 1..<classes { sums[i * (classes - 1) + k - 1] = Float(log(max(shares[k] / Double(cells), 1e-12))) }
      }
      parts.append(Tensor(sums, [n, classes - 1]))
    }
    return .concatenated(parts)
  }
}

extension Judgement.Backdrop {
  /// `meadow`, `plain grey`.
  public var name: String { plain.map { "plain \($0.rawValue)" } ?? setting.rawValue }
}
