import Analysis
import Engine

/// The pictures at the ends of an interpolation, both taken back to noise; their inversions are runs of the store, those of `sdlab invert`.
struct InvertedEndings {
  private let first: KeptInversion
  private let last: KeptInversion
  /// All that decides what the latents are, besides the frames' own steps and guidance.
  let name: String
  /// Paths of the two runs.
  var runs: [String] { [first, last].map(\.run.url.relativePath) }

  /// - Parameters:
  ///   - run: of the frames: its steps, guidance and size are those of the inversions.
  ///   - prompts: what the first and the last picture show.
  init(
    _ pictures: (RunInputs.Input<Picture>, RunInputs.Input<Picture>), _ run: PictureRun, _ prompts: (String, String), _ store: RunStore,
    again: Bool, _ report: ReportOptions
  ) throws {
    var bar = ProgressBar("inverting", total: 4 * run.request.steps, quiet: report.quiet)
    func inverted(_ input: RunInputs.Input<Picture>, _ prompt: String) throws -> KeptInversion {
      var p = run.parameters
      (p.prompt, p.initImage, p.strength, p.batch) = (prompt, input.source, nil, nil)
      let alone = try PictureRun(run.model, p, RunInputs(initImage: nil, mask: nil, initLatents: nil), report: .quietly(report))
      return try alone.inverted(
        .ddim, store, again: again, latents: { try InterpolationPath.Ending(input, run).latents }, progress: { bar.advance() })
    }
    first = try inverted(pictures.0, prompts.0)
    last = try inverted(pictures.1, prompts.1)
    func told(_ input: RunInputs.Input<Picture>, _ prompt: String) -> String {
      "\(input.source.sha256 ?? input.source.name) told '\(prompt)'"
    }
    name = "ddim inversions of \(told(pictures.0, prompts.0)) and \(told(pictures.1, prompts.1))"
  }

  /// Latents of both before a step of sampling, `[1, h, w, c]`.
  func latents(before step: Int) -> (Tensor, Tensor) { (first.inversion.trajectory[step], last.inversion.trajectory[step]) }
}
