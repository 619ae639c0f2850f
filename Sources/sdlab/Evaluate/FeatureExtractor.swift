import Analysis
import ArgumentParser
import Engine
import Foundation
import Training

/// What looks at pictures for a measure.
enum FeatureExtractor {
  case inception(InceptionV3)
  case clip(CLIP)
  case scenes(SceneJudge)
  case classifier(PictureClassifier)

  enum Name: String, ExpressibleByArgument, CaseIterable { case inception, clip, scenes, classifier }

  /// `[n, features]`
  func features(_ pictures: [Picture]) throws -> Tensor {
    switch self {
    case .inception(let network): network(pictures).features
    case .clip(let clip): try clip.embeddings(pictures)
    case .scenes(let judge): judge.features(of: Self.sceneSized(pictures))
    case .classifier(let own): own.features(of: pictures)
    }
  }

  /// `[n, classes]`
  func logits(_ pictures: [Picture]) throws -> Tensor {
    switch self {
    case .inception(let network): return network(pictures).logits
    case .clip: throw Self.noClasses
    case .scenes(let judge): return judge.logits(of: Self.sceneSized(pictures))
    case .classifier(let own): return own.logits(of: pictures)
    }
  }

  /// As the judge sees pictures, -1 to 1; larger ones are made smaller with antialiasing.
  private static func sceneSized(_ pictures: [Picture]) -> Tensor {
    .concatenated(pictures.map { $0.bicubic(width: SceneJudge.side, height: SceneJudge.side).map { $0 / 127.5 - 1 } })
  }

  fileprivate static let noClasses = InputError(
    .usage, "--extractor clip: it has no classes, which logits are for", hint: "give inception or a classifier")
}

/// Which network looks at pictures, and where its weights are.
struct ExtractorOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What looks at the pictures of a folder: inception (the network that FID is defined with), clip, scenes (the judge of the scenes world), or classifier (one of your own, of sdlab train classifier). Default: inception.",
      valueName: "name"))
  var extractor: FeatureExtractor.Name?

  @Option(
    help: ArgumentHelp(
      "Its weights. Of inception: pytorch-fid's file pt_inception-2015-12-05-6726825d.pth, by default where torch keeps it. Of clip: a folder or a hub name in the local "
        + "cache, by default openai/clip-vit-large-patch14. Of scenes: a judge's folder, by default the one that comes with the program. Of classifier: its folder.",
      valueName: "file|dir|name"))
  var extractorWeights: String?

  var isGiven: Bool { extractor != nil || extractorWeights != nil }

  /// - Parameter classes: logits will be asked for.
  func load(classes: Bool = false) throws -> FeatureExtractor {
    if classes, extractor == .clip { throw FeatureExtractor.noClasses }
    return try network()
  }

  private func network() throws -> FeatureExtractor {
    switch extractor ?? .inception {
    case .inception: .inception(try InceptionV3(extractorWeights.map { URL(fileURLWithPath: $0) } ?? Self.inceptionFile()))
    case .clip: .clip(try CLIP(extractorWeights ?? CLIPOptions.usual))
    case .classifier: .classifier(try PictureClassifier(folder: classifierFolder()))
    case .scenes: .scenes(try extractorWeights.map { try SceneJudge(folder: URL(fileURLWithPath: $0)) } ?? SceneJudge.embedded())
    }
  }

  private func classifierFolder() throws -> URL {
    guard let extractorWeights else {
      throw InputError(.usage, "--extractor classifier: which one?", hint: "give its folder with --extractor-weights")
    }
    return URL(fileURLWithPath: extractorWeights)
  }

  /// Where torch.hub keeps what pytorch-fid and torch-fidelity have downloaded.
  private static func inceptionFile() throws -> URL {
    let environment = ProcessInfo.processInfo.environment
    let home = URL(fileURLWithPath: environment["HOME"] ?? NSHomeDirectory())
    let torch =
      environment["TORCH_HOME"].map { URL(fileURLWithPath: $0) }
      ?? (environment["XDG_CACHE_HOME"].map { URL(fileURLWithPath: $0) } ?? home.appendingPathComponent(".cache")).appendingPathComponent(
        "torch")
    let folder = torch.appendingPathComponent("hub/checkpoints")
    let names = ["pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth"]
    for name in names where FileManager.default.fileExists(atPath: folder.appendingPathComponent(name).path) {
      return folder.appendingPathComponent(name)
    }
    throw InputError(
      .missing, "the weights of the Inception network are not in \(folder.path) (\(names.joined(separator: ", ")))",
      hint: "give pytorch-fid's file with --extractor-weights, or features as .npy files")
  }
}

/// Which CLIP.
struct CLIPOptions: ParsableArguments {
  static let usual = "openai/clip-vit-large-patch14"

  @Option(
    help: ArgumentHelp(
      "The CLIP model: a folder of transformers' layout, or a hub name in the local cache. Default: openai/clip-vit-large-patch14.",
      valueName: "dir|name"))
  var clip = CLIPOptions.usual
}

/// The pictures of a folder.
struct PictureFolder {
  let path: String
  let files: [URL]

  static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  /// PNG and JPEG files in the order of their names; those of folders within are not looked at.
  init(_ path: String) throws {
    self.path = path
    let folder = URL(fileURLWithPath: path)
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
    files = names.filter { !$0.hasPrefix(".") }.map { folder.appendingPathComponent($0) }.filter {
      ["png", "jpg", "jpeg"].contains($0.pathExtension.lowercased())
    }
    guard !files.isEmpty else { throw InputError(.badData, "\(path): holds no pictures", hint: "PNG and JPEG files are read") }
  }

  /// What a picture's own metadata say that it was made from.
  static func prompt(of file: URL) -> String? {
    switch try? ImageMetadata.read(url: file).origin(name: file.relativePath) {
    case .sdlab(let p): p.prompt
    case .foreign(let f): f.prompt
    case nil: nil
    }
  }

  /// What `look` says of all pictures, some at a time.
  func looked(_ name: String, quiet: Bool, _ look: ([Picture]) throws -> Tensor) throws -> Tensor {
    try Self.looked(files, name, quiet: quiet, look)
  }

  static func looked(_ files: [URL], _ name: String, quiet: Bool, _ look: ([Picture]) throws -> Tensor) throws -> Tensor {
    var bar = ProgressBar(name, total: files.count, quiet: quiet)
    return try .concatenated(
      stride(from: 0, to: files.count, by: 16).map { start in
        let batch = Array(files[start..<min(start + 16, files.count)])
        defer { bar.advance(by: batch.count) }
        return try look(batch.map { try Picture(url: $0) })
      })
  }
}
