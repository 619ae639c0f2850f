import Analysis
import ArgumentParser
import Engine
import Foundation
import Plots

struct Lens: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what the text encoder knows after each of its layers: a picture from each.",
    discussion: """
      The Diffusion Lens (Toker et al. 2024): the hidden state behind layer l goes through the encoder's final layer norm and conditions the network, for \
      every l, from the same noise. Layer 0 is the embeddings alone. The negative prompt stays the ordinary one, so the last layer is the ordinary \
      picture. Each layer is a run that is made once; distances are the mean over scales of the RMS colour difference in CIELAB.

      Examples:
        sdlab lens "a red house next to a green tree at night"
        sdlab lens "a red house" --layers 0,2- --count 4 -o lens.svg
      """)

  @Argument(help: "What the picture shows.")
  var prompt: String

  @Option(
    help: ArgumentHelp(
      "Only these layers, from 0 (embeddings): 0-4, 0,6,12 or 4-. The last is always made. Default: all.", valueName: "which"))
  var layers: String?

  @Flag(help: "Compute and write nothing; print what it would take.")
  var dryRun = false

  @OptionGroup(title: "Figure") var figure: FigureOptions
  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let stem = "lens-\(OutputFile.slug(prompt))-\(sampling.seed)"
    let target = dryRun ? nil : try figure.target(default: stem)
    let (run, load) = try PictureRun.prepare(prompt, model, sampling, picture, ReportOptions.quietly(report))
    let lens = try DiffusionLens(run.model, run.request)
    let wanted = try layers.map { try StepSelection($0, total: lens.layers + 1, of: "layers").steps } ?? Array(0...lens.layers)
    let shown = wanted.last == lens.layers ? wanted : wanted + [lens.layers]
    guard shown.count > 1 else {
      throw InputError(.usage, "--layers \(layers ?? ""): only the last layer, which is the ordinary picture", hint: "name an earlier one")
    }
    if dryRun {
      return try Estimate(run, load: load, latents: true).times(shown.count, load: load).print(files: [runs.store.root], json: report.json)
    }
    guard let target else { return }
    try lens.conditioning(lens.layers).warnings.forEach { report.warn("\($0); --long-prompt chunk keeps it") }
    let steps = try run.indices().count
    var bar = ProgressBar("layers", total: shown.count * steps, quiet: report.quiet)
    var folders: [RunFolder] = []
    for layer in shown {
      var done = 0
      folders.append(
        try run.trace(runs.store, [], intervention: lens.intervention(layer), again: runs.again) { step, _ in
          bar.advance(by: step - done)
          done = step
        })
    }
    let pictures = try folders.map { folder in try (0..<run.request.count).map { try folder.picture($0) } }
    let distances = try LensDistances(pictures)
    try figure.write(draw(run, lens, shown, pictures, distances), to: target.url, target.format)
    let seeds = (0..<run.request.count).map { run.request.seed &+ UInt64($0) }
    if report.json {
      try StandardOutput.json(
        Report(
          figure: target.url.relativePath, prompt: prompt, negative: "the last layer's", seeds: seeds,
          layers: shown.indices.map { i in
            .init(
              layer: shown[i], run: folders[i].url.relativePath, toLast: distances.toLast[i],
              toPrevious: i == 0 ? nil : distances.toPrevious[i - 1])
          }, betweenSeeds: distances.betweenSeeds))
    } else {
      try StandardOutput.line(Self.table(shown, distances))
      try StandardOutput.line(target.url.relativePath)
    }
  }

  private static func mean(_ x: [Double]) -> Double { x.reduce(0, +) / Double(max(1, x.count)) }

  private static func table(_ shown: [Int], _ distances: LensDistances) -> String {
    var rows = [["layer", "to the last", "to the one before"]]
    for (i, layer) in shown.enumerated() {
      let before = i == 0 ? [] : [decimal(mean(distances.toPrevious[i - 1]), 2)]
      rows.append(["\(layer)", decimal(mean(distances.toLast[i]), 2)] + before)
    }
    return sdlab.table(rows)
  }

  private func draw(
    _ run: PictureRun, _ lens: DiffusionLens, _ shown: [Int], _ pictures: [[Picture]], _ distances: LensDistances
  ) throws -> Figure {
    let count = run.request.count
    func name(_ layer: Int) -> String { layer == 0 ? "embeddings" : layer == lens.layers ? "layer \(layer), last" : "layer \(layer)" }
    let columns: Int
    var strip: Panel
    if count == 1 {
      // One seed: the layers are a strip that wraps like text.
      columns = shown.count <= 7 ? shown.count : (shown.count + (shown.count + 6) / 7 - 1) / ((shown.count + 6) / 7)
      let starts = Array(stride(from: 0, to: shown.count, by: columns))
      let rows = starts.map { Array($0..<min($0 + columns, shown.count)) }
      strip = .pictures(
        images: try rows.map { try $0.map { try RGBImage(pictures[$0][0]) } },
        captions: rows.map { $0.map { name(shown[$0]) } })
      strip.x.visible = false
      strip.y.visible = false
    } else {
      columns = shown.count
      strip = .pictures(
        images: try (0..<count).map { k in try shown.indices.map { try RGBImage(pictures[$0][k]) } },
        captions: (0..<count).map { k in shown.indices.map { decimal(distances.toLast[$0][k], 1) } },
        columnName: "text encoder layer (0: embeddings)", columns: shown.map(String.init), rowName: "seed",
        rows: (0..<count).map { "\(run.request.seed &+ UInt64($0))" })
    }
    let x = shown.indices.map(Double.init)
    func band(_ rows: [[Double]]) -> (low: [Double], high: [Double])? {
      count == 1 ? nil : (rows.map { $0.min() ?? 0 }, rows.map { $0.max() ?? 0 })
    }
    let several = count == 1 ? "" : ", mean and range of \(count) seeds"
    var marks: [Mark] = [
      .line(x, distances.toLast.map(Self.mean), band: band(distances.toLast), label: "to the last layer's\(several)", dots: true),
      .line(
        Array(x.dropFirst()), distances.toPrevious.map(Self.mean), band: band(distances.toPrevious),
        label: "to the layer before's\(several)", dashed: true, dots: true),
    ]
    if let between = distances.betweenSeeds { marks.append(.reference(y: between, label: "two seeds of the ordinary picture")) }
    return Figure(
      title: "\"\(prompt)\"",
      subtitle:
        "what the text encoder knows after each layer; \(run.request.sampler.rawValue), \(run.request.steps) steps, guidance \(decimal(run.request.guidance, 1))\(count == 1 ? ", seed \(run.request.seed)" : "")",
      note:
        "Each layer's hidden state through the final layer norm, the same noise, the negative prompt from the last layer. The UNet was trained on the last layer only: an odd picture may show its surprise, not the encoder's ignorance.",
      columns: 1, width: min(1400, max(560, Double(columns) * 118)),
      panels: [
        strip,
        Panel(
          x: .categorical("text encoder layer", shown.map(String.init)), y: .linear("distance of the pictures (CIELAB)", zero: true),
          aspect: 0.32, marks: marks),
      ])
  }

  private struct Report: Encodable {
    struct Layer: Encodable {
      let layer: Int
      let run: String
      /// One for each image.
      let toLast: [Double]
      let toPrevious: [Double]?
    }
    let figure: String
    let prompt: String
    let negative: String
    let seeds: [UInt64]
    let layers: [Layer]
    let betweenSeeds: Double?
  }
}
