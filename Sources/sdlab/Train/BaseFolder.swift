import Engine
import Foundation

extension ModelOptions {
  /// The folder that a training of a model's own networks begins with: what is written is its copy with other weights.
  /// - Throws: `InputError` (usage) when it is no folder, or something is put in place of the model's own or added to it.
  func baseFolder() throws -> URL {
    guard lora.isEmpty, embedding.isEmpty, vae == nil, tokenizer == nil else {
      throw InputError(.usage, "--lora, --embedding, --vae and --tokenizer: a training begins with a model as it is")
    }
    let url = try model.map { URL(fileURLWithPath: $0) } ?? Resources.embeddedModel()
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue else {
      throw InputError(
        .usage, "\(model ?? ""): a training begins with a diffusers folder", hint: "convert single files with diffusers first")
    }
    return url
  }
}
