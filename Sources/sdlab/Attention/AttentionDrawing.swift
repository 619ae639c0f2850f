import Analysis
import Engine
import Foundation
import Plots

extension AttentionSurvey {
  func draw(_ files: AttentionFiles, _ options: FigureOptions, ownScale: Bool) throws {
    let picture = try RGBImage(subject.folder.picture(image))
    try options.write(budget(), to: files.budget, files.format)
    for (word, url) in zip(words, files.heads) {
      try options.write(atlas(word, picture, ownScale: ownScale, theme: options.theme.theme), to: url, files.format)
    }
    if let selfAttention { try options.write(patterns(selfAttention, picture), to: files.selfAttention, files.format) }
  }

  private var title: String { "\"\(subject.prompt.text)\"" }

  /// Shares by layer and by step, and two matrices of heads by steps.
  private func budget() -> Figure {
    let kinds: [(kind: AttentionBudget.Kind, name: String)] = [(.bos, "BOS"), (.words, "words"), (.eos, "EOS"), (.padding, "padding")]
    let steps = callSteps.map(Double.init)
    let heads = Double(max(1, layers.reduce(0) { $0 + $1.heads }))
    let bars = Panel(
      "by layer, mean over heads and steps", x: .categorical("layer", layers.map(\.name)), y: .linear("share", domain: 0...1),
      marks: kinds.map { kind, name in .bars(layers.indices.map { layer in mean(layer) { $0[kind] } }, label: name) })
    let lines = Panel(
      "by step, mean over layers and heads", x: .linear("step"), y: .linear("share", domain: 0...1),
      marks: kinds.map { kind, name in
        let values = entries.map { call in call.reduce(0) { $0 + $1.reduce(0) { $0 + $1[kind] } } / heads }
        return .line(steps, values, label: name, dots: steps.count == 1)
      })
    let rows = layers.indices.flatMap { layer in (0..<layers[layer].heads).map { (layer: layer, head: $0) } }
    let labels = rows.map { "\(layers[$0.layer].name) h\($0.head)" }
    func matrix(_ title: String, _ colours: ColourScale, _ value: (AttentionBudget.Entry) -> Double) -> Panel {
      Panel(
        title, x: .categorical("step", callSteps.map { "\($0)" }), y: .categorical("layer and head", labels), aspect: 1.1,
        marks: [
          .heatmap(
            rows.flatMap { row in entries.map { value($0[row.layer][row.head]) } }, rows: rows.count, columns: entries.count,
            colours: colours)
        ])
    }
    return Figure(
      title: "What the attention is spent on: \(title)", subtitle: "cross-attention, \(subject.about)",
      note:
        "BOS can carry nothing of the prompt, since CLIP's mask is causal: attention to it goes nowhere. EOS and the padding have read the whole prompt. "
        + "Entropy of \(decimal(largestEntropy, 2)) nats would be attention to all tokens alike.",
      columns: 2, width: 960,
      panels: [
        bars, lines, matrix("share of the words", ColourScale(.viridis, "share of the words")) { $0[.words] },
        matrix("entropy", ColourScale(.magma, "entropy", unit: "nats"), \.entropy),
      ])
  }

  /// Rows are layers, columns heads.
  private func atlas(_ word: Word, _ picture: RGBImage, ownScale: Bool, theme: Theme) throws -> ContactSheet {
    let tile = 96
    let highest = word.atlas.heads.flatMap(\.map).max() ?? 0
    let rows = try layers.map { layer in
      try word.atlas.heads.filter { $0.place == layer.place }.map { head -> ContactSheet.Tile? in
        let top = max(ownScale ? head.map.max() ?? 0 : highest, 1e-12)
        let image = try colouredMap(
          head.map, head.size, .inferno, 0...top, magnified: max(1, tile / max(head.size.height, head.size.width)))
        return .init(image, caption: "\(decimal(100 * head.share, 1)) %, \(decimal(head.peakedness, 2))")
      }
    }
    let scale =
      ownScale
      ? "each head on its own scale, from 0 to its largest value"
      : "one scale, from 0 (black) to \(decimal(100 * Double(highest), 0)) % (yellow)"
    return ContactSheet(
      rows: [[.init(picture)]] + rows, title: "Heads that attend to \(word.name == "all words" ? "the words" : "\"\(word.name)\"")",
      subtitle:
        "\(title), \(subject.about). Mean over \(callSteps.count) calls; \(scale). Under each map: share of the head's attention, and peakedness.",
      columnLabels: (0..<(layers.map(\.heads).max() ?? 0)).map { "head \($0)" },
      rowLabels: ["the picture"] + layers.map { "\($0.name)\n\($0.size.height)×\($0.size.width)" }, theme: theme, tileSize: Double(tile))
  }

  /// The picture and the leading components.
  private func patterns(_ maps: SelfAttentionMaps, _ picture: RGBImage) -> Figure {
    let largest = max(Double(components.flatMap(\.map).map(abs).max() ?? 1), 1e-12)
    let panels = components.enumerated().map { i, component in
      var panel = Panel.picture(
        "\(i + 1): \(decimal(100 * component.share, 1)) %",
        marks: [
          .heatmap(
            component.map.map(Double.init), rows: maps.size.height, columns: maps.size.width,
            colours: ColourScale(.redBlue, "loading", domain: -largest...largest), x: 0...Double(picture.width),
            y: 0...Double(picture.height))
        ])
      panel.aspect = Double(picture.height) / Double(picture.width)
      return panel
    }
    let columns = min(4, panels.count + 1)
    return Figure(
      title: "Patterns of the self-attention: \(title)",
      subtitle:
        "\(maps.size.height)×\(maps.size.width) places, mean over heads, \(maps.layers) layers and \(maps.steps.count) steps; \(subject.about)",
      note:
        "Singular vectors of the self-attention less the mean of each row (Prompt-to-Prompt), with their share of the sum of squares. Places of one colour look at the same "
        + "places; red and blue have no meaning of their own. Components of nearly equal share may mix.",
      columns: columns, width: Double(columns) * 190, commonColours: true,
      panels: [Panel.picture("the picture", marks: [.image(picture)])] + panels)
  }
}

extension FigureOptions {
  func write(_ sheet: ContactSheet, to url: URL, _ format: FileFormat) throws {
    let drawn: [UInt8]
    do { drawn = try sheet.render(format, scale: Double(dpi) / 72) } catch let error as PlotError {
      throw InputError(.cannotWrite, "\(url.relativePath): the sheet cannot be drawn: \(error.description)")
    }
    try AtomicFile.write(drawn, to: url)
  }
}
