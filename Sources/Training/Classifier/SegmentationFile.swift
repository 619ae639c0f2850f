import Engine
import Foundation

/// The file that judges and classifiers keep their weights in.
extension SegmentationNet {
  static let file = "model.safetensors"

  /// - Parameters:
  ///   - folder: holds the file.
  ///   - owner: what the weights are of, for error lines: `a judge`.
  /// - Throws: `InputError` when it is missing, damaged or of another shape.
  init(in folder: URL, _ config: SegmentationNetConfig, of owner: String) throws {
    let file = folder.appendingPathComponent(Self.file)
    let store = try WeightStore(Safetensors.read(file).tensors, label: file.relativePath)
    self.init(store, config)
    let surplus = try store.finish()
    guard surplus.isEmpty else { throw InputError(.badData, "\(file.relativePath): \(surplus[0]) does not belong to \(owner)") }
  }

  /// - Parameter half: weights in half precision, rounded.
  /// - Throws: `InputError` (cannotWrite).
  static func write(_ weights: Parameters, half: Bool, in folder: URL) throws {
    try Safetensors.write(
      zip(weights.names, weights.values).map { name, tensor in (name, try half ? .half(tensor, named: name) : .tensor(tensor)) },
      metadata: ["format": "pt"], to: folder.appendingPathComponent(file))
  }
}
