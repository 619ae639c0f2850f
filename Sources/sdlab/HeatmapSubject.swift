import Analysis
import Engine
import Foundation
import Plots
import Training

/// What `heatmap` looks at: a stored run, a run made now, or an existing picture.
struct HeatmapSubject {
  let source: ModelSource
  let prompt: TokenizedPrompt
  let latents: MapSize
  /// nil for an existing picture.
  let folder: RunFolder?
  /// For the subtitle.
  let about: String
  private let verb: Heatmap
  private let levels: Int
  /// Read already, when a run was made just now.
  private let loaded: StableDiffusion?
  private let existing: (model: StableDiffusion, latents: Tensor, picture: Picture, timesteps: [Int])?

  init(_ verb: Heatmap) throws {
    self.verb = verb
    if let image = verb.image {
      guard verb.atSteps == nil else {
        throw InputError(.usage, "--at-steps: an existing picture has timesteps instead", hint: "give --at")
      }
      let (run, pixels) = try PictureRun.prepare(lookingAt: image, verb.subject, verb.model, verb.sampling, verb.picture, verb.report)
      let timesteps = try timestepList(verb.at)
      source = run.model.source
      prompt = try run.model.tokenize(run.request.prompt, longPrompt: run.request.longPrompt, emphasis: run.request.emphasis)
      let x = try run.model.encode(pixels, tiling: run.tiling)
      latents = MapSize(height: x.shape[1], width: x.shape[2])
      levels = run.model.unet.config.blockOutChannels.count
      existing = (run.model, x, Picture(pixels), timesteps)
      loaded = run.model
      folder = nil
      about = "an existing picture noised to t = \(timesteps.map(String.init).joined(separator: ", "))"
      return
    }
    let subject = try RunSubject(
      verb.subject, verb.runs, verb.model, verb.sampling, verb.picture, verb.report,
      check: { prompt in
        // A stored run's words are looked up when its maps are made.
        if !verb.runs.store.names(verb.subject), verb.method != .ovam, let words = verb.words {
          for word in try commaList(words, "--words") { _ = try prompt.places(of: word) }
        }
      },
      captures: { run in
        switch verb.method {
        case .ovam: [CaptureSpec("unet.*.attn2.q", rows: verb.rows == .uncond ? .uncond : .cond)]
        case .sdlab:
          OutputMapsRecorder.captures(
            levels: run.model.unet.config.blockOutChannels.count, latents: run.latentSize, sites: run.model.sites)
        case .daam, .p2p, .neglect: [CaptureSpec("unet.*.attn2.probs")]
        case .gradcam, .judge: []
        }
      })
    (folder, source, prompt, levels) = (subject.folder, subject.source, subject.prompt, subject.levels)
    (about, latents, loaded) = (subject.about, subject.folder.latents, subject.loaded)
    existing = nil
  }

  func attention(averaged: Bool) throws -> CrossAttentionRecorder {
    if let folder { return try CrossAttentionRecorder(folder, levels: levels, steps: folder.steps(verb.atSteps), averaged: averaged) }
    let recorder = CrossAttentionRecorder(levels: levels, latents: latents)
    if let existing { try look(existing, recorder.probes(existing.model)) }
    return recorder
  }

  /// What `--method sdlab` needs.
  func written() throws -> OutputMapsRecorder {
    if let folder { return try OutputMapsRecorder(folder, levels: levels, steps: folder.steps(verb.atSteps)) }
    let recorder = OutputMapsRecorder(levels: levels, latents: latents)
    if let existing { try look(existing, recorder.probes(existing.model)) }
    return recorder
  }

  /// Maps of words by gradients: the finished picture is noised to the timesteps of --at, whether it was made or found.
  func activation(_ names: [String], image: Int) throws -> [WordMap] {
    let positions = try names.map { try prompt.places(of: $0) }
    let model = try loaded ?? ModelOptions.load(source, verb.report)
    let latents = try existing?.latents ?? folder.map { try $0.finalLatents().slice(image..<image + 1) }
    guard let latents else { preconditionFailure("neither a run nor a picture") }
    let maps = try GradCAM.ofPicture(
      model, latents: latents, prompt: prompt, clipSkip: folder?.manifest.spec.parameters.clipSkip ?? verb.sampling.clipSkip,
      words: positions,
      timesteps: existing?.timesteps ?? timestepList(verb.at), seed: verb.sampling.seed)
    return WordMap.sharing(names, positions, maps)
  }

  /// Maps of nouns by the judge of scenes, on the finished picture.
  /// - Throws: `InputError` (usage) for words that are none of its nouns.
  func judged(_ names: [String], image: Int) throws -> [WordMap] {
    let nouns = try names.map { name in
      guard let noun = Noun(rawValue: name.lowercased()) else {
        throw InputError(
          .usage, "--words \(name): the judge of scenes knows \(Noun.list)",
          hint: "name some of these with --words")
      }
      return noun
    }
    let small = try shownPicture(image).tensor.asPictures(side: SceneJudge.side)
    let own = MapSize(height: SceneJudge.side / 8, width: SceneJudge.side / 8)
    let maps = try SceneJudge.embedded().activation(of: small, nouns: nouns).map { GradCAM.enlarged((own, $0), to: latents) }
    return WordMap.sharing(names, names.map { _ in [] }, maps)
  }

  /// What `sdlab truth` has found out about this model; nil when nothing is known.
  func evidence() throws -> TruthEvidence? {
    let digest = try folder?.manifest.modelSha256 ?? ModelDigest.of(source, quiet: verb.report.quiet)
    return try TruthEvidence.embedded(for: digest)
  }

  func openVocabulary(_ ids: [Int], _ rows: OVAMRecorder.Rows) throws -> OVAMRecorder {
    if let existing {
      guard rows == .cond else { throw InputError(.usage, "--rows uncond: an existing picture is looked at with its prompt only") }
      let recorder = try OVAMRecorder(model: existing.model, attribution: ids, rows: rows, latents: latents)
      try look(existing, recorder.probes(existing.model))
      return recorder
    }
    let model = try loaded ?? ModelOptions.load(source, verb.report)
    let recorder = try OVAMRecorder(model: model, attribution: ids, rows: rows, latents: latents, steps: folder?.steps(verb.atSteps))
    if let folder { try recorder.replay(folder) }
    return recorder
  }

  private func look(_ existing: (model: StableDiffusion, latents: Tensor, picture: Picture, timesteps: [Int]), _ probes: Probes) throws {
    let text = try existing.model.embedding(prompt, clipSkip: verb.sampling.clipSkip)
    try NoisedPicture.pass(
      existing.model, latents: existing.latents, text: text, timesteps: existing.timesteps, seed: verb.sampling.seed, probes: probes)
  }

  func shownPicture(_ index: Int) throws -> Picture {
    if let folder { return try folder.picture(index) }
    return existing.map(\.picture) ?? Picture(width: 1, height: 1, pixels: [0, 0, 0])
  }
}

extension TruthEvidence {
  /// The evidence that comes with the program, when it is of this model.
  static func embedded(for modelSha256: String) throws -> TruthEvidence? {
    try stored(Resources.url("scenes-truth.json"), modelSha256: modelSha256)
  }
}

extension WordMap {
  /// Maps of words whose shares are those in the sum over all of them.
  fileprivate static func sharing(_ words: [String], _ positions: [[Int]], _ maps: [[Float]]) -> [WordMap] {
    let sums = maps.map { $0.reduce(0.0) { $0 + Double($1) } }
    let total = maps.joined().reduce(0.0) { $0 + Double($1) }
    return words.indices.map {
      WordMap(word: words[$0], positions: positions[$0], values: maps[$0], share: total > 0 ? sums[$0] / total : 0)
    }
  }
}

extension Noun {
  /// All of them, for error lines.
  static var list: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
