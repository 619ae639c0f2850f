import Analysis
import Engine
import Foundation
import Plots

extension TruthStudy {
  /// The report: the league first, then what it is made of.
  func document(seconds: Double) throws -> Report {
    Report(
      title: "Which explanations to believe",
      lead:
        "\(grouped(league.cases.count)) objects of \(grouped(verb.scenes)) scenes whose masks are known, looked at by \(name): every method's map of every noun against the truth.",
      sections: try [leagueSection(), nounSection(), insideSection(), gallerySection(), factorSection(), againSection(seconds)])
  }

  private var name: String { verb.model.model == nil ? "the model that comes with sdlab" : source.displayName }

  private func figure(_ figure: Figure, _ caption: String, alt: String) throws -> Report.Figure {
    try Report.figure(figure, caption: caption, alt: alt)
  }

  private static func interval(_ e: MetricEstimate) -> String {
    guard let i = e.interval else { return decimal(e.value, 3) }
    return "\(decimal(e.value, 3)) (\(decimal(i.lowerBound, 3))–\(decimal(i.upperBound, 3)))"
  }

  private func leagueSection() throws -> Report.Section {
    let methods = league.standings(.method)
    let baselines = league.standings(.baseline)
    let all = methods + baselines
    let bars = Figure(
      title: "Overlap with the truth", subtitle: "mean IoU on the scenes that methods are scored on, with 95 % intervals", width: 680,
      height: Double(all.count) * 26 + 120,
      panels: [
        Panel(
          x: .linear("mean IoU", domain: 0...1), y: .categorical("", all.map(\.explanation.name)),
          marks: [
            .bars(
              all.map(\.iou.value),
              interval: (all.map { $0.iou.interval?.lowerBound ?? $0.iou.value }, all.map { $0.iou.interval?.upperBound ?? $0.iou.value }),
              horizontal: true)
          ])
      ])
    let curves = Figure(
      title: "What the threshold does", subtitle: "mean IoU of maps cut at each threshold, each map on its own scale from 0 to 1",
      width: 680,
      panels: [
        Panel(
          x: .linear("threshold", domain: 0...1), y: .linear("mean IoU", zero: true),
          marks: all.prefix(6).compactMap { standing in
            guard let entry = league.entry(standing.explanation) else { return nil }
            let means = Localisation.thresholds.indices.map { t in
              entry.scores.reduce(0) { $0 + $1.iou[t] } / Double(max(1, entry.scores.count))
            }
            return .line(Localisation.thresholds, means, label: standing.explanation.name)
          })
      ])
    let table = Report.Table(
      caption: "The league, with 95 % intervals over scenes",
      header: ["method", "IoU", "best IoU", "AUC", "pointing", "mass in the mask", "inverted", "threshold"],
      rows: all.map { s in
        [
          s.explanation.kind == .baseline ? "\(s.explanation.name) (has not looked)" : s.explanation.name, Self.interval(s.iou),
          decimal(s.bestIoU, 3),
          Self.interval(s.auc), Self.interval(s.pointing), decimal(s.mass, 3), "\(decimal(100 * s.inverted, 0)) %", decimal(s.threshold, 2),
        ]
      }, numeric: [1, 2, 3, 4, 5, 6, 7],
      note:
        "IoU: places above the threshold against the mask; one threshold a method, chosen on \(grouped(verb.validation)) other scenes. Best IoU: each map at its own best threshold. Pointing: the highest place lies on the object. Inverted: AUC below 0.5."
    )
    var parts: [any Report.Part] = []
    if let lead, let interval = lead.interval, let daam = league.entry(TruthMaps.daam) {
      let names = layers.paths.map {
        $0.replacingOccurrences(of: "unet.", with: "").replacingOccurrences(of: ".transformer_blocks.0.attn2", with: "")
      }
      parts.append(
        Report.Callout(
          interval.lowerBound > 0 ? .note : .warning,
          title: "sdlab's method beside DAAM: \(lead.value >= 0 ? "+" : "")\(decimal(lead.value, 3)) mean IoU",
          text:
            "Paired interval \(decimal(interval.lowerBound, 3)) to \(decimal(interval.upperBound, 3)) over \(grouped(verb.scenes)) scenes; DAAM has \(decimal(league.standing(daam).iou.value, 3)). The method looks where words are written, not where the network looks, in the layers \(names.joined(separator: ", ")), which were chosen on other scenes."
        ))
    }
    let best = methods.first
    parts += [
      try figure(
        bars, "Whiskers: 95 % bootstrap intervals over scenes. The last ones have not looked at the picture, or at another word.",
        alt:
          "\(best?.explanation.name ?? "") leads with a mean IoU of \(decimal(best?.iou.value ?? 0, 3)); \(baseline?.explanation.name ?? "") has \(decimal(baseline?.iou.value ?? 0, 3))."
      ),
      table,
      try figure(
        curves, "A method that is good at one threshold only needs a lucky choice.",
        alt: "Mean IoU by threshold; the best choices lie at \(methods.prefix(3).map { decimal($0.threshold, 2) }.joined(separator: ", "))."
      ),
    ]
    return Report.Section(
      title: "The league of methods",
      shows: "How well each method's map of a noun overlaps with the thing itself.",
      limits:
        "Scenes of this little world, noised to t = \(settings.timesteps.map(String.init).joined(separator: ", ")): the order may be another in photographs and in other models.",
      parts: parts)
  }

  private func nounSection() throws -> Report.Section {
    let chosen = ["DAAM", "sdlab", "OVAM, whole prompt", "P2P", "knock-out"].compactMap { league.entry(Explanation(.method, $0)) }
    let groups = chosen.map { league.groups($0, by: \.word) }
    let names = groups.first?.map(\.name) ?? []
    let matrix = Figure(
      title: "Mean IoU by noun", width: 680, height: Double(names.count) * 26 + 130,
      panels: [
        Panel(
          x: .categorical("", chosen.map(\.explanation.name)), y: .categorical("", names),
          marks: [
            .heatmap(
              names.indices.flatMap { n in groups.map { $0[n].iou.value } }, rows: names.count, columns: chosen.count,
              colours: ColourScale(.viridis, "mean IoU", domain: 0...1), written: true)
          ])
      ])
    let evidence = try evidence()
    let daam = evidence.method("DAAM")?.words ?? []
    let own = evidence.method("sdlab")
    let table = Report.Table(
      caption: "Each noun's maps: DAAM's, and beside them sdlab's",
      header: ["noun", "objects", "DAAM IoU", "DAAM AUC", "DAAM inverted", "verdict on DAAM", "sdlab IoU", "sdlab inverted"],
      rows: daam.sorted { $0.iou < $1.iou }.map { w in
        let other = own?.word(w.word)
        return [
          w.word, "\(w.count)", "\(decimal(w.iou, 2)) (\(decimal(w.low, 2))–\(decimal(w.high, 2)))", decimal(w.auc, 2),
          "\(decimal(100 * w.inverted, 0)) %",
          Self.text(evidence.verdict(w)), other.map { decimal($0.iou, 2) } ?? "–",
          other.map { "\(decimal(100 * $0.inverted, 0)) %" } ?? "–",
        ]
      }, numeric: [1, 2, 3, 4, 6, 7],
      note:
        "Believed: the interval lies \(TruthEvidence.margin) above the best map that has not looked (\(decimal(evidence.baseline, 2))) and hardly any map is inverted. Not to be believed: a fifth of the maps is inverted, or the overlap is no better than that map's. A convention, not a test."
    )
    let refuted = daam.filter { evidence.verdict($0) == .refuted }.sorted { $0.inverted > $1.inverted }
    let callout = Report.Callout(
      refuted.isEmpty ? .note : .warning,
      title: refuted.isEmpty
        ? "No noun's maps are refuted" : "Nouns whose DAAM maps are not to be believed: \(refuted.map(\.word).joined(separator: ", "))",
      text: refuted.isEmpty
        ? "Every noun's maps overlap with the thing better than a map that has not looked, and are rarely inverted."
        : refuted.map {
          "\($0.word): \(decimal(100 * $0.inverted, 0)) % of its maps light everything but the thing, mean IoU \(decimal($0.iou, 2))"
        }
        .joined(separator: "; ") + ".")
    func by(_ title: String, _ property: @escaping (League.Case) -> String) -> Report.Table {
      let parts = chosen.map { league.groups($0, by: property) }
      let names = parts.first?.map(\.name) ?? []
      return Report.Table(
        caption: title, header: ["group", "objects"] + chosen.map(\.explanation.name),
        rows: names.indices.map { n in [names[n], "\(parts[0][n].count)"] + parts.map { decimal($0[n].iou.value, 3) } },
        numeric: Set(1...chosen.count + 1))
    }
    return Report.Section(
      title: "Noun by noun",
      shows: "For which words the maps are right, and for which they light the wrong place.",
      limits: "Some nouns have few objects here: read the intervals.",
      parts: [
        callout, table,
        try figure(
          matrix, "Every method at its own threshold.",
          alt: daam.min { $0.iou < $1.iou }.map { "DAAM is worst for \($0.word), with \(decimal($0.iou, 2))." } ?? "IoU by noun and method."
        ),
        by("By size", { $0.size }), by("By company", { $0.company == 1 ? "alone" : "beside another thing" }),
      ])
  }

  static func text(_ verdict: TruthEvidence.Verdict) -> String {
    switch verdict {
    case .believed: "believed"
    case .doubtful: "doubtful"
    case .refuted: "not to be believed"
    }
  }

  private func insideSection() throws -> Report.Section {
    // In network order, not by rank.
    let layers = league.entries.filter { $0.explanation.kind == .layer }.map(league.standing)
    let heads = league.standings(.head)
    let steps = settings.timesteps.compactMap { t in league.entry(Explanation(.timestep, "t = \(t)")).map(league.standing) }
    func bars(_ list: [League.Standing], _ title: String, _ subtitle: String) -> Figure {
      Figure(
        title: title, subtitle: subtitle, width: 540, height: Double(list.count) * 26 + 120,
        panels: [
          Panel(
            x: .linear("mean IoU", domain: 0...1), y: .categorical("", list.map(\.explanation.name)),
            marks: [
              .bars(
                list.map(\.iou.value),
                interval: (
                  list.map { $0.iou.interval?.lowerBound ?? $0.iou.value }, list.map { $0.iou.interval?.upperBound ?? $0.iou.value }
                ),
                horizontal: true)
            ])
        ])
    }
    let table = Report.Table(
      caption: "The best and the worst heads", header: ["head", "IoU", "AUC", "pointing", "inverted"],
      rows: (heads.count > 16 ? Array(heads.prefix(10) + heads.suffix(5)) : heads).map {
        [
          $0.explanation.name, Self.interval($0.iou), decimal($0.auc.value, 3), decimal($0.pointing.value, 3),
          "\(decimal(100 * $0.inverted, 0)) %",
        ]
      }, numeric: [1, 2, 3, 4],
      note: "Of \(heads.count) heads. Many heads on the same objects: the best of them is flattered by the choice.")
    let best = layers.max { $0.iou.value < $1.iou.value }
    return Report.Section(
      title: "Layers, heads and steps",
      shows: "Which parts of DAAM's mean know where things are.",
      limits: "A single head's map may be good for another reason than its word.",
      parts: [
        Report.FigureRow([
          try figure(
            bars(layers, "By layer", "cross-attention, all heads"), "All timesteps together.",
            alt: "The best layer is \(best?.explanation.name ?? "–") with \(decimal(best?.iou.value ?? 0, 3))."),
          try figure(
            bars(steps, "By timestep", "DAAM at one timestep"), "0 is clean, 999 noise.",
            alt: steps.map { "\($0.explanation.name): \(decimal($0.iou.value, 3))" }.joined(separator: ", ")),
        ]),
        table,
      ])
  }

  private func gallerySection() throws -> Report.Section {
    let magnified = max(1, 80 / size.width)
    let rows: [[Report.ImageGrid.Cell?]] = try shown.map { scene in
      let truth = scene.mask.map { $0 ? Float(1) : 0 }
      let cells: [Report.ImageGrid.Cell?] =
        [
          .init(try Report.Picture(RGBImage(scene.picture), alt: "the scene “\(scene.prompt)”")),
          .init(try Report.Picture(colouredMap(truth, size, .cividis, 0...1, magnified: magnified), alt: "where the \(scene.word) is")),
        ]
      return try cells
        + scene.maps.map { name, map, iou in
          let range = (map.min() ?? 0)...max(map.max() ?? 1, (map.min() ?? 0) + 1e-12)
          return .init(
            try Report.Picture(colouredMap(map, size, .inferno, range, magnified: magnified), alt: "the map of “\(scene.word)” by \(name)"),
            value: "IoU \(decimal(iou, 2))")
        }
    }
    let names = shown.first?.maps.map(\.name) ?? []
    return Report.Section(
      title: "Seen by eye",
      shows: "Some of the scenes with the truth and the maps of the first object's noun.",
      limits: "The first of every so many scenes, not chosen by how they look. Each map on its own scale.",
      parts: [
        Report.ImageGrid(
          title: "scenes and maps", columnAxis: "what is shown", rowAxis: "noun",
          modes: [.init(columnLabels: ["the scene", "the truth"] + names, rowLabels: shown.map(\.word), rows: rows)])
      ])
  }

  private func factorSection() throws -> Report.Section {
    let factors = audits.first?.audits.map(\.factor) ?? []
    let table = Report.Table(
      caption: "How much of each factor a linear probe reads off, on scenes that it was not fitted to",
      header: ["factor", "measure", "without looking"] + audits.map(\.name),
      rows: factors.indices.map { f in
        let first = audits[0].audits[f]
        return [factors[f], first.isAccuracy ? "accuracy" : "R²", decimal(first.chance, 2)] + audits.map { decimal($0.audits[f].score, 2) }
      }, numeric: Set(2...audits.count + 2),
      note:
        "Ridge regression, \(FactorAudit.folds) folds, \(first(\.count)) scenes. With shuffled values the same probes reach \(decimal(shuffled.lowerBound, 2)) to \(decimal(shuffled.upperBound, 2)) (accuracy) and below 0 (R²)."
    )
    let scores = Report.Table(
      caption: "Does a principal component stand for one factor, and a factor for one component?",
      header: ["space", "disentanglement", "completeness", "mutual information gap"],
      rows: stride(from: 0, to: audits.count, by: 2).map { i in
        let d = audits[i].disentanglement
        return [audits[i].name, decimal(d.disentanglement, 3), decimal(d.completeness, 3), decimal(d.mig, 3)]
      }, numeric: [1, 2, 3],
      note:
        "0 to 1. DCI's D and C (Eastwood and Williams 2018) with mutual information as importance; MIG: Chen et al. 2018. Of the first ten components."
    )
    let matrices = stride(from: 0, to: audits.count, by: 2).map { i -> (name: String, figure: Figure, best: String) in
      let d = audits[i].disentanglement
      let (codes, count) = (d.information.count, d.factors.count)
      let best = d.factors.indices.map { f in (f, d.information.indices.max { d.information[$0][f] < d.information[$1][f] } ?? 0) }
        .max { d.information[$0.1][$0.0] < d.information[$1.1][$1.0] }
      return (
        audits[i].name,
        Figure(
          title: "What the components of \(audits[i].name) know", width: 540, height: Double(count) * 26 + 150,
          panels: [
            Panel(
              x: .categorical("principal component", (1...codes).map(String.init)), y: .categorical("", d.factors),
              marks: [
                .heatmap(
                  d.factors.indices.flatMap { f in d.information.map { $0[f] } }, rows: count, columns: codes,
                  colours: ColourScale(.viridis, "mutual information", unit: "nats"))
              ])
          ]),
        best.map { "component \($0.1 + 1) knows most of \(d.factors[$0.0])" } ?? "nothing stands out"
      )
    }
    return Report.Section(
      title: "What latents and h-space know of the scenes",
      shows: "Whether the factors that made a scene can be read off the model's spaces, and whether single directions stand for them.",
      limits: "A probe that succeeds shows that the information is there, not that the model uses it.",
      parts: [
        table, scores,
        Report.FigureRow(
          try matrices.map { try figure($0.figure, "Mutual information between each component and each factor.", alt: $0.best + ".") }),
      ])
  }

  private func first(_ value: (FactorAudit) -> Int) -> String { audits.first?.audits.first.map { grouped(value($0)) } ?? "0" }
  private var shuffled: ClosedRange<Double> {
    let all = audits.flatMap { $0.audits.filter(\.isAccuracy).map(\.shuffled) }
    return (all.min() ?? 0)...(all.max() ?? 0)
  }

  private func againSection(_ seconds: Double) throws -> Report.Section {
    Report.Section(
      title: "How to make it again",
      shows: "The command, the scenes and the model.",
      limits: "Bit for bit the same needs the same build, processor and number of threads; otherwise results agree to rounding.",
      parts: [
        Report.Reproduction(
          command: CommandLine.commandLine,
          plan: [
            ("scenes to choose on", "seed \(verb.seed &* 2), \(grouped(verb.validation)) scenes"),
            ("scenes to score on", "seed \(verb.seed &* 2 &+ 1), \(grouped(verb.scenes)) scenes, \(grouped(league.cases.count)) objects"),
            ("timesteps", settings.timesteps.map(String.init).joined(separator: ", ")), ("seed of the noise", "\(settings.seed)"),
            ("noise levels of the information", "\(settings.informationSamples)"),
            ("size of maps and masks", "\(size.height) × \(size.width)"),
            ("layers of sdlab's method", layers.paths.joined(separator: ", ")),
          ],
          digests: [("weights of \(source.displayName)", try ModelDigest.of(source, quiet: verb.report.quiet))],
          versions: [("sdlab", Sdlab.version)], timings: timings)
      ])
  }
}
