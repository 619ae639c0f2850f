import Engine
import Foundation

/// An inversion on the disk: a safetensors file, by itself or beside the run that goes forward again from it.
///
/// Tensors are PyTorch's: `latents` `[1, c, h, w]`, the inverted noise; `trajectory` `[steps + 1, c, h, w]`, noisiest first, the picture's own latents at the
/// end; for edit-friendly inversion `z` `[steps, c, h, w]`, the noise of each step, and `remainder` `[1, c, h, w]`; for null-text inversion `negatives`
/// `[steps, tokens, width]`, embeddings in place of the negative prompt's. The file's metadata say how it was made.
public struct InversionFile: Sendable {
  /// Its name in a run's folder.
  public static let name = "inversion.safetensors"

  public let inversion: Inversion
  /// The inversion's own settings: prompt, guidance, steps, the scheduler's options, and the digest of the model.
  public let parameters: GenerationParameters

  private static let method = "method"
  private static let record = "inversion"

  public init(_ inversion: Inversion, _ parameters: GenerationParameters) {
    (self.inversion, self.parameters) = (inversion, parameters)
  }

  /// - Throws: `InputError` when the file is not there, is no inversion, is not whole, or holds numbers that are not finite.
  public init(_ url: URL) throws {
    let path = url.relativePath
    let contents = try Safetensors.read(url)
    func bad(_ text: String) -> InputError { InputError(.badData, "\(path): \(text)", hint: "`sdlab invert` writes such files") }
    guard let name = contents.metadata[Self.method], let method = Inversion.Method(rawValue: name),
      let record = contents.metadata[Self.record]
    else { throw bad("is no inversion: it does not say how it was made") }
    parameters = try GenerationParameters(json: record, name: path)
    func steps(_ name: String, _ count: Int) throws -> [Tensor] {
      guard let stored = contents.tensors.first(where: { $0.name == name }) else { throw bad("\(name) is missing") }
      guard stored.shape.count == 4, stored.shape[0] == count, stored.shape.allSatisfy({ (1...65536).contains($0) }) else {
        throw bad("\(name): expected [\(count), channels, height, width], found \(stored.shape)")
      }
      let all = try stored.float32().nhwc()
      return (0..<count).map { all.slice($0..<$0 + 1) }
    }
    let count = parameters.steps
    let trajectory = try steps("trajectory", count + 1)
    let edits = method == .editFriendly
    let noises = edits ? try steps("z", count) : []
    let remainder = edits ? try steps("remainder", 1) : []
    guard (noises + remainder).allSatisfy({ $0.shape == trajectory[0].shape }) else {
      throw bad("the noises are not of the shape of the latents, \(trajectory[0].nchw().shape)")
    }
    var negatives: [Tensor] = []
    if method == .nullText {
      guard let stored = contents.tensors.first(where: { $0.name == "negatives" }) else { throw bad("negatives is missing") }
      guard stored.shape.count == 3, stored.shape[0] == count, stored.shape.allSatisfy({ (1...65536).contains($0) }) else {
        throw bad("negatives: expected [\(count), tokens, width], found \(stored.shape)")
      }
      let all = try stored.float32()
      negatives = (0..<count).map { all.slice($0..<$0 + 1) }
    }
    inversion = Inversion(method: method, trajectory: trajectory, noises: noises, remainder: remainder.first, negatives: negatives)
  }

  /// Writes it, whole or not at all.
  public func write(to url: URL) throws {
    var tensors = [("latents", inversion.noise.nchw()), ("trajectory", Tensor.concatenated(inversion.trajectory).nchw())]
    if !inversion.noises.isEmpty { tensors.append(("z", Tensor.concatenated(inversion.noises).nchw())) }
    if let remainder = inversion.remainder { tensors.append(("remainder", remainder.nchw())) }
    if !inversion.negatives.isEmpty { tensors.append(("negatives", Tensor.concatenated(inversion.negatives))) }
    let p = parameters
    let metadata = [
      Self.method: inversion.method.rawValue, Self.record: try p.json(), "prompt": p.prompt, "negative": p.negativePrompt,
      "steps": "\(p.steps)", "guidance": "\(p.guidance)", "seed": "\(p.seed)",
    ]
    try Safetensors.write(tensors.map { (name: $0.0, tensor: $0.1) }, metadata: metadata, to: url)
  }
}

extension RunFolder {
  /// The inversion that the run goes forward again from.
  /// - Throws: `InputError` (usage) when the run is of another kind.
  public func inversion() throws -> InversionFile {
    guard manifest.files.contains(where: { $0.path == InversionFile.name }) else {
      throw InputError(
        .usage, "\(url.relativePath): the run holds no inversion of a picture", hint: "`sdlab invert IMAGE` makes one that does")
    }
    return try InversionFile(url.appendingPathComponent(InversionFile.name))
  }
}
