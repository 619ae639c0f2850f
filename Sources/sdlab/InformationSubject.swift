import Analysis
import Engine
import Foundation

/// What `information` measures.
struct InformationSubject {
  private let verb: Information
  private let subject: LatentSubject

  var prompt: TokenizedPrompt { subject.prompt }

  struct Measured {
    let maps: InformationMaps
    let picture: Picture
    let run: URL?
    /// For the subtitle.
    let about: String
  }

  /// - Throws: `InputError` before anything long is computed.
  init(_ verb: Information) throws {
    self.verb = verb
    subject = try LatentSubject(
      verb.subject, image: verb.image, index: verb.index, verb.runs, verb.model, verb.sampling, verb.picture, verb.report)
  }

  /// - Parameter others: the prompts to contrast with, one for each word.
  func measured(_ others: [String]) throws -> Measured {
    let s = try subject.resolved()
    var prompts = try ([prompt.text, ""] + others).map { try s.model.tokenize($0, longPrompt: s.longPrompt, emphasis: s.emphasis) }
    TokenizedPrompt.equalizeChunks(&prompts)
    // As in the pipeline, clip skip does not reach the empty prompt.
    let conditions = try prompts.enumerated().map { i, prompt in try s.model.embedding(prompt, clipSkip: i == 1 ? 0 : s.clipSkip) }
    var bar = ProgressBar("information", total: verb.samples, quiet: verb.report.quiet)
    let maps = try InformationMaps(
      s.model, latents: s.latents, conditions: conditions, contrasts: (1..<prompts.count).map { (given: 0, without: $0) },
      samples: verb.samples, seed: verb.noiseSeed, prediction: s.prediction
    ) { _ in bar.advance() }
    return Measured(maps: maps, picture: s.picture, run: s.run, about: s.about)
  }
}
