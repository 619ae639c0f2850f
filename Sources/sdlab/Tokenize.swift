import ArgumentParser
import Engine

struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show how the model's tokenizer reads a text.",
    discussion: """
      With --json: {"ids":[...],"tokens":[...],"words":[...]}. ids and tokens are padded as they are fed to the text encoder, several windows one \
      after another; a word has its text as written and the places of its tokens in ids.
      """)

  @Argument(help: "The text.")
  var text: String

  @OptionGroup(title: "Model") var model: ModelOptions

  @Option(help: ArgumentHelp("What becomes of a text that is too long: cut or chunk.", valueName: "name"))
  var longPrompt = LongPrompt.cut

  @Option(help: ArgumentHelp("How brackets are read: none or a1111.", valueName: "name"))
  var emphasis = PromptEmphasis.none

  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let source = try model.source()
    let tokenizer = try source.promptTokenizer()
    let prompt = try tokenizer.tokenizer.prepare(text, length: tokenizer.length, overflow: longPrompt.overflow, emphasis: emphasis)
    if let warning = prompt.warning { report.warn("\(warning); --long-prompt chunk keeps it") }
    let words = prompt.words.map { word in
      Word(text: word.text, positions: word.positions.map { $0.chunk * prompt.length + $0.index })
    }
    let tokens = prompt.chunks.flatMap(\.tokens)
    if report.json {
      let weights = prompt.isWeighted ? prompt.weights : nil
      return try StandardOutput.json(Report(ids: prompt.ids, tokens: tokens, words: words, weights: weights))
    }
    var rows = [["place", "id", "token", "word"] + (prompt.isWeighted ? ["weight"] : [])]
    for (place, (id, token)) in zip(prompt.ids, tokens).enumerated() {
      let word = words.first { $0.positions.contains(place) }?.text ?? ""
      rows.append(
        ["\(place)", "\(id)", token.oneLine, word.oneLine] + (prompt.isWeighted ? [decimal(Double(prompt.weights[place]), 3)] : []))
    }
    // Padding says nothing that its first row does not say.
    let padding = prompt.ids.reversed().prefix { $0 == prompt.ids.last }.count
    if padding > 2 {
      rows.removeLast(padding - 2)
      rows.append(["…", "", "\(padding - 2) more up to \(prompt.ids.count) tokens"])
    }
    try StandardOutput.line(table(rows.map { $0.reversed().drop(while: \.isEmpty).reversed() }))
  }

  private struct Word: Encodable {
    let text: String
    let positions: [Int]
  }
  private struct Report: Encodable {
    let ids: [Int]
    let tokens: [String]
    let words: [Word]
    /// One a token, when a word is weighted.
    let weights: [Float]?
  }
}
