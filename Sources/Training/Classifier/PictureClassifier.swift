import Engine
import Foundation

/// A small classifier of one's own pictures (`sdlab train classifier --data DIR`): the way down of a `SegmentationNet`, and of which class the whole picture is.
public struct PictureClassifier: Sendable {
  public static let configFile = "config.json"

  public let shape: Shape
  private let net: SegmentationNet

  /// What decides its shape.
  public struct Shape: Sendable, Equatable {
    /// Channels of the first level, a multiple of 4.
    public let width: Int
    /// Pixels a side of what it sees, a multiple of 8.
    public let side: Int
    /// In the order of the logits.
    public let classes: [String]

    public init(width: Int, side: Int, classes: [String]) {
      precondition(
        width > 0 && width % 4 == 0 && side > 0 && side % 8 == 0 && classes.count > 1,
        "width \(width), side \(side), \(classes.count) classes")
      (self.width, self.side, self.classes) = (width, side, classes)
    }

    public var net: SegmentationNetConfig {
      SegmentationNetConfig(width: width, groups: width % 8 == 0 ? 8 : 4, maps: [], classes: classes.count)
    }
    /// Longer sides are cut.
    public var framing: Framing { Framing(width: side, height: side) }
  }

  /// - Parameter weights: of `SegmentationNet.parameters(shape.net)`.
  public init(_ weights: Parameters, _ shape: Shape) {
    self.shape = shape
    net = SegmentationNet(weights.recorded { _ in false }.store, shape.net)
  }

  /// A folder with `config.json` and `model.safetensors`.
  /// - Throws: `InputError` when files are missing, damaged or no classifier.
  public init(folder: URL) throws {
    let file = folder.appendingPathComponent(Self.configFile)
    guard let data = try? Data(contentsOf: file) else {
      throw InputError(
        .missing, "\(file.relativePath): no such file", hint: "expected the folder model of sdlab train classifier --data DIR")
    }
    let reader = try ConfigReader(data, file: file.relativePath)
    try reader.refuse(unless: reader.string("_class_name", "") == "PictureClassifier", "_class_name", "PictureClassifier")
    let width = try reader.int("width", 24, in: 4...512)
    try reader.refuse(unless: width % 4 == 0, "width", "a multiple of 4")
    let side = try reader.int("sample_size", 64, in: 8...1024)
    try reader.refuse(unless: side % 8 == 0, "sample_size", "a multiple of 8")
    let classes = try reader.strings("classes", [])
    try reader.refuse(unless: classes.count > 1 && Set(classes).count == classes.count, "classes", "two or more different names")
    shape = Shape(width: width, side: side, classes: classes)
    net = try SegmentationNet(in: folder, shape.net, of: "a classifier")
  }

  /// Writes a classifier's folder but for its card.
  /// - Parameter half: weights in half precision, rounded.
  /// - Throws: `InputError` (cannotWrite).
  public static func write(_ weights: Parameters, _ shape: Shape, half: Bool, to folder: URL) throws {
    struct Config: Encodable {
      let _class_name = "PictureClassifier"
      let width: Int
      let sample_size: Int
      let classes: [String]
    }
    try SegmentationNet.write(weights, half: half, in: folder)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.write(
      encoder.encode(Config(width: shape.width, sample_size: shape.side, classes: shape.classes)) + Data("\n".utf8),
      to: folder.appendingPathComponent(configFile))
  }

  // MARK: What it says

  /// Pictures that are passed through the network at once.
  private static let batch = 32

  private func outputs(_ pictures: [Picture], _ part: (SegmentationNet.Output) -> Tensor) -> Tensor {
    .concatenated(
      stride(from: 0, to: pictures.count, by: Self.batch).map { start in
        part(net(.concatenated(pictures[start..<min(start + Self.batch, pictures.count)].map { shape.framing.centre($0).tensor })))
      })
  }

  /// `[n, classes]`. Pictures of any size: resized so that they cover what it sees, and cut.
  public func logits(of pictures: [Picture]) -> Tensor { outputs(pictures, \.classes) }

  /// The mean of the deepest level: features for distances between sets of pictures. `[n, 4 width]`
  public func features(of pictures: [Picture]) -> Tensor { outputs(pictures, \.features) }
}
