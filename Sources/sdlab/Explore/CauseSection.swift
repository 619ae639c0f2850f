import Analysis
import Engine
import Foundation
import Plots

extension ExploreStudy {
  /// Words that stand for something: of the others nobody expects a place in the picture.
  static let functionWords: Set<String> = [
    "a", "an", "the", "of", "on", "in", "at", "to", "by", "with", "and", "or", "next", "is", "are", ",", ".", "!", "?", ":", ";", "-", "\"",
    "'", "(", ")",
  ]

  mutating func causes() throws -> [KnockOutStudy] {
    guard let attention = view.attention else { return [] }
    let second = try pass(seed: run.parameters.seed &+ 1000, captures: [CaptureSpec(RunView.crossAttention)])
    let evidence = try KnockOutStudy.Evidence(
      run.model, run: base, attention: attention, other: second, prompt: prompt, absent: RunView.absentWords)
    let names = prompt.distinctWords
    // When there are more words than passes, those that stand for something come first.
    let ordered =
      names.filter { !Self.functionWords.contains($0.lowercased()) } + names.filter { Self.functionWords.contains($0.lowercased()) }
    let chosen = Set(ordered.prefix(plan.words))
    return try names.filter(chosen.contains).map { word in
      let knocked = try WordKnockOut(word, run.model, run.request)
      let folder = try pass(intervention: .init(["knock_out": word], conditioning: knocked.conditioning))
      return try KnockOutStudy(word, without: folder.picture(0), evidence, shuffle: run.parameters.seed)
    }
  }

}

extension RunView {
  /// Words of which one may be absent from a prompt: a map that cannot know.
  static let absentWords = ["boat", "cat", "tree", "car", "flower"]

  /// The words of the run that were knocked out in runs of the store, from the same noise; empty where a run that is needed is not there.
  ///
  /// Needed are this run with `unet.*.attn2.probs` and `unet.*.attn2.q`, another seed of the same prompt with `unet.*.attn2.probs`, and runs with words
  /// taken out; `explore` makes them all.
  /// - Parameter model: read only when they are there.
  func causes(in store: RunStore, model: () throws -> StableDiffusion) throws -> [KnockOutStudy] {
    let spec = folder.manifest.spec
    guard image == 0, spec.intervention.isEmpty, let attention, !isAveraged, has("unet.*.attn2.q", .none) else { return [] }
    let others = try store.list().runs.filter { $0.manifest.modelSha256 == folder.manifest.modelSha256 }
    var knocked: [(word: String, run: RunFolder)] = []
    for word in prompt.distinctWords {
      let found = others.first { $0.manifest.spec.parameters == spec.parameters && $0.manifest.spec.intervention == ["knock_out": word] }
      if let found { knocked.append((word, found)) }
    }
    let second = others.first { other in
      var p = other.manifest.spec.parameters
      guard p.seed != spec.parameters.seed, other.manifest.spec.intervention.isEmpty else { return false }
      p.seed = spec.parameters.seed
      return p == spec.parameters && Self.has(other, Self.crossAttention, .none, 0)
    }
    guard let second, !knocked.isEmpty else { return [] }
    let evidence = try KnockOutStudy.Evidence(
      model(), run: folder, attention: attention, other: second, prompt: prompt, absent: Self.absentWords)
    return try knocked.map { try KnockOutStudy($0.word, without: $0.run.picture(0), evidence, shuffle: spec.parameters.seed) }
  }

  func causeSection(_ causes: [KnockOutStudy]) throws -> Report.Section {
    let base = folder
    let magnified = max(1, 128 / max(1, base.latents.width))
    let largest = causes.flatMap(\.change).max() ?? 1
    let rows: [[Report.ImageGrid.Cell?]] = try causes.map { cause in
      let heat = (cause.heatmap.min() ?? 0)...max(cause.heatmap.max() ?? 1, (cause.heatmap.min() ?? 0) + 1e-12)
      return [
        .init(try Report.Picture(RGBImage(cause.without), alt: "the picture without “\(cause.word)”")),
        .init(
          try Report.Picture(
            colouredMap(cause.change, base.latents, .magma, 0...max(largest, 1e-6), magnified: magnified),
            alt: "where the picture changes without “\(cause.word)”"),
          value: "mean \(decimal(100 * Double(cause.change.reduce(0, +)) / Double(cause.change.count), 1)) %"),
        .init(
          try Report.Picture(
            colouredMap(cause.heatmap, base.latents, .inferno, heat, magnified: magnified), alt: "the heatmap of “\(cause.word)”"),
          value: "ρ = \(cause.trust.score.map { decimal($0, 2) } ?? "none")"),
      ]
    }
    func score(_ cause: KnockOutStudy, _ kind: MapTrust.Control) -> String {
      cause.trust.controls.first { $0.kind == kind }.map { $0.score.map { decimal($0, 2) } ?? "constant" } ?? "none"
    }
    let table = Report.Table(
      caption:
        "Does a word's heatmap predict what happens without it? Spearman's rank correlation with the map of the change, beside maps that cannot know.",
      header: ["word", "its heatmap", "absent word", "other tokens", "other seed", "verdict"],
      rows: causes.map { c in
        [
          c.word, c.trust.score.map { decimal($0, 2) } ?? "none", score(c, .absentWord), score(c, .shuffledTokens), score(c, .otherSeed),
          c.trust.isTrusted ? "beats its controls" : "not to be trusted: \(c.trust.reason)",
        ]
      }, numeric: [1, 2, 3, 4],
      note:
        "A map is believed when its correlation is at least \(MapTrust.threshold) and exceeds that of every control by at least \(MapTrust.margin): a convention, not a test."
    )
    let believed = causes.filter(\.trust.isTrusted).map(\.word)
    let grid = Report.ImageGrid(
      title: "each word taken out", columnAxis: "what is shown", rowAxis: "word",
      modes: [
        .init(
          title: "",
          note:
            "The same noise each time. Change: mean absolute difference of the channels, one scale for all words. Heatmaps: each on its own scale.",
          columnLabels: ["without the word", "what changed", "its heatmap"], rowLabels: causes.map(\.word), rows: rows)
      ])
    return Report.Section(
      title: "What each word does",
      shows:
        "The picture made again from the same noise with one word's embedding replaced by padding, where it changed, and whether the word's heatmap knew.",
      limits: "The text encoder mixes a word into later positions; what it left there stays. One seed is one case, not a rule.",
      parts: [
        Report.Callout(
          believed.isEmpty ? .warning : .note,
          title: believed.isEmpty ? "No map beats its controls here" : "Maps to believe: \(believed.joined(separator: ", "))",
          text: "Of \(causes.count) words, the heatmaps of \(believed.count) tell where the word acts better than maps that cannot know."),
        grid, table,
      ])
  }
}
