import Analysis
import Engine
import Foundation
import Plots

/// A stored run as a report tells it: what its sections read, for `explore` and `report` alike. Nothing is generated; what the run did not keep is
/// missing here, and the sections say so.
struct RunView {
  let folder: RunFolder
  /// Which of its images.
  let image: Int
  /// `A`, where several runs are told in one report; else empty.
  let name: String
  let prompt: TokenizedPrompt
  let picture: Picture
  /// Latents of one picture through the model's decoder.
  let decode: (Tensor) throws -> Picture
  /// Levels of the UNet, and the one nearest to 16x16 places.
  let levels: Int
  let level: MapSize
  /// The cross-attention; nil when the run kept none.
  let attention: CrossAttentionRecorder?
  /// True when only means over the heads were kept: DAAM cuts negative values off head by head, so its maps then differ slightly.
  let isAveraged: Bool

  static let crossAttention = "unet.*.attn2.probs"

  /// - Throws: `InputError` (usage) when the run has no such image.
  init(
    _ folder: RunFolder, image: Int, name: String = "", prompt: TokenizedPrompt, levels: Int, decode: @escaping (Tensor) throws -> Picture
  ) throws {
    let count = folder.manifest.spec.parameters.count
    guard (0..<count).contains(image) else {
      throw InputError(.usage, "--index \(image): \(folder.manifest.id) has \(count) \(count == 1 ? "image" : "images")")
    }
    (self.folder, self.image, self.name, self.prompt, self.levels, self.decode) = (folder, image, name, prompt, levels, decode)
    picture = try folder.picture(image)
    level = CrossAttentionRecorder(levels: levels, latents: folder.latents).level
    let whole = Self.has(folder, Self.crossAttention, .none, image)
    isAveraged = !whole && Self.has(folder, Self.crossAttention, .heads, image)
    attention = whole || isAveraged ? try CrossAttentionRecorder(folder, levels: levels, averaged: isAveraged) : nil
  }

  static func has(_ folder: RunFolder, _ pattern: String, _ reduction: CaptureSpec.Reduction, _ image: Int) -> Bool {
    folder.manifest.captures.contains { capture in
      capture.reduction == reduction && Glob.matches(pattern, capture.site)
        && capture.rows.contains { $0.image == image && $0.half == RowLabel.Half.cond.rawValue }
    }
  }

  /// True when the run kept sites of this pattern for this image, reduced so, for the prompt's rows.
  func has(_ pattern: String, _ reduction: CaptureSpec.Reduction) -> Bool { Self.has(folder, pattern, reduction, image) }

  /// Self-attention of the level nearest to 16x16 places.
  var hasSelfAttention: Bool {
    folder.manifest.captures.contains { capture in
      [.none, .heads].contains(capture.reduction) && Glob.matches("unet.*.attn1.probs", capture.site)
        && capture.shape.last == level.count && capture.rows.contains { $0.image == image && $0.half == RowLabel.Half.cond.rawValue }
    }
  }

  /// A decoder block whose features were kept in places, the one nearest to 16x16 of them.
  var featureSite: String? {
    let kept = folder.manifest.captures.filter { capture in
      capture.reduction == .none && Glob.matches("unet.up_blocks.*.resnets.*.out", capture.site) && capture.shape.count == 5
        && capture.rows.contains { $0.image == image && $0.half == RowLabel.Half.cond.rawValue }
    }
    func distance(_ capture: RunManifest.Capture) -> Double {
      abs(Foundation.log(Double(max(1, capture.shape[2] * capture.shape[3])) / 256))
    }
    return kept.min { distance($0) < distance($1) }?.site
  }

  /// Steps of the run at which the sites of a pattern were kept, rising.
  func steps(of pattern: String) -> [Int] {
    let manifest = folder.manifest
    let calls = Set(manifest.captures.filter { Glob.matches(pattern, $0.site) }.flatMap(\.calls))
    return Set(calls.filter(manifest.calls.indices.contains).map { manifest.calls[$0].step }).sorted()
  }

  /// A title that is unique where several runs are told: those who hear a page tell its parts apart by them.
  func titled(_ title: String) -> String { name.isEmpty ? title : "\(title), run \(name)" }

  /// `step 3, t = 741`.
  func label(_ step: Int) -> String {
    let timesteps = folder.manifest.timesteps
    return timesteps.indices.contains(step) ? "step \(step + 1), t = \(Int(timesteps[step].rounded()))" : "step \(step + 1)"
  }

  /// The line for what a run did not keep.
  func missing(_ what: String, sites: String) -> Report.Callout {
    Report.Callout(
      .note, title: "\(what): not kept",
      text: "The run \(folder.manifest.id) did not keep \(sites). Made again with `sdlab trace … --sites '\(sites)'`, it is shown here.")
  }
}

extension Report {
  /// A figure in both themes.
  static func figure(_ figure: Plots.Figure, caption: String, alt: String) throws -> Report.Figure {
    Report.Figure(
      light: .png(try figure.render(.png, scale: 2, theme: .light), scale: 2),
      dark: .png(try figure.render(.png, scale: 2, theme: .dark), scale: 2), caption: caption, alt: alt)
  }
}

extension RunView {
  func figure(_ figure: Figure, caption: String, alt: String) throws -> Report.Figure {
    try Report.figure(figure, caption: caption, alt: alt)
  }

  static func palette(_ palette: Palette) throws -> ReportPalette { try ReportPalette(rgb: palette.bytes) }
}
