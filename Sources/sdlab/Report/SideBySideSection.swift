import Analysis
import Engine
import Foundation
import Plots

extension ReportStudy {
  /// Name and value of everything that decides what a run shows.
  private static func settings(_ run: RunFolder) -> [(name: String, value: String)] {
    let m = run.manifest
    let p = m.spec.parameters
    func named(_ source: GenerationParameters.Source?) -> String {
      source.map { [$0.name, $0.sha256.map { String($0.prefix(8)) }].compactMap { $0 }.joined(separator: ", ") } ?? "none"
    }
    let changes = m.spec.intervention.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "; ")
    return [
      ("prompt", p.prompt), ("negative prompt", p.negativePrompt.isEmpty ? "none" : p.negativePrompt),
      ("what was changed", changes.isEmpty ? "nothing" : changes),
      ("model", "\(p.model.name), \(m.modelSha256.prefix(8))"), ("VAE", p.vae.map { named($0) } ?? "the model's"),
      ("sampler", p.sampler), ("steps", "\(m.timesteps.count)"), ("guidance", decimal(p.guidance, 2)), ("seed", "\(p.seed)"),
      ("images", "\(p.count)"), ("size", "\(p.width) × \(p.height)"), ("eta", decimal(p.eta, 2)), ("clip skip", "\(p.clipSkip)"),
      ("initial picture", named(p.initImage)), ("strength", p.strength.map { decimal($0, 2) } ?? "none"), ("mask", named(p.mask)),
      ("initial latents", named(p.initLatents)), ("inversion", named(p.inversion)), ("steps left out", p.skip.map { "\($0)" } ?? "none"),
      ("emphasis", p.emphasis), ("long prompt", p.longPrompt), ("generator", p.rng),
      ("spacing", p.spacing ?? "the model's"), ("Karras", p.karras.map { $0 ? "yes" : "no" } ?? "the model's"),
      ("prediction", p.prediction ?? "the model's"), ("made with", "sdlab \(p.sdlabVersion), \(m.instructionSet), \(m.threads) threads"),
    ]
  }

  /// The pictures beside each other, what differs between the runs and how different they came out.
  func sideBySide() throws -> Report.Section {
    let settings = views.map { Self.settings($0.folder) }
    let differing = settings[0].indices.filter { i in Set(settings.map { $0[i].value }).count > 1 }
    let pictures = try zip(views, names).map { view, name -> Report.ImageGrid.Cell? in
      .init(try Report.Picture(RGBImage(view.picture), alt: "run \(name): the picture made of “\(view.prompt.text)”"))
    }
    var parts: [any Report.Part] = [
      Report.ImageGrid(
        title: "the pictures of the runs", columnAxis: "run", rowAxis: "",
        modes: [.init(columnLabels: zip(names, views).map { "\($0): \($1.folder.manifest.id)" }, rowLabels: ["picture"], rows: [pictures])])
    ]
    if differing.isEmpty {
      parts.append(
        Report.Callout(.note, title: "Nothing differs", text: "The runs have the same parameters; only what they kept may differ."))
    } else {
      parts.append(
        Report.Table(
          caption: "What differs", header: ["parameter"] + names,
          rows: differing.map { i in [settings[0][i].name] + settings.map { $0[i].value } }))
    }
    // What nobody asked for goes without saying.
    let unsaid: Set<String> = ["none", "nothing", "the model's"]
    let same = settings[0].indices.filter { !differing.contains($0) && !unsaid.contains(settings[0][$0].value) }
    parts.append(
      Report.Prose([
        [.strong("The same in all: ")] + [
          .text(same.map { "\(settings[0][$0].name) \(settings[0][$0].value)" }.joined(separator: "; ") + ".")
        ]
      ]))
    parts += try distances()
    return Report.Section(
      title: "Side by side",
      shows: "The pictures of the runs, the parameters that differ between them, and how different the results are.",
      limits: "Distances are colour differences in CIELAB over several scales, not meaning; single runs are cases, not a rule.",
      parts: parts)
  }

  /// Distances between the pictures, and the change of the prediction over the timesteps.
  private func distances() throws -> [any Report.Part] {
    var parts: [any Report.Part] = []
    let sizes = Set(views.map { [$0.picture.width, $0.picture.height] })
    if sizes.count == 1 {
      let table = try views.map { a in try views.map { b in try PictureDistance.between(a.picture, b.picture) } }
      parts.append(
        Report.Table(
          caption: "Distance between the pictures", header: ["run"] + names,
          rows: zip(names, table).map { name, row in [name] + row.map { decimal($0, 1) } }, numeric: Set(1...names.count),
          note: "Root mean square colour difference in CIELAB, mean over scales: 0 for equal pictures, about 100 between black and white."))
    } else {
      parts.append(
        Report.Callout(.note, title: "No distances", text: "The pictures have different sizes and cannot be compared by pixels."))
    }
    var marks: [Mark] = []
    var last: [String] = []
    for (view, name) in zip(views, names) {
      let predictions = try view.folder.predictions().map { $0.slice(view.image..<view.image + 1) }
      let change = zip(predictions, predictions.dropFirst()).map { a, b in
        let d = b - a
        return (d.withUnsafeBuffer { $0.reduce(0.0) { $0 + Double($1 * $1) } } / Double(max(1, d.count))).squareRoot()
      }
      guard !change.isEmpty else { continue }
      marks.append(.line(Array(view.folder.manifest.timesteps.dropFirst().prefix(change.count)), change, label: name))
      last.append("\(name) \(decimal(change.max() ?? 0, 2))")
    }
    guard !marks.isEmpty else { return parts }
    let figure = Figure(
      title: "When the pictures are decided", subtitle: "root mean square change of predicted x0 from step to step", width: 540,
      panels: [Panel(x: .linear("timestep", reversed: true), y: .linear("change", zero: true), marks: marks)])
    parts.append(
      try Report.figure(
        figure, caption: "How much what the network takes for the finished latents changes, from noise (left) to picture (right).",
        alt: "Largest changes: \(last.joined(separator: ", "))."))
    return parts
  }

  /// The words' maps beside each other on one scale, where two runs or more kept their cross-attention.
  func wordsSideBySide() throws -> Report.Section? {
    let kept = zip(views, names).filter { $0.0.attention != nil }
    guard kept.count > 1 else { return nil }
    var words: [String] = []
    for (view, _) in kept {
      for word in view.prompt.distinctWords where !words.contains(where: { $0.lowercased() == word.lowercased() }) { words.append(word) }
    }
    words = Array(words.prefix(24))
    // Divided by the calls: runs of different numbers of steps have one scale then.
    var maps: [[(values: [Float], share: Double)?]] = []
    for (view, _) in kept {
      guard let recorder = view.attention else { continue }
      let tokens = TokenMaps(try DAAM(recorder, image: view.image, latents: view.folder.latents))
      let calls = Float(max(1, recorder.calls))
      maps.append(
        try words.map { word in
          guard let own = view.prompt.distinctWords.first(where: { $0.lowercased() == word.lowercased() }) else { return nil }
          let map = try tokens.word(own, try view.prompt.places(of: own))
          return (map.values.map { $0 / calls }, map.share)
        })
    }
    let largest = maps.joined().compactMap { $0?.values.max() }.max() ?? 1
    let rows = try words.indices.map { w in
      try kept.indices.map { r -> Report.ImageGrid.Cell? in
        guard let map = maps[r][w] else { return nil }
        let size = kept[r].0.folder.latents
        return .init(
          try Report.Picture(
            colouredMap(map.values, size, .inferno, 0...max(largest, 1e-6), magnified: max(1, 128 / max(1, size.width))),
            alt: "the map of “\(words[w])” in run \(kept[r].1)"),
          value: "\(decimal(100 * map.share, 1)) %")
      }
    }
    return Report.Section(
      title: "The words side by side",
      shows: "The map of each word in each run that kept its cross-attention: DAAM's definition divided by the calls, one scale for all.",
      limits: "A word in two prompts is told to the network in two ways: the text encoder mixes what stands before it into it.",
      parts: [
        Report.ImageGrid(
          title: "maps of the words", columnAxis: "run", rowAxis: "word",
          modes: [
            .init(
              title: "", note: "The percentage is the word's share of all attention. A dash: the word is not in the run's prompt.",
              columnLabels: kept.map(\.1), rowLabels: words, rows: rows)
          ])
      ])
  }
}
