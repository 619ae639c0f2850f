import Analysis
import Engine
import Foundation
import Plots

extension RunView {
  /// How the picture came to be.
  func filmSection() throws -> Report.Section {
    func own(_ tensors: [Tensor]) -> [Tensor] { tensors.map { $0.slice(image..<image + 1) } }
    let (latents, predictions) = (own(try folder.trajectory()), own(try folder.predictions()))
    let total = predictions.count
    let count = min(10, total)
    let chosen = (0..<count).map { count == 1 ? 0 : $0 * (total - 1) / (count - 1) }
    let frames = try chosen.map { s in
      (
        x: try Report.Picture(try Self.shown(latents[s], magnified: 8), alt: "latents before \(label(s))"),
        x0: try Report.Picture(try Self.shown(predictions[s], magnified: 8), alt: "predicted x0 at \(label(s)), as latents"),
        decoded: try Report.Picture(RGBImage(decode(predictions[s])), alt: "predicted x0 at \(label(s)), decoded")
      )
    }
    func norms(_ tensors: [Tensor]) -> [Double] {
      tensors.map { t in (t.withUnsafeBuffer { $0.reduce(0.0) { $0 + Double($1 * $1) } } / Double(t.count)).squareRoot() }
    }
    let steps = (1...total).map(Double.init)
    let change = zip(predictions, predictions.dropFirst()).map { a, b in norms([b - a])[0] }
    let normFigure = Figure(
      title: "Size of the latents", subtitle: "root mean square over all values", width: 440,
      panels: [
        Panel(
          x: .linear("step", whole: true), y: .linear("root mean square", zero: true),
          marks: [
            .line(steps, norms(Array(latents.prefix(total))), label: "latents before the step"),
            .line(steps, norms(predictions), label: "predicted x0"),
            .line(Array(steps.dropFirst()), change, label: "change of predicted x0", dashed: true),
          ])
      ])
    let abar = folder.manifest.alphasCumprod
    let snr = Figure(
      title: "Signal-to-noise ratio", subtitle: "of the noise schedule at each step", width: 440,
      panels: [Panel(x: .linear("step", whole: true), y: .log("ᾱ / (1 − ᾱ)"), marks: [.line(steps, abar.map { $0 / max(1 - $0, 1e-12) })])])
    let settled = change.indices.first { i in change[i...].allSatisfy { $0 < 0.1 * (change.max() ?? 1) } }
    let film = Report.Film(
      title: titled("the denoising of “\(prompt.text)”"), steps: chosen.map(label),
      rows: [
        .init(label: "latents", note: "three of \(latents[0].shape[3]) channels as red, green, blue, −3 to 3", frames: frames.map(\.x)),
        .init(
          label: "predicted x₀", note: "the same channels of what the network takes for the finished latents", frames: frames.map(\.x0)),
        .init(label: "decoded", note: "predicted x₀ through the VAE", frames: frames.map(\.decoded)),
      ],
      figures: [
        try figure(
          normFigure, caption: "How large the latents are, and how much the prediction still changes.",
          alt:
            "The prediction changes by \(decimal(change.first ?? 0, 2)) at first and by \(decimal(change.last ?? 0, 2)) in the last step."),
        try figure(
          snr, caption: "How much of the latents is signal.",
          alt:
            "The signal-to-noise ratio rises from \(decimal((abar.first ?? 0) / max(1 - (abar.first ?? 0), 1e-12), 4)) to \(decimal((abar.last ?? 0) / max(1 - (abar.last ?? 0), 1e-12), 1))."
        ),
      ])
    let p = folder.manifest.spec.parameters
    let hero = Report.Hero(
      prompt: p.prompt, negative: p.negativePrompt,
      pictures: [try Report.Picture(RGBImage(picture), alt: "the picture made of “\(p.prompt)”")],
      facts: [
        ("model", "\(p.model.name), SHA-256 \(folder.manifest.modelSha256.prefix(12))"),
        ("sampler", "\(p.sampler), \(total) steps"), ("guidance", decimal(p.guidance, 1)), ("seed", "\(p.seed &+ UInt64(image))"),
        ("size", "\(p.width) × \(p.height)"),
        (
          "settled",
          settled.map { "from step \($0 + 2) on the prediction changes by less than a tenth of its largest change" }
            ?? "the prediction changes until the end"
        ),
      ] + folder.manifest.spec.intervention.sorted { $0.key < $1.key }.map { ("changed: \($0.key)", $0.value) })
    return Report.Section(
      title: "How the picture came to be",
      shows: "The latents at each step, what the network takes for the finished picture at that moment, and the same through the decoder.",
      limits:
        "The latents have no colours of their own: three channels are shown as red, green and blue. Samplers hold them at different scales.",
      parts: [hero, film])
  }

  /// The first three channels as a picture, −3 to 3.
  static func shown(_ latents: Tensor, magnified factor: Int) throws -> RGBImage {
    let (h, w, c) = (latents.shape[1], latents.shape[2], latents.shape[3])
    let k = max(1, min(factor, 256 / max(1, w)))
    var pixels = [UInt8](repeating: 0, count: 3 * h * k * w * k)
    latents.withUnsafeBuffer { x in
      for y in 0..<h * k {
        for xx in 0..<w * k {
          for channel in 0..<3 {
            let v = x[(y / k * w + xx / k) * c + min(channel, c - 1)]
            pixels[3 * (y * w * k + xx) + channel] = UInt8(max(0, min(255, (v + 3) / 6 * 255)))
          }
        }
      }
    }
    return try RGBImage(width: w * k, height: h * k, pixels: pixels)
  }
}
