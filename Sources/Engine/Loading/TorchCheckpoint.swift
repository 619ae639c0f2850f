import Foundation

/// The tensors of a file written by `torch.save` (.ckpt, .bin, .pt), mapped, never executed.
public enum TorchCheckpoint {
  public struct Contents {
    public let tensors: [StoredTensor]
    /// Training step, where the file tells: SD 2.0's base model is known by it.
    public let globalStep: Int?
    /// Texts beside the tensors: the name of a textual inversion.
    public var texts: [String: String] = [:]
  }

  public static func read(_ url: URL) throws -> Contents { try read(FileBytes(mapping: url)) }

  /// The state dict: under `state_dict` in a training checkpoint, else the whole dictionary; under `string_to_param` in a textual inversion of A1111's.
  /// What is no tensor is left out.
  public static func read(_ file: FileBytes) throws -> Contents {
    if LegacyTorchFile.looksLike(file) {
      let legacy = try LegacyTorchFile(file)
      return try contents(legacy.pickle, file) { legacy.ranges[$0] }
    }
    guard ZipArchive.looksLike(file) else {
      throw InputError(
        .badData, "\(file.name): not a torch checkpoint: neither a zip file nor pickles behind torch's magic number",
        hint: "load and save it again with a recent torch, or use the model's .safetensors file")
    }
    let archive = try ZipArchive(file)
    let pickles = archive.entries.keys.filter { $0.hasSuffix("/data.pkl") && $0.filter { $0 == "/" }.count == 1 }
    guard pickles.count == 1, let pickleName = pickles.first, let range = archive.entries[pickleName] else {
      throw InputError(.badData, "\(file.name): expected one data.pkl in the zip file, found \(pickles.count)")
    }
    let root = pickleName.dropLast("data.pkl".count)
    if let order = archive.entries["\(root)byteorder"], !file.all[order].elementsEqual("little".utf8) {
      throw InputError(.badData, "\(file.name): expected little-endian numbers (byteorder)")
    }
    let pickle = try read(pickle: UnsafeRawBufferPointer(rebasing: file.all[range]), name: file.name)
    return try contents(pickle, file) { archive.entries["\(root)data/\($0)"] }
  }

  /// - Parameter range: where the numbers of a storage lie in the file.
  private static func contents(_ pickle: Pickle, _ file: FileBytes, range: (_ key: String) -> Range<Int>?) throws -> Contents {
    guard var pairs = pickle.dictionary(pickle.root) else {
      throw InputError(.badData, "\(file.name): expected a dictionary of tensors (a state dict)")
    }
    var globalStep: Int?
    var texts: [String: String] = [:]
    for (key, value) in pairs {
      if pickle.text(key) == "global_step", case .int(let step) = value { globalStep = step }
      if ["state_dict", "string_to_param"].contains(pickle.text(key)), let inner = pickle.dictionary(value) { pairs = inner }
      if let key = pickle.text(key), let text = pickle.text(value) { texts[key] = text }
    }
    var tensors: [StoredTensor] = []
    for (key, value) in pairs {
      guard let name = pickle.text(key), case .tensor(let index) = value else { continue }
      tensors.append(try tensor(name, pickle.tensors[index], pickle, file, range))
    }
    return Contents(tensors: tensors, globalStep: globalStep, texts: texts)
  }

  /// The pickle alone, with its problems as error lines.
  static func read(pickle bytes: UnsafeRawBufferPointer, name: String) throws -> Pickle {
    do {
      return try Pickle(bytes)
    } catch Pickle.Problem.malformed(let text) {
      throw InputError(.badData, "\(name): pickle: \(text)", hint: "not a whole torch checkpoint; copy or download it again")
    } catch Pickle.Problem.refused(let text) {
      throw InputError(
        .badData, "\(name): pickle: refused: \(text)",
        hint: "a state dict does not need it; it may run foreign code in other programs; use a .safetensors file")
    }
  }

  private static func tensor(
    _ name: String, _ tensor: Pickle.Tensor, _ pickle: Pickle, _ file: FileBytes, _ range: (_ key: String) -> Range<Int>?
  ) throws -> StoredTensor {
    func bad(_ text: String) -> InputError { InputError(.badData, "\(file.name): \(name): \(text)") }
    let storage = pickle.storages[tensor.storage]
    guard let range = range(storage.key) else { throw bad("its numbers data/\(storage.key) are missing") }
    guard storage.count == range.count / storage.dtype.size, range.count % storage.dtype.size == 0 else {
      throw bad("expected \(storage.count) \(storage.dtype.rawValue) in data/\(storage.key), found \(range.count) bytes")
    }
    guard let byteCount = StoredTensor.byteCount(storage.dtype, tensor.shape) else { throw bad("shape \(tensor.shape) is too large") }
    let count = byteCount / storage.dtype.size
    // Index of the last element; elements that share memory would let a small file ask for much.
    var last = tensor.offset
    var rowMajor = true
    var expected = 1
    for (size, stride) in zip(tensor.shape, tensor.strides).reversed() where count > 0 {
      let (span, over) = stride.multipliedReportingOverflow(by: size - 1)
      let (sum, high) = last.addingReportingOverflow(span)
      guard !over, !high else { throw bad("shape \(tensor.shape) with strides \(tensor.strides) is too large") }
      last = sum
      if size != 1 {
        rowMajor = rowMajor && stride == expected
        expected *= size
      }
    }
    guard tensor.offset <= storage.count, count == 0 || last < storage.count && count <= storage.count else {
      throw bad("shape \(tensor.shape) with strides \(tensor.strides) from \(tensor.offset) exceeds its \(storage.count) numbers")
    }
    return StoredTensor(
      name: name, dtype: storage.dtype, shape: tensor.shape, strides: rowMajor ? nil : tensor.strides, bytes: file,
      offset: range.lowerBound + tensor.offset * storage.dtype.size)
  }
}
