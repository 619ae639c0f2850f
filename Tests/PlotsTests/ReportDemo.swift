import Foundation

@testable import Plots

/// A document that has every part of a report once, from made-up data: what the browser test opens.
struct ReportDemo {
  /// The prompt and every text that a stranger could write; hostile in the tests of escaping.
  var text = ""
  var prompt: String { text.isEmpty ? "a red house next to a green tree at night" : text }
  /// `base`, or the hostile text in its place.
  func slot(_ base: String) -> String { text.isEmpty ? base : base + text }

  static let size = 64
  static let cells = 16
  static let steps = 12
  static let places: [(noun: String, x: Double, y: Double, spread: Double, mass: Double)] = [
    ("red", 0.36, 0.52, 0.16, 0.9), ("house", 0.36, 0.5, 0.18, 1.0), ("green", 0.72, 0.45, 0.13, 0.55), ("tree", 0.72, 0.5, 0.15, 0.18),
    ("night", 0.5, 0.12, 0.4, 0.6),
  ]

  func report() throws -> Report {
    Report(
      title: slot("What the model did with eight words"),
      lead: slot("One picture of the small model that comes with sdlab, and what could be read inside it while it was made."),
      sections: [
        try opening(), try words(), try looking(), try lying(), try between(), again(),
      ])
  }

  private func section(_ title: String, _ shows: String, _ limits: String, _ parts: [any Report.Part]) -> Report.Section {
    Report.Section(title: slot(title), shows: slot(shows), limits: slot(limits), parts: parts)
  }

  // MARK: Sections

  private func opening() throws -> Report.Section {
    let picture = try picture(noise: 0, alt: "A red disc on a brown ground under a pale sky")
    let hero = Report.Hero(
      prompt: prompt, negative: slot("blurred, grey"), pictures: [picture],
      facts: [
        ("model", slot("scenes, 11 million parameters")), ("sampler", "ddim, 12 steps"), ("guidance", "4"), ("seed", "42"),
        (slot("size"), "64 x 64"),
      ])
    let steps = (0..<Self.steps).map { "step \($0 + 1), t = \(999 - 80 * $0)" }
    func frames(_ scale: Double, _ what: String) throws -> [Report.Picture] {
      try (0..<Self.steps).map { i in
        try self.picture(noise: scale * pow(1 - Double(i + 1) / Double(Self.steps), 0.8), alt: "\(what) at \(steps[i])")
      }
    }
    let film = Report.Film(
      title: slot("How the picture comes out of the noise"), steps: steps.map(slot),
      rows: [
        .init(label: slot("latents"), note: slot("first three channels"), frames: try frames(1, "Latents")),
        .init(label: "predicted x₀", frames: try frames(0.6, "Predicted picture")),
        .init(label: "decoded", frames: try frames(0.8, "Decoded picture")),
      ],
      figures: [try curve("Norm of the latents", "The norm falls from 32 to 24 over the steps.", falling: true)])
    return section(
      "The picture", "The picture, its prompt, and how it came out of the noise.",
      "Why it came out so; that needs interventions, further down.",
      [hero, Report.Heading(slot("From noise to picture")), film])
  }

  private func words() throws -> Report.Section {
    let tokens = text.isEmpty ? prompt.split(separator: " ").map(String.init) : [text, "house", "green", "tree"]
    var list = [Report.WordMaps.Word("<BOS>", special: true)]
    for word in tokens {
      let flag: Report.WordMaps.Flag? =
        word == "tree"
        ? .init(
          .neglected, title: slot("neglected"),
          text: slot("Its highest value is 0.18 of the strongest word's (Attend-and-Excite statistic 0.82)."))
        : word == "next"
          ? .init(
            .untrusted, title: slot("not to be trusted"), text: slot("The map does not beat the map of an absent word: 0.11 against 0.14."))
          : nil
      list.append(.init(word, flag: flag))
    }
    list.append(.init("<EOS>", special: true))
    func group(_ name: String, _ cells: Int, sharpness: Double) -> Report.WordMaps.Group {
      var steps: [Float] = []
      for step in 0..<Self.steps {
        for word in list.indices { steps += map(list[word].text, index: word, step: step, cells: cells, sharpness: sharpness) }
      }
      let size = cells * cells * list.count
      let total = (0..<size).map { i in (0..<Self.steps).reduce(Float(0)) { $0 + steps[$1 * size + i] } }
      return .init(name: slot(name), height: cells, width: cells, total: total, steps: steps)
    }
    let maps = Report.WordMaps(
      title: slot("A map for each word"), picture: try picture(noise: 0, alt: slot("The picture that the maps lie over")), words: list,
      steps: (0..<Self.steps).map { slot("step \($0 + 1), t = \(999 - 80 * $0)") },
      groups: [group("all layers", 16, sharpness: 1), group("down, 16 x 16", 16, sharpness: 0.7), group("up, 8 x 8", 8, sharpness: 1.3)],
      palette: try Self.palette(), unit: slot("attention, summed over the steps"))
    return section(
      "A map for each word", "Where each word of the prompt drew the attention of the picture's places.",
      "Whether the word caused what is there: attention is where the network looked, not what it did.",
      [
        Report.Prose([
          [
            "Point at a word, or walk along the words with the ", .code("Tab"), " key. One scale for all words makes a word that has ",
            .emphasis("no"), " place look like one.",
          ]
        ]),
        maps,
        Report.Callout(
          .warning, title: slot("One word is neglected"), text: slot("The tree drew less attention than a word that is not in the prompt.")),
        Report.FigureRow([
          try curve("Attention entropy", "Entropy falls over the steps.", falling: true),
          try curve("Share of BOS", "The share of BOS rises.", falling: false),
        ]),
      ])
  }

  private func looking() throws -> Report.Section {
    func group(_ name: String, _ cells: Int) -> Report.SelfAttention.Group {
      var values: [Float] = []
      let n = cells * cells
      for q in 0..<n {
        let (qy, qx) = (Double(q / cells), Double(q % cells))
        var row = (0..<n).map { k in
          let d = pow(Double(k / cells) - qy, 2) + pow(Double(k % cells) - qx, 2)
          let mirror = pow(Double(k / cells) - qy, 2) + pow(Double(k % cells) - (Double(cells) - 1 - qx), 2)
          return Float(exp(-d / 6) + 0.45 * exp(-mirror / 10) + 0.01)
        }
        let sum = row.reduce(0, +)
        for i in row.indices { row[i] /= sum }
        values += row
      }
      return .init(name: slot(name), height: cells, width: cells, values: values)
    }
    let part = Report.SelfAttention(
      title: slot("What a place looks at"), picture: try picture(noise: 0, alt: "The picture that is looked over"),
      groups: [group("16 x 16, mean over heads and steps", 16), group("8 x 8", 8)], palette: try Self.palette())
    return section(
      "What a place looks at", "For any place of the picture, the other places that it takes from.",
      "The order in which things were decided.",
      [
        part,
        Report.Callout(
          .note, title: slot("Rows sum to 1"),
          text: slot("A weight of 0.0039 everywhere would mean that a place looks nowhere in particular.")),
      ])
  }

  private func lying() throws -> Report.Section {
    let n = 1100
    var random = Stream(seed: 7)
    let nouns = ["house", "tree", "cat", "boat", "moon", "cloud", "square", "circle", "mushroom", "star"]
    let colours = ["red", "green", "blue", "yellow", "purple", "orange"]
    let hex = ["#d0342c", "#46965a", "#2c7bb6", "#f0b428", "#825aaa", "#e6783c"]
    let settings = ["meadow", "sea", "snow", "night"]
    let noun = (0..<n).map { _ in Int(random.uniform() * 10) % 10 }
    let colour = (0..<n).map { _ in Int(random.uniform() * 6) % 6 }
    let setting = (0..<n).map { _ in Int(random.uniform() * 4) % 4 }
    func cloud(_ spread: Double, _ turn: Double) -> (x: [Float], y: [Float]) {
      var (x, y): ([Float], [Float]) = ([], [])
      for i in 0..<n {
        let a = Double(setting[i]) * 1.57 + turn
        let b = Double(colour[i]) * 1.05
        x.append(Float(6 * cos(a) + 1.8 * cos(b) + spread * random.normal()))
        y.append(Float(6 * sin(a) + 1.8 * sin(b) + spread * random.normal()))
      }
      return (x, y)
    }
    var projections: [Report.Scatter.Projection] = []
    for (k, (method, space)) in [
      ("PCA", "latents"), ("t-SNE", "latents"), ("UMAP", "latents"), ("PCA", "h-space"), ("t-SNE", "h-space"), ("PCA", "text"),
    ].enumerated() {
      let (x, y) = cloud(0.6 + 0.15 * Double(k), 0.4 * Double(k))
      let path = (0..<Self.steps).map { Double($0) / Double(Self.steps - 1) }
      projections.append(
        .init(
          method: method, space: slot(space), x: x, y: y,
          xLabel: slot(method == "PCA" ? "component 1 (31.4 % of the variance)" : "\(method) 1"),
          yLabel: slot(method == "PCA" ? "component 2 (18.2 %)" : "\(method) 2"),
          note: method == "PCA" ? "" : slot("Distances between clusters carry no meaning here; neighbourhoods do. Seed 42."),
          marks: [.init(slot("this picture"), x: 4.2, y: 3.1)],
          trajectories: method == "PCA"
            ? [
              .init(
                label: slot("seed 42"), x: path.map { Float(4.2 * $0) }, y: path.map { Float(-1 + 4.1 * $0 * $0) },
                steps: (1...Self.steps).map { "step \($0)" }),
              .init(
                label: "seed 43", x: path.map { Float(-5 * $0) }, y: path.map { Float(-1 - 3 * $0) },
                steps: (1...Self.steps).map { slot("step \($0)") }),
            ] : [],
          scores: [
            (slot("trustworthiness"), "0.97\(k)"), ("continuity", "0.96\(k)"),
            method == "t-SNE" ? ("KL divergence", "0.8\(k)") : ("explained variance", method == "PCA" ? "0.50" : "–"),
          ]))
    }
    let scatter = Report.Scatter(
      title: slot("Where this picture lies"), projections: projections,
      factors: [
        .init(name: slot("setting"), categories: settings.map(slot), values: setting), .init(name: "noun", categories: nouns, values: noun),
        .init(name: "colour", categories: colours, values: colour, colours: hex),
      ],
      captions: (0..<n).map { slot("a \(colours[colour[$0]]) \(nouns[noun[$0]]), \(settings[setting[$0]])") },
      sprite: .init(try sprite(colour: colour, setting: setting), tileWidth: 24, tileHeight: 24))
    return section(
      "Where this picture lies", "This picture among 1,100 others, in two dimensions of the network's own spaces.",
      "The true distances: two dimensions cannot keep them all, and the scores say how many neighbours they keep.", [scatter])
  }

  private func between() throws -> Report.Section {
    let ts = (0..<7).map { Double($0) / 6 }
    func mode(_ title: String, _ shift: Double) throws -> Report.ImageGrid.Mode {
      .init(
        title: slot(title), note: slot("Noise and guidance are the same in every picture."),
        columnLabels: ts.map { slot("t = \(String(format: "%.2f", $0))") },
        rowLabels: [slot("seed 42"), "seed 43"],
        rows: try (0..<2).map { row in
          try ts.map { t in
            row == 1 && t == 1
              ? nil
              : .init(
                try picture(
                  noise: 0.05 + shift * t * (1 - t), alt: slot("A frame at \(brief(t)), seed \(42 + row)"), hue: t > 0.5 ? 1 + row : row),
                value: slot("d = \(brief(0.02 + t * (1 - t)))"), seconds: 0.41 + t / 10)
          }
        }, figure: try curve("Distance between neighbours, \(title)", "One jump near the middle.", falling: false))
    }
    let grid = Report.ImageGrid(
      title: slot("From one prompt to the other"), columnAxis: slot("t"), rowAxis: slot("seed"),
      modes: [try mode("lerp", 0.2), try mode("slerp", 0.4), try mode("adaptive", 0.1)])
    let table = Report.Table(
      caption: slot("What each word does"), header: [slot("word"), "change", "rank correlation", "best control"],
      rows: [[slot("red"), "0.412", "0.81", "0.22"], ["house", "0.733", "0.77", "0.25"], ["next", "0.021", "0.09", "0.14"]],
      numeric: [1, 2, 3],
      note: slot("The change is the mean absolute difference of the pixels when the word is taken out, with the same noise."))
    return section(
      "Between two prompts", "Pictures on the way from one prompt to another, three ways to walk.",
      "That the way is straight for the eye: the curve beneath says where it jumps.", [grid, table])
  }

  private func again() -> Report.Section {
    section(
      "How to make it again", "The command, the plan and the digests of everything that went in and came out.",
      "Agreement to the bit on another processor or with another number of threads; there it agrees to rounding.",
      [
        Report.Reproduction(
          command: "sdlab explore \"\(prompt)\" --seed 42 -o report.html",
          plan: [
            (slot("sampler"), slot("ddim, leading spacing")), ("steps", "12"), ("guidance", "4"), ("seeds", "42, 43"),
            ("generator", "torch, CPU (MT19937)"),
          ],
          digests: [(slot("unet"), String(repeating: "3fa9c1d2", count: 8)), ("picture", String(repeating: "90be77a4", count: 8))],
          versions: [
            ("sdlab", "0.2.0"), (slot("Swift"), slot("6.3")), ("processor", "AMD EPYC, 2 threads"), ("licence of the model", "MIT"),
          ],
          timings: [(slot("load"), 0.31), ("generate", 1.9), ("attention", 3.4), ("project", 12.25), ("interpolate", 9.1), ("report", 0.6)]),
        Report.Code(slot("import Engine\nlet model = try StableDiffusion(…)"), label: slot("The same in Swift")),
        Report.Prose([[.strong(slot("Weights")), .text(slot(": as they came"))], [.text("Pictures: by their digests")]], list: true),
      ])
  }

  // MARK: Data

  /// A picture of the world with some noise in it, 0 to 1.
  private func picture(noise: Double, alt: String, hue: Int = 0) throws -> Report.Picture {
    let clean = try scene(hue, width: Self.size, height: Self.size)
    guard noise > 0 else { return try Report.Picture(clean, alt: alt) }
    var random = Stream(seed: UInt64(hue + 1))
    let pixels = clean.pixels.map { p in UInt8(max(0, min(255, Double(p) * (1 - noise) + noise * (128 + 70 * random.normal())))) }
    return try Report.Picture(RGBImage(width: Self.size, height: Self.size, pixels: pixels), alt: alt)
  }

  private func map(_ word: String, index: Int, step: Int, cells: Int, sharpness: Double) -> [Float] {
    let known = Self.places.first { $0.noun == word }
    let mass = word == "<BOS>" ? 3 : known?.mass ?? 0.12
    let (cx, cy) = (known?.x ?? 0.5 + 0.3 * sin(Double(index)), known?.y ?? 0.5 + 0.3 * cos(Double(index)))
    let spread = (known?.spread ?? 0.5) * (1.5 - 0.7 * Double(step) / Double(Self.steps)) / sharpness
    return (0..<cells * cells).map { i in
      let x = (Double(i % cells) + 0.5) / Double(cells) - cx
      let y = (Double(i / cells) + 0.5) / Double(cells) - cy
      return Float(0.02 * mass * exp(-(x * x + y * y) / (2 * spread * spread)) + 0.001)
    }
  }

  private func sprite(colour: [Int], setting: [Int]) throws -> Report.Picture {
    let (tile, columns) = (24, 32)
    let rows = (colour.count + columns - 1) / columns
    var pixels = [UInt8](repeating: 0, count: 3 * tile * tile * columns * rows)
    let tiles = try (0..<6).map { try scene($0, width: tile, height: tile) }
    for i in colour.indices {
      for y in 0..<tile {
        let to = 3 * (((i / columns) * tile + y) * columns * tile + (i % columns) * tile)
        for x in 0..<3 * tile { pixels[to + x] = tiles[colour[i]].pixels[3 * tile * y + x] / (setting[i] == 3 ? 2 : 1) }
      }
    }
    return try Report.Picture(RGBImage(width: tile * columns, height: tile * rows, pixels: pixels), alt: "All scenes of the reference set")
  }

  private func curve(_ title: String, _ finding: String, falling: Bool) throws -> Report.Figure {
    func svg(ink: String, quiet: String, line: String, accent: String) -> String {
      let points = (0..<40).map { i -> String in
        let t = Double(i) / 39
        return String(format: "%.1f,%.1f", 46 + 300 * t, 20 + 120 * (falling ? 1 - exp(-3 * t) : exp(-3 * t)))
      }
      return """
        <svg xmlns="http://www.w3.org/2000/svg" width="360" height="190" viewBox="0 0 360 190" font-family="sans-serif" font-size="11">
        <g stroke="\(line)"><path d="M46 20H350M46 80H350M46 140H350"/></g>
        <polyline points="\(points.joined(separator: " "))" fill="none" style="stroke: \(accent); stroke-width: 2"/>
        <g fill="\(quiet)"><text x="38" y="24" text-anchor="end">32</text><text x="38" y="144" text-anchor="end">24</text><text x="198" y="172" text-anchor="middle">step</text></g>
        <text x="46" y="11" fill="\(ink)">\(title.prefix(40).filter { $0.isLetter || $0 == " " })</text></svg>
        """
    }
    return Report.Figure(
      light: .svg(svg(ink: "#1c2126", quiet: "#575f67", line: "#dedad3", accent: "#1d5c99")),
      dark: .svg(svg(ink: "#e7e9eb", quiet: "#a5adb5", line: "#343b42", accent: "#86b9ea")), caption: slot("\(title). \(finding)"),
      alt: slot("\(title): \(finding)"))
  }

  /// Dark violet to yellow, by four points: a stand-in for the plotting library's palettes.
  static func palette() throws -> ReportPalette {
    let stops: [[Double]] = [[13, 8, 40], [120, 28, 110], [229, 92, 48], [252, 255, 164]]
    var rgb: [UInt8] = []
    for i in 0..<256 {
      let at = Double(i) / 255 * 3
      let k = min(2, Int(at))
      for c in 0..<3 { rgb.append(UInt8(stops[k][c] + (stops[k + 1][c] - stops[k][c]) * (at - Double(k)))) }
    }
    return try ReportPalette(rgb: rgb)
  }
}

/// SplitMix64 and Box-Muller: the same numbers everywhere.
private struct Stream {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func uniform() -> Double {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return Double((z ^ (z >> 31)) >> 11) / 9_007_199_254_740_992
  }
  mutating func normal() -> Double { (-2 * log(1 - uniform())).squareRoot() * cos(2 * .pi * uniform()) }
}
