import Analysis
import ArgumentParser
import Engine

/// What is kept of the inside of a run.
struct CaptureOptions: ParsableArguments {
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Sites to capture, * standing for any run of characters; `@none`, `@heads`, `@entropy` or `@pixels` behind one overrides --reduce. Default: "
        + "the cross-attention and h-space: 'unet.*.attn2.probs' unet.mid_block.out@none.", valueName: "pattern"))
  var sites: [String] = []

  @Option(
    help: ArgumentHelp(
      "What is kept of a tensor: none (all of it), heads (attention: mean over the heads), entropy (attention: over the tokens, by head), pixels "
        + "(mean over the positions). Default: none, and heads for attention that would take more than 1 GB.", valueName: "how"))
  var reduce: CaptureSpec.Reduction?

  @Option(help: ArgumentHelp("Rows of the batch that are kept: cond (with the prompt), uncond or all.", valueName: "which"))
  var rows = CaptureSpec.Rows.cond

  @Option(help: ArgumentHelp("Steps that are kept, from 0: 0-9, 0,10,20 or 40-. Default: all.", valueName: "steps"))
  var atSteps: String?

  @Option(help: ArgumentHelp("How numbers are stored: f32 or f16.", valueName: "type"))
  var store = CaptureSpec.Precision.float32

  /// Beyond this, attention is averaged over its heads unless somebody asked for all of it.
  private static let largest = 1_000_000_000

  static let defaults = ["unet.*.attn2.probs", "unet.mid_block.out@none"]

  /// The captures and what they will take.
  func plan(_ run: PictureRun) throws -> (captures: [CaptureSpec], plan: CapturePlan) {
    let steps = try run.indices().count
    let kept = try atSteps.map { try StepSelection($0, total: steps).steps }
    let patterns = sites.isEmpty ? Self.defaults : sites
    func specs(_ automatic: CaptureSpec.Reduction) throws -> [CaptureSpec] {
      try patterns.map { text in
        let parts = text.split(separator: "@", maxSplits: 1).map(String.init)
        guard let pattern = parts.first else { throw InputError(.usage, "--sites: expected a pattern, found '\(text)'") }
        var how = reduce ?? (pattern.hasSuffix(".probs") ? automatic : .none)
        if parts.count == 2 {
          guard let own = CaptureSpec.Reduction(rawValue: parts[1]) else {
            throw InputError(
              .usage, "--sites: there is no reduction '\(parts[1])'",
              hint: CaptureSpec.Reduction.allCases.map(\.rawValue).joined(separator: ", "))
          }
          how = own
        }
        return CaptureSpec(pattern, reduce: how, rows: rows, steps: kept, precision: store)
      }
    }
    let all = try specs(.none)
    let plan = try run.plan(all)
    guard reduce == nil, plan.bytes > Self.largest else { return (all, plan) }
    let averaged = try specs(.heads)
    return (averaged, try run.plan(averaged))
  }
}

extension PictureRun {
  /// Size of its latents.
  var latentSize: MapSize {
    let factor = model.vae.config.factor
    return MapSize(height: parameters.height / factor, width: parameters.width / factor)
  }

  /// What captures of this run will take.
  func plan(_ captures: [CaptureSpec]) throws -> CapturePlan {
    let prompt = try model.tokenize(request.prompt, longPrompt: request.longPrompt, emphasis: request.emphasis)
    return try CapturePlan(
      captures, model: model, latents: latentSize, images: request.count, halves: model.rowsPerImage(request), steps: indices().count,
      tokens: prompt.chunks.count * prompt.length)
  }
}

extension CaptureSpec.Reduction: ExpressibleByArgument {}
extension CaptureSpec.Rows: ExpressibleByArgument {}
extension CaptureSpec.Precision: ExpressibleByArgument {}
