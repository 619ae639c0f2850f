import Analysis
import Engine
import Foundation

/// The files that a run writes, and the writing.
struct PictureFiles {
  let pictures: [URL]
  let latents: URL?
  var all: [URL] { pictures + (latents.map { [$0] } ?? []) }

  /// - Parameters:
  ///   - output: `-o`.
  ///   - numbers: what tells several pictures apart, one for each.
  ///   - defaultName: name of a single picture without its extension; several have `defaultStem` and their number.
  init(output: String?, defaultStem: String, numbers: [String], defaultName: String, latents: String?) throws {
    if numbers.count == 1 {
      pictures = [try OutputFile.picture(output, default: "\(defaultName).png")]
    } else {
      let base = try OutputFile.picture(output, default: "\(defaultStem).png")
      pictures = numbers.map { OutputFile.numbered(base, $0) }
    }
    self.latents = latents.map { URL(fileURLWithPath: $0) }
  }

  func check(force: Bool) throws { try OutputFile.check(all, force: force) }

  /// Makes the pictures `range` of a run, writes each as soon as it is there, and says where they are.
  func write(_ run: PictureRun, _ range: Range<Int>) throws {
    try Estimate.warnAboutMemory(run)
    let start = ContinuousClock.now
    var parameters = run.parameters
    var written: [Report.Image] = []
    let made = try run.make(range) { index, decoded in
      let picture = try parameters.watermark.map { try decoded.watermarked(with: Array($0.utf8)) } ?? decoded
      if let text = parameters.watermark, try picture.watermark(bytes: text.utf8.count) != Array(text.utf8) {
        run.report.warn("--watermark: the text cannot be read again from this picture: too much of it is smooth or saturated")
      }
      if parameters.model.sha256 == nil { parameters.model.sha256 = try ModelDigest.of(run.model.source, quiet: run.report.quiet) }
      parameters.index = index
      parameters.safety = try run.model.safetyChecker?.check([picture]).first
      if let verdict = parameters.safety { run.report.warn(verdict, of: "seed \(parameters.seed &+ UInt64(index))") }
      let url = pictures[index - range.lowerBound]
      try picture.writePNG(to: url, metadata: PictureMetadata(parameters))
      GenerationLog.record(url, digest: { try Digest.of(file: url) }, parameters, run.report)
      written.append(
        .init(
          path: url.relativePath, seed: parameters.seed &+ UInt64(index), width: picture.width, height: picture.height,
          safety: parameters.safety))
    }
    parameters.index = range.lowerBound
    parameters.safety = nil
    if let url = self.latents { try LatentsFile.write(made.latents, parameters, to: url) }
    if run.report.json {
      try StandardOutput.json(
        Report(
          images: written, latents: self.latents?.relativePath, seconds: seconds(.now - start),
          secondsBeforeFirstStep: made.beforeFirstStep,
          secondsSampling: made.sampling, parameters: parameters))
    } else {
      for url in all { try StandardOutput.line(url.relativePath) }
    }
  }

  private struct Report: Encodable {
    struct Image: Encodable {
      let path: String
      let seed: UInt64
      let width: Int
      let height: Int
      let safety: SafetyChecker.Verdict?
    }
    let images: [Image]
    let latents: String?
    /// Sampling, decoding and writing, without loading.
    let seconds: Double
    /// From the start of the process, loading and the text's encoding included.
    let secondsBeforeFirstStep: Double?
    let secondsSampling: Double
    let parameters: GenerationParameters
  }
}
