import Analysis
import Engine
import Foundation
import Plots

extension PatchStudy {
  func draw(_ files: PatchFiles, _ options: FigureOptions) throws {
    try options.write(chart(), to: files.grid, files.format)
    try options.write(sheet(options.theme.theme), to: files.sheet, files.format)
  }

  /// `.npy`: the metric drawn, [rows, columns]; `.safetensors`: all metrics that there are, rows and columns named in the metadata. What is not there is NaN in
  /// the one and not written in the other.
  func write(_ url: URL) throws {
    let shape = [plan.rows.count, plan.columns.count]
    func values(_ metric: PatchEffect.Metric) -> [Float] { grid(metric).flatMap { $0.map { Float($0 ?? .nan) } } }
    if url.pathExtension.lowercased() == "npy" { return try Npy.write(values(metric), shape: shape, to: url) }
    let there = PatchEffect.Metric.allCases.filter { metric in cells.contains { $0.effect[metric] != nil } }
    try Safetensors.write(
      there.map { ($0.rawValue, Tensor(values($0), Shape(shape))) },
      metadata: ["rows": plan.rows.joined(separator: "\n"), "columns": plan.columns.joined(separator: "\n")], to: url)
  }

  private var prompts: (a: String?, b: String) {
    (source?.manifest.spec.parameters.prompt, target.manifest.spec.parameters.prompt)
  }

  private var about: String {
    let p = target.manifest.spec.parameters
    return "\(p.sampler), \(target.manifest.timesteps.count) steps, guidance \(decimal(p.guidance, 1)), seed \(p.seed)"
  }

  private var title: String {
    switch plan.mode {
    case .activations: "Activations of A put into B"
    case .prompt: "Layers that read A's prompt in the run of B"
    case .heads: "Each attention head set to zero"
    case .tokens: "Each word taken out"
    }
  }

  private var who: String {
    (prompts.a.map { "A: \"\($0)\", " } ?? "") + "B: \"\(prompts.b)\""
  }

  private var meaning: String {
    switch metric {
    case .change: "Mean absolute difference from the untouched picture: 0 none, 1 black against white."
    case .toward: "0: the final latents are as far from A as those of B; 1: they are A's; below 0: farther away than B."
    case .latent: "Distance of the final latents from those of the untouched run, over their length."
    case .region:
      "Correlation of the picture with that of \(source == nil ? "the untouched run" : "A") where the attention to \"\(region?.word ?? "")\" is (\(region?.of ?? "B")'s run)."
    }
  }

  private var colours: ColourScale {
    switch metric {
    case .toward: ColourScale(.redBlue, "toward A")
    case .change: ColourScale(.viridis, "change of the picture")
    case .latent: ColourScale(.viridis, "change of the latents")
    case .region: ColourScale(.viridis, "correlation")
    }
  }

  /// A matrix with its values, or bars where there is one column.
  private func chart() -> Figure {
    let values = grid(metric)
    let half = plan.halves == .cond ? "Only the rows that carry the prompt are patched." : "Both halves of the batch are patched."
    let panel: Panel
    if plan.columns.count == 1 {
      panel = Panel(
        x: .linear(colours.name, zero: true), y: .categorical(plan.rowAxis, plan.rows),
        aspect: max(0.2, min(1.2, 0.05 * Double(plan.rows.count))),
        marks: [.bars(values.map { ($0.first ?? nil) ?? .nan }, horizontal: true, values: true)])
    } else {
      panel = Panel(
        x: .categorical(plan.columnAxis, plan.columns), y: .categorical(plan.rowAxis, plan.rows),
        aspect: max(0.3, min(1.3, 0.6 * Double(plan.rows.count) / Double(plan.columns.count))),
        marks: [
          .heatmap(
            values.flatMap { $0.map { $0 ?? .nan } }, rows: plan.rows.count, columns: plan.columns.count, colours: colours, written: true)
        ])
    }
    return Figure(
      title: title, subtitle: "\(who); \(about)", note: "\(meaning) \(half) One seed is one case, not a rule.",
      width: 300 + Double(max(4, plan.columns.count)) * 84, panels: [panel])
  }

  /// B, A, and the picture of every cell.
  private func sheet(_ theme: Theme) throws -> ContactSheet {
    var rows: [[ContactSheet.Tile?]] = Array(
      repeating: Array(repeating: nil, count: plan.columns.count), count: plan.rows.count)
    for cell in cells {
      let value = cell.effect[metric].map(Self.text) ?? "none"
      rows[cell.plan.row][cell.plan.column] = try .init(cell.picture, caption: value)
    }
    var first: [ContactSheet.Tile?] = [try .init(targetPicture, caption: source == nil ? "untouched" : "B, untouched")]
    if let sourcePicture { first.append(try .init(sourcePicture, caption: "A")) }
    let isOne = plan.columns.count == 1
    // A single column is laid out in rows of six, so that the sheet is a sheet.
    if isOne {
      let tiles = zip(plan.rows, rows).compactMap { name, row -> ContactSheet.Tile? in
        guard var tile = row.first ?? nil else { return nil }
        tile.caption = "\(name): \(tile.caption)"
        return tile
      }
      rows = stride(from: 0, to: tiles.count, by: 6).map { Array(tiles[$0..<min($0 + 6, tiles.count)]) }
    }
    return ContactSheet(
      rows: [first] + rows, title: title, subtitle: "\(who); \(about). Under each picture: \(metric.rawValue). \(meaning)",
      columnLabels: isOne ? [] : plan.columns.map { plan.mode == .heads ? "head \($0)" : $0 == "all" ? "all steps" : "steps \($0)" },
      rowLabels: isOne ? [] : [source == nil ? "untouched" : "B and A"] + plan.rows, theme: theme, tileSize: 128)
  }
}
