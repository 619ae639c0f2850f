import Analysis
import Engine
import Foundation

/// A run that was named, or the one that was made for a prompt: what verbs look at that take either.
struct RunSubject {
  let folder: RunFolder
  let source: ModelSource
  let prompt: TokenizedPrompt
  /// Number of levels of the UNet.
  let levels: Int
  /// For subtitles: sampler, steps, seed.
  let about: String
  /// The model, when it was read to make the run.
  let loaded: StableDiffusion?

  /// - Parameters:
  ///   - subject: a run's folder or name, or a prompt.
  ///   - check: called with the prompt before anything is computed.
  ///   - captures: what is kept of a run that is made now.
  init(
    _ subject: String, _ runs: RunOptions, _ model: ModelOptions, _ sampling: SamplingOptions, _ picture: PictureOptions,
    _ report: ReportOptions, check: (TokenizedPrompt) throws -> Void, captures: (PictureRun) throws -> [CaptureSpec]
  ) throws {
    let store = runs.store
    if store.names(subject) {
      folder = try store.open(subject)
      source = try folder.source(model, quiet: report.quiet)
      prompt = try folder.prompt(source)
      try check(prompt)
      levels = try UNetConfig(source.unetConfig).blockOutChannels.count
      loaded = nil
    } else {
      let (run, _) = try PictureRun.prepare(subject, model, sampling, picture, report)
      prompt = try run.model.tokenize(run.request.prompt, longPrompt: run.request.longPrompt, emphasis: run.request.emphasis)
      try check(prompt)
      let specs = try captures(run)
      let plan = try run.plan(specs)
      if plan.bytes > 4_000_000_000 { report.warn("what is kept of this run takes \(bytes(Double(plan.bytes))) on the disk") }
      folder = try run.trace(store, specs, again: runs.again)
      source = run.model.source
      levels = run.model.unet.config.blockOutChannels.count
      loaded = run.model
    }
    let p = folder.manifest.spec.parameters
    about = "\(p.sampler), \(folder.manifest.timesteps.count) steps, seed \(p.seed)"
  }
}

extension RunFolder {
  /// The chosen steps as a condition; nil for all.
  func steps(_ text: String?) throws -> ((Int) -> Bool)? {
    guard let text else { return nil }
    let chosen = Set(try StepSelection(text, total: manifest.timesteps.count).steps)
    return { chosen.contains($0) }
  }
}

extension TokenizedPrompt {
  /// Tokens by name: a word or phrase of the prompt, or `<bos>`, `<eos>`, `<padding>`.
  /// - Throws: `InputError` (usage) when there are none of that name.
  func places(named name: String) throws -> [Int] {
    let special: [String: AttentionBudget.Kind] = ["<bos>": .bos, "<eos>": .eos, "<padding>": .padding]
    guard let kind = special[name.lowercased()] else { return try places(of: name) }
    let kinds = AttentionBudget.kinds(of: self)
    let found = kinds.indices.filter { kinds[$0] == kind }
    guard !found.isEmpty else { throw InputError(.usage, "the prompt has no \(name)", hint: "it fills its row of \(length) tokens") }
    return found
  }
}

/// A list on the command line, separated by commas; blanks around the parts do not count, repeated parts are taken once.
func commaList(_ text: String, _ option: String) throws -> [String] {
  var seen: Set<String> = []
  let parts = text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty && seen.insert($0).inserted }
  guard !parts.isEmpty else { throw InputError(.usage, "\(option): expected names separated by commas, found '\(text)'") }
  return parts
}

/// Timesteps of `--at`, separated by commas; whether the schedule has them is the model's to say.
func timestepList(_ text: String) throws -> [Int] {
  try commaList(text, "--at").map { part in
    guard let t = Int(part), t >= 0 else { throw InputError(.usage, "--at: expected timesteps, found '\(part)'") }
    return t
  }
}
