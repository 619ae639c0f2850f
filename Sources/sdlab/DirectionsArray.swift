import Analysis
import Engine
import Foundation

/// Directions in a file: `directions` `[k, steps, channels, h, w]` float32, what is added to h at strength 1, as PyTorch orders it.
enum DirectionsArray {
  static func checkEnding(_ url: URL) throws {
    guard ["npy", "safetensors"].contains(url.pathExtension.lowercased()) else {
      throw InputError(
        .usage, "\(url.relativePath): directions are written as .safetensors or .npy", hint: "give a name that ends in one of them")
    }
  }

  static func write(_ directions: HDirections, kind: String, to url: URL) throws {
    let (h, w, c) = (directions.shape[0], directions.shape[1], directions.shape[2])
    let shape = [directions.count, directions.timesteps.count, c, h, w]
    let values = directions.values.flatMap { $0.flatMap { Tensor($0, [1, h, w, c]).nchw().array } }
    if url.pathExtension.lowercased() == "npy" { return try Npy.write(values, shape: shape, to: url) }
    try Safetensors.write(
      [
        ("directions", .raw(.float32, shape: shape, values.withUnsafeBytes { Data($0) })),
        ("timesteps", .tensor(Tensor(directions.timesteps.map { Float($0) }, [directions.timesteps.count]))),
      ], metadata: ["kind": kind, "names": directions.names.joined(separator: "\n")], to: url)
  }

  /// - Parameters:
  ///   - timesteps: of the run that they are for.
  ///   - shape: height, width and channels of its h.
  /// - Throws: `InputError` naming the file: it is missing, broken, not finite, of another model, size or plan.
  static func read(_ url: URL, timesteps: [Double], shape: [Int]) throws -> HDirections {
    let path = url.relativePath
    try checkEnding(url)
    let (found, values): ([Int], [Float])
    var names: [String] = []
    if url.pathExtension.lowercased() == "npy" {
      let array = try Npy.read(url)
      (found, values) = (array.shape, try array.float32())
    } else {
      let contents = try Safetensors.read(url)
      guard let stored = contents.tensors.first(where: { $0.name == "directions" }) else {
        throw InputError(.badData, "\(path): expected a tensor named directions", hint: "`sdlab directions --arrays` writes such files")
      }
      (found, values) = (stored.shape, try stored.flattened().float32().array)
      names = contents.metadata["names"]?.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) ?? []
      if let stored = contents.tensors.first(where: { $0.name == "timesteps" }) {
        let own = try stored.flattened().float32().array.map(Double.init)
        guard own.count == timesteps.count, zip(own, timesteps).allSatisfy({ abs($0 - $1) < 0.5 }) else {
          throw InputError(
            .usage, "\(path): directions of \(own.count) steps at other timesteps than the run's \(timesteps.count)",
            hint: "take the sampler and the number of steps that they were made with")
        }
      }
    }
    let (h, w, c) = (shape[0], shape[1], shape[2])
    guard found.count == 5, found[0] >= 1, Array(found[2...]) == [c, h, w] else {
      throw InputError(
        .badData, "\(path): directions: expected [k, \(timesteps.count), \(c), \(h), \(w)] for this model and size, found \(found)",
        hint: "directions are of one model and one size")
    }
    guard found[1] == timesteps.count else {
      throw InputError(
        .usage, "\(path): directions of \(found[1]) steps, the run has \(timesteps.count)", hint: "give --steps \(found[1])")
    }
    if let at = values.firstIndex(where: { !$0.isFinite }) {
      throw InputError(.badData, "\(path): value \(at) of directions is \(values[at]), expected finite numbers")
    }
    let size = c * h * w
    let parts = (0..<found[0]).map { k in
      (0..<found[1]).map { s in
        Tensor(Array(values[(k * found[1] + s) * size..<(k * found[1] + s + 1) * size]), [1, c, h, w]).nhwc().array
      }
    }
    let known = names.count == found[0] ? names : (0..<found[0]).map { "direction \($0 + 1)" }
    return HDirections(names: known, timesteps: timesteps, shape: shape, values: parts)
  }
}
