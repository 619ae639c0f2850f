import Analysis
import Engine
import Foundation
import Plots

/// What `invert` computes: the inversion, the way forward again, and how far that is from the picture.
struct InversionStudy {
  struct Errors: Encodable {
    let latentMse: Double
    /// Decibels; nil when nothing differs.
    let latentPsnr: Double?
    let picturePsnr: Double?
  }

  struct CurvePoint: Encodable {
    let steps: Int
    let errors: Errors
  }

  /// The run of the reconstruction, which holds the inversion.
  let kept: KeptInversion
  var inversion: Inversion { kept.inversion }
  let original: Picture
  /// The picture encoded and decoded.
  let vae: Picture
  let vaePsnr: Double?
  let reconstruction: Picture
  let errors: Errors
  /// As the published code has it, which leaves the last step's remainder out.
  let withoutRemainder: Errors?
  /// The run with other words.
  let edit: RunFolder?
  let edited: Picture?
  let curve: [CurvePoint]
  let statistics: NoiseStatistics

  init(_ verb: Invert, _ run: PictureRun, pixels: Tensor, curve others: [PictureRun]) throws {
    let model = run.model
    try run.warnAboutPrompts()
    let latents = try model.encode(pixels, tiling: run.tiling)
    let original = Picture(pixels)
    func decoded(_ x: Tensor) throws -> Picture {
      BufferPool.current.trim()
      return Picture(try model.decode(x, tiling: run.tiling))
    }
    func errors(_ x: Tensor, _ picture: Picture) throws -> Errors {
      let error = ReconstructionError(latents: x, reference: latents)
      return Errors(
        latentMse: error.meanSquare, latentPsnr: error.psnr,
        picturePsnr: try ReconstructionError(picture: picture, reference: original).psnr)
    }
    let edits = verb.edit == nil ? 0 : run.request.steps - verb.skipped
    let total = verb.method.ways * (run.request.steps + others.reduce(0) { $0 + $1.request.steps }) + edits
    var bar = ProgressBar("inverting", total: total, quiet: verb.report.quiet)
    func inverted(_ run: PictureRun) throws -> (kept: KeptInversion, errors: Errors, latents: Tensor) {
      let kept = try run.inverted(verb.method, verb.runs.store, again: verb.runs.again, latents: { latents }, progress: { bar.advance() })
      let x = try kept.run.finalLatents()
      return (kept, try errors(x, kept.run.picture(0)), x)
    }
    self.original = original
    vae = try decoded(latents)
    vaePsnr = try ReconstructionError(picture: vae, reference: original).psnr
    let found = try inverted(run)
    kept = found.kept
    self.errors = found.errors
    reconstruction = try found.kept.run.picture(0)
    withoutRemainder = try found.kept.inversion.remainder.map { remainder in
      let x = found.latents - remainder
      return try errors(x, decoded(x))
    }
    edit = try verb.edit.map { prompt in
      var done = 0
      return try run.edited(found.kept, prompt: prompt, guidance: verb.chosenEditGuidance, skip: verb.skipped).trace(
        verb.runs.store, [], again: verb.runs.again
      ) { step, _ in
        bar.advance(by: step - done)
        done = step
      }
    }
    edited = try edit?.picture(0)
    curve = try others.map { CurvePoint(steps: $0.request.steps, errors: try inverted($0).errors) }
    statistics = NoiseStatistics(found.kept.inversion.noise)
  }

  func figure(_ verb: Invert) throws -> Figure {
    func decibels(_ psnr: Double?) -> String { psnr.map { "\(decimal($0, 1)) dB" } ?? "equal" }
    var panels = [
      Panel.picture("the picture", marks: [.image(try RGBImage(original))]),
      .picture("VAE alone, \(decibels(vaePsnr))", marks: [.image(try RGBImage(vae))]),
      .picture("the noise", marks: [.image(try noisePicture())]),
      .picture("and back, \(decibels(errors.picturePsnr))", marks: [.image(try RGBImage(reconstruction))]),
    ]
    if let edited, let prompt = verb.edit { panels.append(.picture("\"\(prompt)\"", marks: [.image(try RGBImage(edited))])) }
    if !curve.isEmpty {
      let steps = curve.map { Double($0.steps) }
      let psnr = curve.map { $0.errors.picturePsnr ?? .nan }
      let marks: [Mark] = [.line(steps, psnr, dots: true)] + (vaePsnr.map { [.reference(y: $0, label: "VAE alone")] } ?? [])
      // Room over the highest line for its label.
      let known = (psnr + [vaePsnr ?? .nan]).filter(\.isFinite)
      let domain = known.min().flatMap { low in known.max().map { low - 0.5...$0 + 0.15 * ($0 - low) + 0.5 } }
      panels.append(
        Panel("by number of steps", x: .log("steps"), y: .linear("picture PSNR", unit: "dB", domain: domain), aspect: 1, marks: marks))
    }
    let words = verb.prompt.isEmpty ? "no prompt" : "\"\(verb.prompt)\""
    let columns = min(panels.count, 3)
    return Figure(
      title: verb.method.title,
      subtitle: "\(words), \(inversion.steps) steps, guidance \(decimal(verb.guidance, 1))"
        + (verb.edit == nil ? "" : "; edit: guidance \(decimal(verb.chosenEditGuidance, 1)), \(verb.skipped) steps left out"),
      note:
        "The noise: three of its channels, -3 to 3; neighbours correlate by \(decimal(statistics.neighbourCorrelation, 2)), drawn noise by 0. What the VAE alone loses, no inversion brings back.",
      columns: columns, width: Double(columns) * 210, panels: panels)
  }

  /// The first three channels as red, green and blue, -3...3.
  private func noisePicture() throws -> RGBImage {
    let x = inversion.noise
    let channels = x.shape[3]
    let values = x.array
    var pixels: [UInt8] = []
    for i in 0..<x.shape[1] * x.shape[2] {
      for c in 0..<3 {
        let value = values[i * channels + min(c, channels - 1)]
        pixels.append(UInt8(max(0, min(255, (value + 3) / 6 * 255))))
      }
    }
    return try RGBImage(width: x.shape[2], height: x.shape[1], pixels: pixels)
  }

  func print(_ verb: Invert, figure: URL, _ files: InvertFiles) throws {
    if verb.report.json {
      return try StandardOutput.json(
        Report(
          run: kept.run.url.relativePath, editRun: edit?.url.relativePath, figure: figure.relativePath, arrays: files.arrays?.relativePath,
          pictures: files.pictures.map(\.url.relativePath),
          method: verb.method.rawValue, prompt: verb.prompt, steps: inversion.steps, guidance: verb.guidance, width: original.width,
          height: original.height, vaePicturePsnr: vaePsnr, reconstruction: errors, withoutRemainder: withoutRemainder, curve: curve,
          noise: .init(
            mean: statistics.mean, deviation: statistics.deviation, neighbourCorrelation: statistics.neighbourCorrelation)))
    }
    func db(_ value: Double?) -> String { value.map { "\(decimal($0, 1)) dB" } ?? "equal" }
    func row(_ name: String, _ e: Errors) -> [String] { [name, String(format: "%.2e", e.latentMse), db(e.latentPsnr), db(e.picturePsnr)] }
    var rows = [["", "latent MSE", "latent PSNR", "picture PSNR"], ["VAE alone", "", "", db(vaePsnr)], row("reconstruction", errors)]
    if let withoutRemainder { rows.append(row("without the remainder", withoutRemainder)) }
    rows += curve.map { row("\($0.steps) steps", $0.errors) }
    let s = statistics
    try StandardOutput.line(table(rows))
    try StandardOutput.line(
      "noise: mean \(decimal(s.mean, 3)), deviation \(decimal(s.deviation, 3)), correlation of neighbours \(decimal(s.neighbourCorrelation, 3))"
    )
    for url in [kept.run.url] + (edit.map { [$0.url] } ?? []) + files.all + [figure] { try StandardOutput.line(url.relativePath) }
  }

  private struct Report: Encodable {
    struct Noise: Encodable {
      let mean: Double
      let deviation: Double
      let neighbourCorrelation: Double
    }
    /// The run that `generate --inversion` goes on from, and that of the edit.
    let run: String
    let editRun: String?
    let figure: String
    let arrays: String?
    let pictures: [String]
    let method: String
    let prompt: String
    let steps: Int
    let guidance: Double
    let width: Int
    let height: Int
    let vaePicturePsnr: Double?
    let reconstruction: Errors
    let withoutRemainder: Errors?
    let curve: [CurvePoint]
    let noise: Noise
  }
}

/// The files that `invert` writes beside its figure.
struct InvertFiles {
  enum Kind: String { case vae, reconstruction, edit }
  let arrays: URL?
  let pictures: [(kind: Kind, url: URL)]
  var all: [URL] { (arrays.map { [$0] } ?? []) + pictures.map(\.url) }

  init(_ verb: Invert) throws {
    arrays = verb.arrays.map { URL(fileURLWithPath: $0) }
    if let arrays, arrays.pathExtension.lowercased() != "safetensors" {
      throw InputError(.usage, "\(arrays.relativePath): an inversion is written as .safetensors", hint: "give a name that ends so")
    }
    let kinds: [Kind] = verb.edit == nil ? [.vae, .reconstruction] : [.vae, .reconstruction, .edit]
    pictures =
      verb.pictures.map { folder in
        kinds.map { ($0, URL(fileURLWithPath: folder, isDirectory: true).appendingPathComponent("\($0.rawValue).png")) }
      } ?? []
  }

  func write(_ study: InversionStudy) throws {
    if let arrays { try study.kept.file.write(to: arrays) }
    var origin = PictureMetadata()
    try origin.addOrigin(sdlabVersion: Sdlab.version)
    for (kind, url) in pictures {
      switch kind {
      case .vae: try study.vae.writePNG(to: url, metadata: origin)
      case .reconstruction: try study.reconstruction.writePNG(to: url, metadata: origin)
      case .edit: try study.edited?.writePNG(to: url, metadata: origin)
      }
    }
  }
}
