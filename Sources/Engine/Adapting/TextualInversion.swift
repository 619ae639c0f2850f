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
    guard Self.isWord(word) else {
      throw InputError(
        .usage, "\(path): '\(word.prefix(60).description.oneLine)' can be no word of a prompt", hint: "give one: --embedding FILE:WORD")
    }
    token = word
  }

  /// One that is being learnt and has no file yet.
  /// - Parameters:
  ///   - vectors: `[n, width]`, n at most 300.
  ///   - url: where it will lie.
  public init(_ token: String, vectors: Tensor, url: URL) {
    precondition(Self.isWord(token) && vectors.shape.rank == 2, "'\(token)' with \(vectors.shape)")
    (self.token, self.vectors, self.url, name) = (token, vectors, url, url.relativePath)
  }

  /// True for what can stand for vectors in a prompt: no white space, no colon.
  public static func isWord(_ text: String) -> Bool {
    !text.isEmpty && !text.contains { $0.isWhitespace || $0 == ":" } && text.count <= 200
  }

  /// Name of the vectors among the parameters of a training.
  public static let parameter = "text_encoder.learned_embedding"

  /// Vectors to begin with: those of a word of the vocabulary, in turn.
  /// - Parameters:
  ///   - parameters: the model's.
  ///   - count: of vectors, 1 or more.
  /// - Returns: `[count, width]`
  /// - Throws: `InputError` when the word has no token, or more than `count`.
  public static func initial(_ word: String, count: Int, _ tokenizer: Tokenizer, _ parameters: Parameters) throws -> Tensor {
    let ids = tokenizer.encode(word)
    guard (1...count).contains(ids.count) else {
      let pieces = ids.compactMap { tokenizer.token($0) }.joined(separator: " ")
      throw InputError(
        .usage,
        "'\(word.oneLine)': \(ids.count) \(ids.count == 1 ? "token" : "tokens") of the vocabulary\(ids.isEmpty ? "" : " (\(pieces))"), expected 1\(count > 1 ? " to \(count)" : "")",
        hint: ids.isEmpty ? "give a word" : "give another word, or as many vectors as it has tokens")
    }
    guard let table = parameters["text_encoder.text_model.embeddings.token_embedding.weight"] else {
      preconditionFailure("the parameters have no table of tokens")
    }
    return .concatenated((0..<count).map { table.slice(ids[$0 % ids.count]..<ids[$0 % ids.count] + 1) })
  }

  /// Writes it as diffusers' training does: one tensor `[n, width]` under the word's name, in float32.
  /// - Throws: `InputError` (cannotWrite).
  public func write(to url: URL) throws { try Safetensors.write([(token, vectors)], metadata: ["format": "pt"], to: url) }
}
