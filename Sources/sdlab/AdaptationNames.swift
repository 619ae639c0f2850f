import Engine
import Foundation

/// What `--lora` and `--embedding` name: files with a weight or a word behind a colon.
struct AdaptationNames {
  let lora: [String]
  let embedding: [String]

  func loras() throws -> [LoRA] {
    try lora.map { argument in
      let (file, weight) = Self.split(argument)
      guard let weight else { return try LoRA(file) }
      guard let value = Double(weight), value.isFinite, abs(value) <= 100 else {
        throw InputError(
          .usage, "--lora \(argument): expected a weight from -100 to 100 behind the colon, found '\(weight)'", hint: "such as \(file):0.8")
      }
      return try LoRA(file, weight: value)
    }
  }

  func embeddings() throws -> [TextualInversion] {
    try embedding.map { argument in
      let (file, word) = Self.split(argument)
      return try TextualInversion(file, token: word)
    }
  }

  /// The file, and what stands behind its last colon. A file whose own name has that colon is taken whole.
  private static func split(_ argument: String) -> (file: String, rest: String?) {
    guard let colon = argument.lastIndex(of: ":"), !FileManager.default.fileExists(atPath: argument) else { return (argument, nil) }
    return (String(argument[..<colon]), String(argument[argument.index(after: colon)...]))
  }
}
