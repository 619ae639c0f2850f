import Analysis
import Engine
import Foundation
import Plots

extension RunView {
  /// What places look at, and what the decoder's features tell apart.
  func selfAttentionSection() throws -> Report.Section {
    var parts: [any Report.Part] = []
    if hasSelfAttention {
      let maps = try SelfAttentionMaps(folder, image: image, size: level)
      let shown = try Report.Picture(RGBImage(picture), alt: "the picture made of “\(prompt.text)”")
      parts.append(
        Report.SelfAttention(
          title: titled("self-attention of the picture"), picture: shown,
          groups: [
            .init(
              name: "\(level.height) × \(level.width), mean over heads, \(maps.layers) layers and \(maps.steps.count) steps",
              height: level.height,
              width: level.width, values: maps.values)
          ], palette: try Self.palette(.viridis)))
      let components = maps.components(5)
      let magnified = max(1, 128 / max(1, level.width))
      parts.append(
        Report.ImageGrid(
          title: titled("leading components of the self-attention"), columnAxis: "component", rowAxis: "",
          modes: [
            .init(
              title: "",
              note:
                "Singular vectors of the self-attention less its mean (Prompt-to-Prompt's definition): places of one colour look at the same places. Blue below zero, red above.",
              columnLabels: (1...components.count).map { "component \($0)" }, rowLabels: ["places"],
              rows: [
                try components.enumerated().map { i, values in
                  let largest = values.map(abs).max() ?? 1
                  return .init(
                    try Report.Picture(
                      colouredMap(values, level, .redBlue, -largest...largest, magnified: magnified),
                      alt: "component \(i + 1) of the self-attention"))
                }
              ])
          ]))
    } else {
      parts.append(missing("Self-attention of \(level.height)x\(level.width) places", sites: "unet.*.attn1.probs"))
    }
    if let featureSite {
      parts.append(try featureGrid(featureSite))
    } else {
      parts.append(missing("Features of the decoder", sites: "unet.up_blocks.*.resnets.*.out"))
    }
    return Report.Section(
      title: "What places look at",
      shows: "Which other places a place of the picture attends to, what patterns that makes, and what the decoder's features tell apart.",
      limits: "Means over heads, layers and steps hide that single heads do other things; component colours have no meaning of their own.",
      parts: parts)
  }

  /// The first three principal components of a decoder block's features as red, green and blue (Tumanyan et al. 2023), one fit and one range for all steps.
  private func featureGrid(_ site: String) throws -> Report.ImageGrid {
    var steps: [Int] = []
    var size = level
    var rows: [[Float]] = []
    try folder.replay(site) { _, moment, x in
      steps.append(moment.step)
      size = MapSize(height: x.shape[1], width: x.shape[2])
      let c = x.shape[3]
      let first = (moment.rows.firstIndex { $0.image == image && $0.half == .cond } ?? 0) * size.count
      x.withUnsafeBuffer { p in for i in first..<first + size.count { rows.append(Array(p[i * c..<(i + 1) * c])) } }
      return nil
    }
    let points = try Points(rows, name: site)
    let pca = try PCA(points, components: 3)
    let scores = try pca.transform(points).values
    let sorted = scores.sorted()
    // One range for all: the outer hundredths are cut off.
    let (low, high) = (sorted[sorted.count / 100], sorted[sorted.count - 1 - sorted.count / 100])
    let span = max(high - low, 1e-12)
    let magnified = max(1, 128 / max(1, size.width))
    let pictures = try steps.indices.map { s -> Report.ImageGrid.Cell? in
      var pixels = [UInt8](repeating: 0, count: 3 * size.count * magnified * magnified)
      let width = size.width * magnified
      for y in 0..<size.height * magnified {
        for x in 0..<width {
          let at = (s * size.count + y / magnified * size.width + x / magnified) * 3
          for c in 0..<3 { pixels[3 * (y * width + x) + c] = UInt8(max(0, min(255, (scores[at + c] - low) / span * 255))) }
        }
      }
      return .init(
        try Report.Picture(RGBImage(width: width, height: size.height * magnified, pixels: pixels), alt: "features at step \(steps[s] + 1)")
      )
    }
    let explained = pca.explainedVarianceRatio.prefix(3).map { decimal(100 * $0, 0) + " %" }.joined(separator: ", ")
    return Report.ImageGrid(
      title: titled("features of the decoder"), columnAxis: "step", rowAxis: "",
      modes: [
        .init(
          title: "",
          note:
            "\(site): one principal component analysis over the places of all steps shown; the components (\(explained) of the variance) as red, green and blue with one range for all.",
          columnLabels: steps.map { "step \($0 + 1)" }, rowLabels: ["features"], rows: [pictures])
      ])
  }
}
