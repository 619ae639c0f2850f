import Analysis
import Engine
import Foundation
import Plots

extension ExploreStudy {
  /// What lies between two prompts and between two seeds.
  mutating func betweenSection() throws -> Report.Section {
    let ends = try run.model.conditionings([prompt.text, other], run.request)
    let (a, b) = (ends[0], ends[1])
    let name = other.isEmpty ? "the empty prompt" : "“\(other)”"
    var modes: [Report.ImageGrid.Mode] = []
    for blending in [Blending.lerp, .slerp] {
      let ts = (0..<plan.frames).map { Double($0) / Double(max(1, plan.frames - 1)) }
      let frames = try ts.map { try frame(blending, a, b, $0) }
      modes.append(try mode(blending.rawValue, "equal steps of t", ts, frames))
    }
    // Equal steps to the eye: the frames are placed where the distance is.
    var made: [Double: Picture] = [:]
    let adaptive = try AdaptiveSpacing<Picture>(
      count: plan.frames, budget: plan.frames + plan.search,
      frames: { ts in
        try ts.map { t in
          let picture = try made[t] ?? frame(.lerp, a, b, t)
          made[t] = picture
          return picture
        }
      }, distance: { try PictureDistance.between($0, $1) })
    modes.append(
      try mode(
        "adaptive",
        adaptive.isEven
          ? "lerp, frames placed so that neighbours are equally far apart" : "lerp, frames placed as evenly as the jump allows",
        adaptive.positions, adaptive.frames))
    let grid = Report.ImageGrid(
      title: "from “\(prompt.text)” to \(name)", columnAxis: "t", rowAxis: "", modes: modes)
    let noise = try noises()
    let seeds = Report.ImageGrid(
      title: "from one noise to another, and from one prompt to another", columnAxis: "prompt, t", rowAxis: "noise, t",
      modes: [try twoAxes(a, b, noise)])
    return Report.Section(
      title: "What lies between",
      shows:
        "Pictures on the way to \(name) with the same noise, by three spacings, and a grid in which the noise changes downwards and the prompt to the right.",
      limits:
        "Distances are colour differences in CIELAB over several scales, not meaning; a way of the embeddings that is smooth need not be smooth to the eye.",
      parts: [grid, seeds])
  }

  private mutating func frame(_ blending: Blending, _ a: Conditioning, _ b: Conditioning, _ t: Double) throws -> Picture {
    if t == 0 { return picture }
    let conditioning = try blending.conditioning(a, b, t)
    return try pass(intervention: .init(["embedding": "\(blending.rawValue) to '\(other)' t \(t)"], conditioning: conditioning)).picture(0)
  }

  private func mode(_ title: String, _ note: String, _ ts: [Double], _ frames: [Picture]) throws -> Report.ImageGrid.Mode {
    let distances = try zip(frames, frames.dropFirst()).map { try PictureDistance.between($0, $1) }
    let travelled = distances.reduce(into: [0.0]) { $0.append(($0.last ?? 0) + $1) }
    let mean = distances.reduce(0, +) / Double(max(1, distances.count))
    let curve = Figure(
      title: "Distance travelled, \(title)",
      subtitle: "the largest step is \(decimal((distances.max() ?? 0) / max(mean, 1e-9), 1)) times the mean",
      width: 480,
      panels: [
        Panel(
          x: .linear("t", domain: 0...1), y: .linear("distance from the first", zero: true),
          marks: [.line(ts, travelled, dots: true)])
      ])
    return .init(
      title: title, note: note, columnLabels: ts.map { "t = \(decimal($0, 2))" }, rowLabels: ["frame"],
      rows: [
        try frames.enumerated().map { i, frame in
          .init(
            try Report.Picture(RGBImage(frame), alt: "frame at t = \(decimal(ts[i], 2)), \(title)"),
            value: i == 0 ? "" : "Δ \(decimal(distances[i - 1], 1))")
        }
      ],
      figure: try figure(
        curve, caption: "Distance travelled over t; Δ under a frame is its distance from the one before.",
        alt: "The largest distance between neighbours is \(decimal(distances.max() ?? 0, 1)), the mean \(decimal(mean, 1))."))
  }

  /// Noise of this seed and of the next, standard normal.
  private func noises() throws -> (Tensor, Tensor) {
    let shape: Shape = [1, base.latents.height, base.latents.width, run.model.vae.config.latentChannels]
    func draw(_ seed: UInt64) -> Tensor {
      if run.request.randomNumbers == .cuda {
        var random = PhiloxRandom(seed: seed)
        return random.normal(nhwc: shape)
      }
      var random = TorchRandom(seed: seed)
      return random.normal(nhwc: shape)
    }
    return (draw(run.parameters.seed), draw(run.parameters.seed &+ 1))
  }

  private mutating func twoAxes(_ a: Conditioning, _ b: Conditioning, _ noise: (Tensor, Tensor)) throws -> Report.ImageGrid.Mode {
    let n = plan.grid
    let ts = (0..<n).map { Double($0) / Double(max(1, n - 1)) }
    var rows: [[Report.ImageGrid.Cell?]] = []
    for y in ts {
      let latents = try Blending.slerp.noise(noise.0, noise.1, y)
      var row: [Report.ImageGrid.Cell?] = []
      for x in ts {
        let started = ContinuousClock.now
        let shown: Picture
        if y == 0 {
          shown = try frame(.lerp, a, b, x)
        } else {
          let conditioning = x == 0 ? a : try Blending.lerp.conditioning(a, b, x)
          var name = [
            "noise": "slerp to seed \(run.parameters.seed &+ 1) t \(y), steps' noise of seed \(run.parameters.seed)"
          ]
          if x > 0 { name["embedding"] = "lerp to '\(other)' t \(x)" }
          shown = try pass(latents: latents, intervention: .init(name, conditioning: conditioning)).picture(0)
        }
        row.append(
          .init(
            try Report.Picture(RGBImage(shown), alt: "prompt at t = \(decimal(x, 2)), noise at t = \(decimal(y, 2))"),
            seconds: seconds(.now - started)))
      }
      rows.append(row)
    }
    return .init(
      title: "",
      note:
        "Right: the prompt's embedding by lerp. Down: the noise by slerp from seed \(run.parameters.seed) to \(run.parameters.seed &+ 1). A time near zero: the pass was there already.",
      columnLabels: ts.map { "t = \(decimal($0, 2))" }, rowLabels: ts.map { "t = \(decimal($0, 2))" }, rows: rows)
  }
}
