import Foundation

/// A word that was learnt: vectors that stand in the text encoder's table of tokens where the vocabulary has none (Gal et al., ICLR 2023).
///
/// Read are diffusers' files (one tensor under the name of its word) and A1111's (`.pt` with `string_to_param`, `.safetensors` with `emb_params`).
public struct TextualInversion: Sendable {
  /// As the person named the file.
  public let name: String
  public let url: URL
  /// The word, as it is written in a prompt.
  public let token: String
  /// `[n, width]`, one row for each of the word's tokens.
  public let vectors: Tensor

  /// - Parameter token: the word, in place of the one that the file gives. A file that gives none is called by its own name.
  /// - Throws: `InputError` when the file holds no embedding, or one for two text encoders (SDXL).
  public init(_ path: String, token given: String? = nil) throws {
    name = path
    url = URL(fileURLWithPath: path)
    let contents = try WeightFiles.read(url)
    let found = contents.tensors
    // More vectors than four rows of a prompt hold are a table of something else.
    guard found.count == 1, let stored = found.first, (1...2).contains(stored.shape.count), stored.count > 0,
      stored.shape[0] <= 75 * 4 || stored.shape.count == 1
    else {
      throw InputError(
        .badData,
        "\(path): expected one tensor of vectors, found \(found.isEmpty ? "none" : found.prefix(3).map { "\($0.name.oneLine) \($0.shape)" }.joined(separator: ", "))",
        hint: "give a textual inversion for Stable Diffusion 1 or 2, as diffusers or A1111 writes it")
    }
    let values = try stored.float32()
    vectors = values.shape.rank == 2 ? values : values.reshaped([1, values.count])
    let nameless = ["emb_params", "*"].contains(stored.name)
    let own = nameless ? contents.texts["name"] ?? url.deletingPathExtension().lastPathComponent : stored.name
    let word = given ?? own
    guard !word.isEmpty, !word.contains(where: { $0.isWhitespace || $0 == ":" }), word.count <= 200 else {
      throw InputError(
        .usage, "\(path): '\(word.prefix(60).description.oneLine)' can be no word of a prompt", hint: "give one: --embedding FILE:WORD")
    }
    token = word
  }
}
