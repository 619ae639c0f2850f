import Foundation

@testable import Plots

/// The figures that sdlab needs, from made-up numbers: what the picture tests and the layout tests draw.
enum Example {
  /// A generator of its own: the same numbers everywhere.
  struct Noise {
    var state: UInt64
    mutating func uniform() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) / Double(1 << 53)
    }
    mutating func normal() -> Double { sqrt(-2 * log(max(uniform(), 1e-12))) * cos(2 * .pi * uniform()) }
  }

  static func all() throws -> [(name: String, figure: Figure)] {
    [
      ("curves", curves()), ("scatter", scatter()), ("thumbnails", try thumbnails()), ("scree", scree()), ("entropy", entropy()),
      ("overlays", try overlays()), ("bars", bars()), ("distances", distances()), ("pictures", try pictures()),
      ("trajectories", trajectories()), ("field", field()), ("times", times()),
    ]
  }

  static func curves() -> Figure {
    let steps = (0..<50).map { Double($0) }
    let norm = steps.map { 64 - 30 * pow($0 / 49, 1.4) }
    let predicted = steps.map { 20 + 16 * (1 - exp(-$0 / 9)) }
    let snr = steps.map { pow(10, -2.2 + 5 * $0 / 49) }
    return Figure(
      title: "The picture grows out of the noise", subtitle: "a red house next to a green tree at night, seed 42, 50 steps",
      note: "Band: 5th to 95th percentile of 16 seeds.", columns: 2, width: 720,
      panels: [
        Panel(
          "Norms", x: .linear("step"), y: .linear("norm of the latent", zero: true),
          marks: [
            .line(steps, norm, band: (norm.map { $0 * 0.93 }, norm.map { $0 * 1.06 }), label: "latent"),
            .line(steps, predicted, band: (predicted.map { $0 * 0.9 }, predicted.map { $0 * 1.1 }), label: "predicted picture"),
          ]),
        Panel(
          "Signal to noise", x: .linear("step"), y: .log("signal to noise"),
          marks: [.line(steps, snr), .reference(y: 1, label: "as much signal as noise")]),
      ])
  }

  static let settings = ["meadow", "beach", "night", "snow", "city"]

  static func clusters(_ count: Int, seed: UInt64 = 7) -> (x: [Double], y: [Double], category: [Int]) {
    var noise = Noise(state: seed)
    let centres = [(-18.0, 6.0), (12.0, 14.0), (4.0, -15.0), (22.0, -6.0), (-9.0, -11.0)]
    var out: (x: [Double], y: [Double], category: [Int]) = ([], [], [])
    for i in 0..<count {
      let c = i % centres.count
      out.x.append(centres[c].0 + noise.normal() * 4.2)
      out.y.append(centres[c].1 + noise.normal() * 3.1)
      out.category.append(c)
    }
    return out
  }

  static func scatter() -> Figure {
    let p = clusters(1000)
    return Figure(
      title: "Where pictures lie", subtitle: "mean latents of 1,024 scenes, coloured by setting",
      note: "Distances between clusters carry no meaning.",
      panels: [
        Panel(
          x: .linear("PC 1 (23.4 %)"), y: .linear("PC 2 (11.8 %)"), equalUnits: true,
          marks: [.points(p.x, p.y, categories: p.category, names: settings)])
      ])
  }

  static func thumbnails() throws -> Figure {
    let p = clusters(160)
    let images = try p.category.map { try scene($0, width: 32, height: 32) }
    return Figure(
      title: "The same map with pictures",
      panels: [
        Panel(
          x: .linear("t-SNE 1"), y: .linear("t-SNE 2"), equalUnits: true,
          marks: [.thumbnails(p.x, p.y, images, side: 24, categories: p.category, names: settings)])
      ])
  }

  static func scree() -> Figure {
    let share = (0..<16).map { 23.4 * exp(-Double($0) / 3.2) + 0.4 }
    var sum = 0.0
    let total = share.map { v -> Double in
      sum += v
      return sum
    }
    let names = (1...16).map(String.init)
    return Figure(
      title: "Explained variance", width: 720,
      panels: [
        Panel("Each component", x: .categorical("component", names), y: .linear("explained variance", unit: "%"), marks: [.bars(share)]),
        Panel(
          "Together", x: .categorical("component", names), y: .linear("explained variance", unit: "%", domain: 0...100),
          marks: [.line((0..<16).map(Double.init), total, dots: true), .reference(y: 80, label: "80 %")]),
      ])
  }

  static func entropy() -> Figure {
    let layers = [
      "down_blocks.0.attentions.0", "down_blocks.0.attentions.1", "down_blocks.1.attentions.0", "mid_block.attentions.0",
      "up_blocks.1.attentions.0", "up_blocks.1.attentions.1", "up_blocks.2.attentions.0", "up_blocks.2.attentions.1",
    ]
    var values: [Double] = []
    var change: [Double] = []
    for l in 0..<8 {
      for h in 0..<8 {
        let wave = sin(Double(l) * 0.9) * cos(Double(h) * 1.3)
        values.append(1.2 + 1.4 * wave + 0.1 * Double(l))
        change.append(0.8 * sin(Double(l * h) * 0.4) - 0.2)
      }
    }
    return Figure(
      title: "How widely each head looks", subtitle: "entropy of the attention probabilities, mean over pixels", width: 860,
      panels: [
        Panel(
          x: .categorical("head", (0..<8).map(String.init)), y: .categorical("layer", layers),
          marks: [.heatmap(values, rows: 8, columns: 8, colours: ColourScale(.viridis, "entropy", unit: "nats"), written: true)]),
        Panel(
          x: .categorical("head", (0..<8).map(String.init)), y: .categorical("layer", (0..<8).map { "layer \($0)" }),
          marks: [.heatmap(change, rows: 8, columns: 8, colours: ColourScale(.redBlue, "change since the first step", unit: "nats"))]),
      ])
  }

  static func blob(_ cx: Double, _ cy: Double, rows: Int, columns: Int, peak: Double) -> [Double] {
    (0..<rows).flatMap { r in
      (0..<columns).map { c in
        let dx = (Double(c) + 0.5) / Double(columns) - cx
        let dy = (Double(r) + 0.5) / Double(rows) - cy
        return peak * exp(-(dx * dx + dy * dy) / 0.03)
      }
    }
  }

  static func overlays() throws -> Figure {
    let image = try scene(1, width: 96, height: 64)
    let words: [(String, [Double])] = [
      ("a", [Double](repeating: 0.04, count: 96)), ("blue", blob(0.45, 0.48, rows: 8, columns: 12, peak: 0.7)),
      ("ball", blob(0.45, 0.5, rows: 8, columns: 12, peak: 0.95)), ("ground", blob(0.5, 0.9, rows: 8, columns: 12, peak: 0.5)),
    ]
    return Figure(
      title: "Where each word acts", subtitle: "DAAM, all layers, 50 steps, one scale for all words", width: 760, commonColours: true,
      panels: [Panel.picture("picture", marks: [.image(image)])]
        + words.map { word, map in
          Panel.picture(
            "“\(word)”",
            marks: [
              .overlay(
                image, map, rows: 8, columns: 12, colours: ColourScale(.inferno, "attention", domain: 0...1),
                contours: word == "ball" ? [0.4] : [])
            ])
        })
  }

  static func bars() -> Figure {
    let methods = ["DAAM", "OVAM", "prompt-to-prompt", "self-attention refined", "gradient × input", "centre blob", "random"]
    let a = [0.52, 0.55, 0.47, 0.61, 0.38, 0.29, 0.17]
    let b = [0.48, 0.50, 0.44, 0.57, 0.41, 0.29, 0.16]
    func around(_ v: [Double]) -> (low: [Double], high: [Double]) { (v.map { $0 - 0.04 }, v.map { $0 + 0.03 }) }
    return Figure(
      title: "Which map finds the object", subtitle: "mean IoU at the best fixed threshold", note: "Whiskers: 95 % bootstrap, n = 512.",
      width: 860,
      panels: [
        Panel(
          x: .categorical("", methods), y: .linear("mean IoU"),
          marks: [
            .bars(a, interval: around(a), label: "nouns"), .bars(b, interval: around(b), label: "colours"),
            .reference(y: 0.17, label: "chance"),
          ]),
        Panel(
          x: .linear("mean IoU"), y: .categorical("", methods), marks: [.bars(a, interval: around(a), horizontal: true, values: true)]),
      ])
  }

  static func distances() -> Figure {
    let frames = (0..<16).map(Double.init)
    let lerp = frames.map { 0.08 + 0.5 * exp(-pow(($0 - 7.5) / 1.6, 2)) }
    let adaptive = frames.map { 0.2 + 0.012 * sin($0 * 2) }
    return Figure(
      title: "How far neighbours are apart", width: 520,
      panels: [
        Panel(
          x: .linear("frame"), y: .linear("distance of neighbours", zero: true),
          marks: [.line(frames, lerp, label: "lerp", dots: true), .line(frames, adaptive, label: "adaptive", dots: true)])
      ])
  }

  static func pictures() throws -> Figure {
    let images = try (0..<3).map { r in try (0..<4).map { c -> RGBImage? in r == 2 && c == 3 ? nil : try scene(r + 2 * c) } }
    let captions = (0..<3).map { r in (0..<4).map { c in "CLIP 0.\(21 + 3 * r + c) · 1.\(c) s" } }
    return Figure(
      title: "Guidance and sampler",
      panels: [
        Panel.pictures(
          images: images, captions: captions, columnName: "guidance", columns: ["1", "3.25", "5.5", "7.75"], rowName: "sampler",
          rows: ["ddim", "euler-a", "dpmpp-2m-karras"])
      ])
  }

  static func trajectories() -> Figure {
    let p = clusters(400)
    func path(_ phase: Double) -> (x: [Double], y: [Double]) {
      let t = (0..<30).map { Double($0) / 29 }
      return (t.map { -2 + 20 * $0 * cos(phase + $0) }, t.map { 1 + 13 * $0 * sin(phase + 1.5 * $0) })
    }
    let (a, b, c) = (path(0), path(2.2), path(4))
    return Figure(
      title: "Paths of three seeds", subtitle: "through the projection of the final latents",
      panels: [
        Panel(
          x: .linear("PC 1 (23.4 %)"), y: .linear("PC 2 (11.8 %)"), equalUnits: true,
          marks: [
            .points(p.x, p.y, colour: .quiet, radius: 2, opacity: 0.3), .trajectory(a.x, a.y, label: "seed 1"),
            .trajectory(b.x, b.y, label: "seed 2"), .trajectory(c.x, c.y, label: "seed 3"),
            .text([a.x[29], b.x[29], c.x[29]], [a.y[29], b.y[29], c.y[29]], ["house", "tree", "night"], anchor: .right),
          ])
      ])
  }

  static func field() -> Figure {
    let (rows, columns) = (24, 36)
    var values: [Double] = []
    for r in 0..<rows { for c in 0..<columns { values.append(1.5 * sin(Double(c) * 0.25) * cos(Double(r) * 0.3)) } }
    var grid: (x: [Double], y: [Double], dx: [Double], dy: [Double]) = ([], [], [], [])
    for r in 0..<6 {
      for c in 0..<9 {
        let (x, y) = (Double(c) * 4 + 2, Double(r) * 4 + 2)
        grid.x.append(x)
        grid.y.append(y)
        grid.dx.append(2 * cos(x * 0.25) * cos(y * 0.3))
        grid.dy.append(-2 * sin(x * 0.25) * sin(y * 0.3))
      }
    }
    let points = clusters(300)
    return Figure(
      title: "A field", width: 720,
      panels: [
        Panel(
          "Contours and arrows", x: .linear("x", unit: "px"), y: .linear("y", unit: "px", reversed: true),
          marks: [
            .heatmap(values, rows: rows, columns: columns, colours: ColourScale(.redBlue, "potential", unit: "V")),
            .contours(values, rows: rows, columns: columns, levels: [-1, -0.5, 0.5, 1], colour: .fixed(Colour(0x202020))),
            .arrows(grid.x, grid.y, dx: grid.dx, dy: grid.dy, colour: .fixed(Colour(0x202020))),
          ]),
        Panel(
          "Points by value", x: .linear("PC 1"), y: .linear("PC 2"),
          marks: [.points(points.x, points.y, values: points.y.map { $0 * 1e-5 }, colours: ColourScale(.cividis, "height", unit: "m"))]),
      ])
  }

  static func times() -> Figure {
    let start = 1_790_000_000.0
    let t = (0..<200).map { start + Double($0) * 40 }
    return Figure(
      title: "Memory while exploring", width: 520, height: 300,
      panels: [
        Panel(
          x: .time("time (UTC)"), y: .linear("resident", unit: "bytes", zero: true),
          marks: [.line(t, t.indices.map { 1.2e9 + 5e8 * sin(Double($0) / 18) })])
      ])
  }
}
