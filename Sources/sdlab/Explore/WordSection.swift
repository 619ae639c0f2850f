import Analysis
import Engine
import Foundation
import Plots

extension RunView {
  /// Where each word went.
  func wordSection(_ causes: [KnockOutStudy] = []) throws -> Report.Section {
    guard let recorder = attention else {
      return section([missing("Cross-attention", sites: Self.crossAttention)])
    }
    let names = prompt.distinctWords
    // Special tokens where they stand: BOS first, then the words, EOS and the padding last.
    let kinds = AttentionBudget.kinds(of: prompt)
    func places(_ kind: AttentionBudget.Kind) -> [Int] { kinds.indices.filter { kinds[$0] == kind } }
    var columns: [(text: String, places: [Int], special: Bool)] = [("BOS", places(.bos), true)]
    columns += try names.map { ($0, try prompt.places(of: $0), false) }
    columns.append(("EOS", places(.eos), true))
    if !places(.padding).isEmpty { columns.append(("padding", places(.padding), true)) }
    func values(_ daam: DAAM) throws -> [Float] {
      let maps = TokenMaps(daam)
      return try columns.flatMap { try maps.word($0.text, $0.places).values }
    }
    func group(_ name: String, _ wanted: ((AttentionPlace, MapSize) -> Bool)?, steps: [Float] = []) throws -> Report.WordMaps.Group? {
      if let wanted, !recorder.layers.contains(where: { wanted($0.place, $0.size) }) { return nil }
      let daam = try DAAM(recorder, image: image, latents: folder.latents, where: wanted)
      return .init(name: name, height: daam.size.height, width: daam.size.width, total: try values(daam), steps: steps)
    }
    let stepwise = try DAAM.stepwise(folder, levels: levels, image: image, averaged: isAveraged)
    var groups = [try group("all layers (DAAM)", nil, steps: stepwise.flatMap { try values($0) })]
    for (name, side) in [("down", AttentionPlace.Side.down), ("middle", .mid), ("up", .up)] {
      groups.append(try group(name, { place, _ in place.side == side }))
    }
    let sizes = Set(recorder.layers.map(\.size)).sorted { $0.count > $1.count }
    if sizes.count > 1 { for size in sizes { groups.append(try group("\(size.height) × \(size.width)", { _, s in s == size })) } }

    let evidence = try TruthEvidence.embedded(for: folder.manifest.modelSha256)
    if let evidence, let own = try written(evidence) {
      groups.append(
        .init(
          name: "where it is written (sdlab)", height: own.size.height, width: own.size.width,
          total: try columns.flatMap { try own.word($0.text, $0.places).values }, steps: []))
    }
    let neglect = try neglected(recorder)
    let words = columns.map { column -> Report.WordMaps.Word in
      if column.special { return .init(column.text, special: true) }
      let known = evidence.flatMap { e in e.method("DAAM")?.word(column.text).map { (word: $0, verdict: e.verdict($0)) } }
      if let word = known?.word, known?.verdict == .refuted {
        return .init(
          column.text,
          flag: .init(
            .untrusted, title: "not to be believed",
            text:
              "On scenes with known masks \(decimal(100 * word.inverted, 0)) % of its \(word.count) maps were inverted, mean IoU \(decimal(word.iou, 2)) (sdlab truth)."
          ))
      }
      if let low = neglect[column.text] {
        return .init(
          column.text,
          flag: .init(
            .neglected, title: "neglected",
            text:
              "Its largest attention anywhere, after competing with the other words, is \(decimal(low, 3)) on average over the steps (Attend-and-Excite's statistic)."
          ))
      }
      // Known masks say more than one knock-out.
      if known?.verdict != .believed, let cause = causes.first(where: { $0.word == column.text }), !cause.trust.isTrusted {
        return .init(column.text, flag: .init(.untrusted, title: "not to be trusted", text: cause.trust.reason))
      }
      return .init(column.text)
    }
    let kept = steps(of: Self.crossAttention)
    let maps = Report.WordMaps(
      title: titled("cross-attention of “\(prompt.text)”"),
      picture: try Report.Picture(RGBImage(picture), alt: "the picture made of “\(prompt.text)”"),
      words: words, steps: stepwise.indices.map { label(kept.indices.contains($0) ? kept[$0] : $0) },
      groups: groups.compactMap { $0 }, palette: try Self.palette(.inferno), unit: "attention, summed over the steps")
    return section([maps] + evidenceParts(evidence) + (try budgetFigures()))
  }

  /// Maps of where words are written, when the run kept what they are made of.
  private func written(_ evidence: TruthEvidence) throws -> TokenMaps? {
    guard has("unet.*.attn2.contribution", .none), has("unet.*.attn2.out", .none), hasSelfAttention else { return nil }
    let layers = Set(evidence.outputLayers)
    let maps = try OutputMaps(OutputMapsRecorder(folder, levels: levels), image: image, where: { place, _ in layers.contains(place.path) })
    return TokenMaps(size: maps.size, tokens: maps.tokens, values: maps.maps)
  }

  /// Which of these maps to believe, on the evidence of scenes with known masks.
  private func evidenceParts(_ evidence: TruthEvidence?) -> [any Report.Part] {
    guard let evidence, let daam = evidence.method("DAAM"), let own = evidence.method("sdlab") else { return [] }
    let known = prompt.distinctWords.filter { daam.word($0) != nil }
    func line(_ method: TruthEvidence.Method, _ text: String) -> [String] {
      guard let word = method.word(text) else { return ["–", "–", "–"] }
      return [
        "\(decimal(word.iou, 2)) (\(decimal(word.low, 2))–\(decimal(word.high, 2)))", "\(decimal(100 * word.inverted, 0)) %",
        TruthStudy.text(evidence.verdict(word)),
      ]
    }
    if known.isEmpty {
      return [
        Report.Callout(
          .note, title: "Nothing is known about these words' maps",
          text:
            "`sdlab truth` scored the maps of \(daam.words.map(\.word).joined(separator: ", ")) against known masks; none of them is in the prompt."
        )
      ]
    }
    return [
      Report.Table(
        caption: "Which maps to believe: the same words on \(grouped(evidence.scenes)) scenes whose masks are known",
        header: ["word", "DAAM: overlap (IoU)", "inverted", "verdict", "sdlab: overlap (IoU)", "inverted", "verdict"],
        rows: known.map { [$0] + line(daam, $0) + line(own, $0) }, numeric: [1, 2, 4, 5],
        note:
          "From sdlab truth. A map that has not looked reaches \(decimal(evidence.baseline, 2)). Believed: the 95 % interval lies \(TruthEvidence.margin) above that and hardly any map is inverted; not to be believed: a fifth is inverted, or no better than that. Of this picture's own maps nothing is proven."
      )
    ]
  }

  private func section(_ parts: [any Report.Part]) -> Report.Section {
    Report.Section(
      title: "Where each word went",
      shows: "How much each place of the picture attends to each word of the prompt: DAAM's definition, one scale for all words"
        + (isAveraged ? ", from means over the heads." : "."),
      limits: "Attention tells where the network looked, not what made the picture; words marked with a flag fail a check that says so.",
      parts: parts)
  }

  /// Words that are overlooked, with the mean over the steps of their largest attention.
  private func neglected(_ recorder: CrossAttentionRecorder) throws -> [String: Double] {
    let calls = Neglect.maxima(recorder, image: image)
    var out: [String: Double] = [:]
    for word in prompt.distinctWords where !ExploreStudy.functionWords.contains(word.lowercased()) {
      let places = try prompt.places(of: word).map { $0 - 1 }
      let maxima = calls.map { call in places.compactMap { call.indices.contains($0) ? Double(call[$0]) : nil }.max() ?? 0 }
      let mean = maxima.reduce(0, +) / Double(max(1, maxima.count))
      // Below the share that each word would have if all were alike, it never wins a place.
      if mean < 1 / Double(max(1, prompt.contentCount)) { out[word] = mean }
    }
    return out
  }

  /// What the attention is spent on, and how widely it is spread.
  private func budgetFigures() throws -> [any Report.Part] {
    guard has(Self.crossAttention, .none) else { return [missing("Budget and entropy by head", sites: Self.crossAttention)] }
    let budget = AttentionBudget(prompt: prompt)
    try folder.replay(Self.crossAttention) { site, moment, tensor in
      try budget.record(site, moment, tensor)
      return nil
    }
    let entries = budget.entries(image: image)
    guard !entries.isEmpty else { return [] }
    let names = budget.layers.map(\.shortName)
    let kinds: [(AttentionBudget.Kind, String)] = [(.bos, "BOS"), (.words, "words"), (.eos, "EOS"), (.padding, "padding")]
    let shares = kinds.map { kind, _ in
      budget.layers.indices.map { layer -> Double in
        let all = entries.flatMap { $0[layer].map { $0[kind] } }
        return all.reduce(0, +) / Double(max(1, all.count))
      }
    }
    let bars = Figure(
      title: "What the attention is spent on", subtitle: "share of the cross-attention by layer, mean over heads and steps", width: 540,
      panels: [
        Panel(
          x: .categorical("layer", names), y: .linear("share", domain: 0...1), marks: zip(kinds, shares).map { .bars($1, label: $0.1) })
      ])
    let rows = budget.layers.indices.flatMap { layer in (0..<budget.heads[layer]).map { (layer, $0) } }
    let entropy = rows.flatMap { layer, head in entries.map { $0[layer][head].entropy } }
    let matrix = Figure(
      title: "Entropy of the cross-attention", subtitle: "by layer and head (rows) and step (columns); low: it looks at few tokens",
      width: 540,
      panels: [
        Panel(
          x: .categorical("step", budget.callSteps.map { "\($0 + 1)" }),
          y: .categorical("layer.head", rows.map { "\(names[$0.0]).\($0.1)" }),
          marks: [
            .heatmap(
              entropy, rows: rows.count, columns: entries.count, colours: ColourScale(.viridis, "entropy", unit: "nats"))
          ])
      ])
    let wordShare = shares[1].reduce(0, +) / Double(max(1, shares[1].count))
    return [
      Report.FigureRow([
        try figure(
          bars, caption: "BOS can carry nothing of the prompt (CLIP's mask is causal); EOS and the padding can.",
          alt: "On average \(decimal(100 * wordShare, 0)) % of the attention goes to the words."),
        try figure(
          matrix,
          caption:
            "ln(\(prompt.chunks.count * prompt.length)) = \(decimal(Foundation.log(Double(prompt.chunks.count * prompt.length)), 2)) nats would be attention to all tokens alike.",
          alt: "Entropy between \(decimal(entropy.min() ?? 0, 2)) and \(decimal(entropy.max() ?? 0, 2)) nats."),
      ])
    ]
  }
}
