import Engine
import Foundation

/// A diffusers folder with other weights in some of its networks: what a training leaves.
public enum ModelFolder {
  /// Networks by the beginning of their parameters' names, and the names of their weight files.
  private static let files = [
    "unet": "diffusion_pytorch_model.safetensors", "vae": "diffusion_pytorch_model.safetensors", "text_encoder": "model.safetensors",
  ]

  /// transformers loads a network in the precision that its config names: with one in half precision and another in float32 a pipeline would not run.
  private static func name(_ type: String, in config: URL) throws {
    guard let text = try? String(contentsOf: config, encoding: .utf8) else { return }
    let named = text.replacing(/("(?:torch_)?dtype"\s*:\s*)"[a-z0-9]+"/) { "\($0.output.1)\"\(type)\"" }
    if named != text { try AtomicFile.write(Data(named.utf8), to: config) }
  }

  /// Copies the model's folder and writes the networks that `parameters` has weights of.
  ///
  /// - Parameters:
  ///   - base: a diffusers folder.
  ///   - parameters: under canonical names (`unet.conv_in.weight`); of a network that is there at all, every parameter.
  ///   - half: in half precision, rounded; float32 otherwise.
  ///   - card: the text of its README.md, which stands for the base's own.
  /// - Throws: `InputError` (cannotWrite).
  public static func write(_ parameters: Parameters, base: URL, half: Bool = false, card: String?, to folder: URL) throws {
    let manager = FileManager.default
    do {
      for name in ["model_index.json", "unet", "vae", "text_encoder", "tokenizer", "scheduler"] {
        let from = base.appendingPathComponent(name)
        guard manager.fileExists(atPath: from.path) else { continue }
        try manager.copyItem(at: from.resolvingSymlinksInPath(), to: folder.appendingPathComponent(name))
      }
    } catch { throw InputError(.cannotWrite, "\(folder.relativePath): \(error.localizedDescription)") }
    for (network, file) in files {
      let prefix = network + "."
      let tensors = zip(parameters.names, parameters.values).filter { $0.0.hasPrefix(prefix) }
      guard !tensors.isEmpty else { continue }
      let place = folder.appendingPathComponent(network)
      // Shards and variants of the base would stand beside the new file.
      for old in (try? manager.contentsOfDirectory(at: place, includingPropertiesForKeys: nil)) ?? []
      where old.pathExtension != "json" || old.lastPathComponent.contains(".index.") {
        try? manager.removeItem(at: old)
      }
      try Safetensors.write(
        tensors.map { (String($0.0.dropFirst(prefix.count)), try half ? .half($0.1, named: $0.0) : .tensor($0.1)) },
        metadata: ["format": "pt"],
        to: place.appendingPathComponent(file))
    }
    for network in files.keys {
      try name(half ? "float16" : "float32", in: folder.appendingPathComponent(network).appendingPathComponent("config.json"))
    }
    if let card { try AtomicFile.write(Data(card.utf8), to: folder.appendingPathComponent("README.md")) }
  }
}
