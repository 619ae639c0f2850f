import Foundation

/// Finds and reads the weight files of one network in a diffusers folder.
struct WeightFiles {
  /// Names as in the files.
  let tensors: [StoredTensor]
  let files: [URL]

  /// The files of `base` (`diffusion_pytorch_model`, `model`) in `folder`: safetensors before torch's pickles, whole before sharded.
  ///
  /// - Parameter variant: `fp16` for `base.fp16.safetensors`. Without one, a folder that holds nothing but one variant gives that.
  /// - Throws: `InputError(.missing)` with what was sought.
  init(in folder: URL, bases: [String], variant: String?) throws {
    let present = Set((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
    var sought: [String] = []
    func candidates(_ variant: String?) -> [String] {
      let v = variant.map { ".\($0)" } ?? ""
      return ["safetensors", "bin"].flatMap { type in
        bases.flatMap { base in ["\(base)\(v).\(type)", "\(base).\(type).index\(v).json"] }
      }
    }
    for name in candidates(variant) {
      sought.append(name)
      if present.contains(name) {
        self = try Self(folder, name)
        return
      }
    }
    if variant == nil {
      let others = Set(present.compactMap { name in bases.compactMap { Self.variant(of: name, base: $0) }.first })
      if others.count == 1, let only = others.first {
        self = try Self(in: folder, bases: bases, variant: only)
        return
      }
      if others.count > 1 { sought.append("only variants are there: \(others.sorted().joined(separator: ", "))") }
    }
    throw InputError(
      .missing, "\(folder.path): no weights (sought \(sought.joined(separator: ", ")))",
      hint: variant == nil ? "the folder is incomplete; download the model again" : "leave the variant out, or download it")
  }

  /// One file, or the index of a sharded one.
  private init(_ folder: URL, _ name: String) throws {
    let url = folder.appendingPathComponent(name)
    guard name.hasSuffix(".json") else {
      tensors = try Self.read(url).tensors
      files = [url]
      return
    }
    let index = try Self.index(url)
    var tensors: [StoredTensor] = []
    var files: [URL] = []
    for shard in Set(index.values).sorted() {
      let file = folder.appendingPathComponent(shard)
      let found = try Self.read(file).tensors.filter { index[$0.name] == shard }
      tensors += found
      files.append(file)
    }
    let names = Set(tensors.map(\.name))
    let missing = index.keys.filter { !names.contains($0) }.sorted()
    guard missing.isEmpty else {
      throw InputError(
        .badData, "\(url.path): \(missing.count) tensors are not in the file that it names: \(missing.prefix(3).joined(separator: ", "))")
    }
    (self.tensors, self.files) = (tensors, files)
  }

  /// What one weight file holds.
  struct Contents {
    let tensors: [StoredTensor]
    /// Training step of a torch checkpoint that tells it.
    var globalStep: Int?
    /// Texts beside the tensors of a torch checkpoint.
    var texts: [String: String] = [:]
    /// The texts under `__metadata__` of a safetensors file.
    var metadata: [String: String] = [:]
  }

  /// Reads a weight file by what it is, not by its name.
  static func read(_ url: URL) throws -> Contents {
    let file = try FileBytes(mapping: url)
    let magic = file.count >= 2 ? file.base.loadUnaligned(as: UInt16.self).littleEndian : 0
    // A zip file, or a bare pickle of an old torch, about which the checkpoint reader has a line to say.
    if ZipArchive.looksLike(file) || magic & 0xff == 0x80 && !url.path.hasSuffix(".safetensors") {
      let contents = try TorchCheckpoint.read(file)
      return Contents(tensors: contents.tensors, globalStep: contents.globalStep, texts: contents.texts)
    }
    let contents = try Safetensors.read(file)
    return Contents(tensors: contents.tensors, metadata: contents.metadata)
  }

  /// `weight_map` of a sharded file's index: tensor name to file name.
  private static func index(_ url: URL) throws -> [String: String] {
    let file = try FileBytes(mapping: url)
    guard file.count <= 64 << 20, let object = try? JSONSerialization.jsonObject(with: file.data) as? [String: Any],
      let map = object["weight_map"] as? [String: String], !map.isEmpty
    else { throw InputError(.badData, "\(url.path): expected JSON with a weight_map from tensors to files") }
    for name in map.values where name.contains("/") || name.hasPrefix(".") {
      throw InputError(.badData, "\(url.path): weight_map: expected names of files in the same folder, found \(name)")
    }
    return map
  }

  /// `fp16` for `base.fp16.safetensors` and `base.safetensors.index.fp16.json`.
  private static func variant(of name: String, base: String) -> String? {
    let parts = name.split(separator: ".").map(String.init)
    guard parts.first == base else { return nil }
    if parts.count == 3, ["safetensors", "bin"].contains(parts[2]) { return parts[1].contains("-of-") ? nil : parts[1] }
    if parts.count == 5, parts[2] == "index", parts[4] == "json" { return parts[3] }
    return nil
  }
}
