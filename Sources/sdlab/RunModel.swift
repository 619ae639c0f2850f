import Analysis
import Engine

extension RunFolder {
  /// The model that made the run, where it is now: its files found and their digest compared; no weight is read.
  /// - Throws: `InputError` when it is not there or is another one.
  func source(_ options: ModelOptions, quiet: Bool) throws -> ModelSource {
    let p = manifest.spec.parameters
    let source = try options.completed(by: p).source()
    let found = try ModelDigest.of(source, quiet: quiet)
    guard found == manifest.modelSha256 else {
      throw InputError(
        .badData,
        "\(url.relativePath): made with another model: \(p.model.name) had SHA-256 \(manifest.modelSha256.prefix(16)), this one has \(found.prefix(16))",
        hint: "give the model it was made with: --model")
    }
    return source
  }

  /// The prompt as the run's model reads it, for words and phrases.
  func prompt(_ source: ModelSource) throws -> TokenizedPrompt {
    let p = manifest.spec.parameters
    let tokenizer = try source.promptTokenizer()
    return try tokenizer.tokenizer.prepare(
      p.prompt, length: tokenizer.length, overflow: (LongPrompt(rawValue: p.longPrompt) ?? .cut).overflow,
      emphasis: PromptEmphasis(rawValue: p.emphasis) ?? .none)
  }
}

extension TokenizedPrompt {
  /// Places of all occurrences of a word or phrase in the rows of tokens, one row behind the other.
  func places(of words: String) throws -> [Int] {
    try positions(of: words).flatMap { $0 }.map { $0.chunk * length + $0.index }
  }

  /// The prompt's words, each once, those that were cut off left out.
  var distinctWords: [String] {
    var seen: Set<String> = []
    return words.filter { !$0.positions.isEmpty && seen.insert($0.text.lowercased()).inserted }.map(\.text)
  }

  /// Number of tokens of the prompt's own.
  var contentCount: Int { words.reduce(0) { $0 + $1.positions.count } }
}
