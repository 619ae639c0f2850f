import Analysis
import Engine
import Foundation

/// A matrix of points in a file: `latents.npy`, or `features.npz:h` and `run.safetensors:h` with the name of the array.
struct PointsFile {
  let path: String
  /// The array's name; nil where the file holds only one.
  let array: String?

  /// True for a text that ends like a matrix file, with or without the name of an array: everything else may be a run.
  static func looksLikeOne(_ argument: String) -> Bool {
    let path = PointsFile(argument).path
    return ["npy", "npz", "safetensors"].contains(URL(fileURLWithPath: path).pathExtension.lowercased())
  }

  /// A colon belongs to the path when there is a file of that name.
  init(_ argument: String) {
    guard !FileManager.default.fileExists(atPath: argument), let colon = argument.lastIndex(of: ":"), colon > argument.startIndex else {
      (path, array) = (argument, nil)
      return
    }
    path = String(argument[..<colon])
    array = String(argument[argument.index(after: colon)...])
  }

  /// The first dimension counts points, the others are flattened.
  ///
  /// - Throws: `InputError` naming the file: it is missing, of another kind, broken, holds several arrays and none is named, NaN.
  func read() throws -> Points {
    let url = URL(fileURLWithPath: path)
    switch url.pathExtension.lowercased() {
    case "npy":
      guard array == nil else { throw InputError(.usage, "\(path): an .npy file holds one array without a name, found :\(array ?? "")") }
      let found = try Npy.read(url)
      return try points(found.float32(), found.shape)
    case "npz":
      let found = try Npy.readArchive(url)
      let chosen = found[try choose(found.map { ($0.name, $0.shape) })]
      return try points(chosen.float32(), chosen.shape)
    case "safetensors":
      let found = try Safetensors.read(url).tensors
      let chosen = found[try choose(found.map { ($0.name, $0.shape) })]
      return try points(chosen.flattened().float32().array, chosen.shape)
    default:
      throw InputError(
        .usage, "\(path): expected a matrix in an .npy, .npz or .safetensors file",
        hint: "FILE:NAME chooses an array; in Python numpy.save writes an .npy file")
    }
  }

  private func choose(_ arrays: [(name: String, shape: [Int])]) throws -> Int {
    let names = arrays.map(\.name)
    let listed = arrays.prefix(12).map { "\($0.name) \($0.shape)" }.joined(separator: ", ") + (arrays.count > 12 ? ", …" : "")
    if let array {
      guard let at = names.firstIndex(of: array) else {
        throw InputError(.missing, "\(path): there is no array \(array)", hint: "it holds \(listed)")
      }
      return at
    }
    let matrices = arrays.indices.filter { arrays[$0].shape.count >= 2 }
    if arrays.count == 1 { return 0 }
    guard matrices.count == 1 else {
      throw InputError(.usage, "\(path): holds \(arrays.count) arrays, which one?", hint: "\(path):NAME chooses; it holds \(listed)")
    }
    return matrices[0]
  }

  private func points(_ values: [Float], _ shape: [Int]) throws -> Points {
    let name = array.map { "\(path):\($0)" } ?? path
    guard shape.count >= 2 else {
      throw InputError(.badData, "\(name): shape \(shape), expected a matrix [points, coordinates] (further dimensions are flattened)")
    }
    return try Points(values, count: shape[0], dimension: shape.dropFirst().reduce(1, *), name: name)
  }
}
