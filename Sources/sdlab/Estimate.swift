import Analysis
import Engine
import Foundation

/// What a run would take: for `--dry-run`.
struct Estimate: Encodable {
  /// Passes through the UNet, over all batches.
  private(set) var passes: Int
  /// Rows of the largest pass: images times two with guidance.
  private(set) var rows: Int
  private(set) var flops: Double
  private(set) var memoryBytes: Double
  private(set) var diskBytes: Double
  /// From the fastest to the slowest that is likely, loading included.
  private(set) var secondsLow: Double
  private(set) var secondsHigh: Double
  /// FLOPs a second of one pass through the UNet on a small input, measured just now.
  let measuredFlopsPerSecond: Double

  /// Latent positions of the pass that is timed: enough to be at the usual rate, few enough to be quick.
  private static let timedSide = 24

  /// - Parameters:
  ///   - latents: the final latents are written too.
  ///   - kept: the captures of a run that is kept, with its trajectory; nil where pictures are all that is written.
  init(_ run: PictureRun, load: Double, latents: Bool = false, kept: CapturePlan? = nil) throws {
    let (model, request, size) = (run.model, run.request, run.parameters)
    let count = request.count
    let costs = try Costs(run)
    let batches = (count + run.batch - 1) / run.batch
    let steps = try run.indices().count
    rows = run.batch * costs.rowsPerImage
    passes = steps * batches
    flops =
      costs.unet.flops * Double(steps * count * costs.rowsPerImage) + costs.text.flops * Double(batches)
      + costs.decode.flops * Double(count) * costs.tiles + costs.encode.flops * Double(costs.encodings * batches)
    memoryBytes = costs.memoryBytes
    // A PNG of noise is as large as its pixels; latents are float32.
    let latentBytes = latents ? Self.latentBytes(run) : 0
    diskBytes = Double(count) * (Double(size.width * size.height * 3) + latentBytes)
    if let kept { diskBytes += Self.runBytes(kept, steps: steps, latents: Double(count) * Self.latentBytes(run)) }

    measuredFlopsPerSecond = try Self.rate(model, tokens: model.promptLength)
    let time = flops / measuredFlopsPerSecond
    // Larger pictures run at up to twice the rate of the small pass, or below it where they leave the caches.
    secondsLow = load + 0.5 * time
    secondsHigh = load + 1.4 * time
  }

  /// Of one picture's latents, float32.
  private static func latentBytes(_ run: PictureRun) -> Double {
    let vae = run.model.vae.config
    return Double(run.parameters.width / vae.factor * (run.parameters.height / vae.factor) * vae.latentChannels * 4)
  }

  /// What a run has beside its pictures: final latents, the trajectory (latents before and after, and x0, of each step), captures, and the manifest,
  /// which lists calls, tokens and files.
  private static func runBytes(_ captures: CapturePlan, steps: Int, latents: Double) -> Double {
    let calls = Double(2 * steps)
    let files = Double(captures.entries.count)
    return latents * Double(2 * steps + 2) + Double(captures.bytes) + 30_000 + 250 * calls + files * (2_500 + 20 * calls)
  }

  /// Memory that a run takes, weights included.
  static func memory(_ run: PictureRun) throws -> Double { try Costs(run).memoryBytes }

  /// What the stages of a run cost, each for itself.
  private struct Costs {
    let rowsPerImage: Int
    /// One row.
    let unet: Cost
    /// All rows of one batch.
    let text: Cost
    /// One tile of one picture, and the number of tiles.
    let decode: Cost
    let tiles: Double
    let encode: Cost
    /// Pictures that are encoded for each batch.
    let encodings: Int
    let memoryBytes: Double

    init(_ run: PictureRun) throws {
      let (model, request) = (run.model, run.request)
      let vae = model.vae.config
      let (height, width) = (run.parameters.height / vae.factor, run.parameters.width / vae.factor)
      let prompt = try model.tokenize(request.prompt, longPrompt: request.longPrompt, emphasis: request.emphasis)
      rowsPerImage = model.rowsPerImage(request)
      unet = model.unet.config.cost(height: height, width: width, tokens: prompt.chunks.count * prompt.length)
      text = model.text.config.cost(tokens: prompt.length).times(prompt.chunks.count * rowsPerImage)
      let side = max(1, vae.sampleSize / vae.factor)
      let isTiled = run.tiling.isTiled(width: run.parameters.width, height: run.parameters.height, vae)
      decode = isTiled ? vae.decoderCost(height: min(side, height), width: min(side, width)) : vae.decoderCost(height: height, width: width)
      // Tiles overlap by a quarter on each side.
      let step = max(1, side * 3 / 4)
      tiles = isTiled ? Double(((height + step - 1) / step) * ((width + step - 1) / step)) : 1
      encode = vae.encoderCost(height: height, width: width)
      encodings = (request.initialImage == nil ? 0 : 1) + (request.mask == nil ? 0 : 1)

      // Buffers of other sizes that lie free take three quarters more than those in use (measured on the
      // embedded model from 64 to 512 pixels), the process by itself some 60 MB.
      let weights = model.source.weights.memoryBytes
      let encoding =
        encodings == 0 || Tiling.auto.isTiled(width: run.parameters.width, height: run.parameters.height, vae) ? 0 : encode.activations
      let activations = max(unet.times(run.batch * rowsPerImage).activations, decode.activations, encoding)
      let transformed = unet.transformedWeights + decode.transformedWeights + (encodings == 0 ? 0 : encode.transformedWeights)
      memoryBytes = Double(weights) + 4 * transformed + 1.75 * 4 * activations + 60e6
    }
  }

  /// Says so when a run is likely to need more memory than there is.
  static func warnAboutMemory(_ run: PictureRun) throws {
    guard let free = availableMemory else { return }
    let needed = try Costs(run).memoryBytes
    // What is loaded already is in both figures; at this scale it does not matter.
    if needed > 1.1 * free {
      run.report.warn("this needs about \(bytes(needed)) of memory, \(bytes(free)) are available: a smaller picture or --batch needs less")
    }
  }

  /// Times a pass through the UNet on one small row.
  private static func rate(_ model: StableDiffusion, tokens: Int) throws -> Double {
    let config = model.unet.config
    let side = timedSide
    let x = Tensor.zeros([1, side, side, config.inChannels])
    let text = Tensor.zeros([1, tokens, config.crossAttentionDim])
    let guidance = config.timeCondProjDim.map { Tensor.zeros([1, $0]) }
    // The first pass pays for pages and buffers.
    var best = Double.infinity
    for _ in 0..<2 {
      let start = ContinuousClock.now
      _ = try model.unet(x, timesteps: [500], text: text, guidanceEmbedding: guidance)
      best = min(best, seconds(.now - start))
      if best > 3 { break }
    }
    return config.cost(height: side, width: side, tokens: tokens).flops / max(best, 1e-9)
  }

  /// The same for several runs of one kind, the model loaded once.
  func times(_ runs: Int, load: Double) -> Estimate {
    var out = self
    out.passes *= runs
    out.flops *= Double(runs)
    out.diskBytes *= Double(runs)
    out.secondsLow = load + (secondsLow - load) * Double(runs)
    out.secondsHigh = load + (secondsHigh - load) * Double(runs)
    return out
  }

  func print(files: [URL], json: Bool) throws {
    if json { return try StandardOutput.json(Output(estimate: self, files: files.map(\.relativePath))) }
    let free = Self.availableMemory
    try StandardOutput.line(
      table([
        ["passes", "\(passes) through the UNet, \(rows) \(rows == 1 ? "row" : "rows") each"],
        ["FLOPs", prefixed(flops)],
        ["memory", "about \(bytes(memoryBytes))" + (free.map { " (\(bytes($0)) available)" } ?? "")],
        ["disk", "at most \(bytes(diskBytes))"],
        [
          "time",
          "\(duration(secondsLow)) to \(duration(secondsHigh)), at \(prefixed(measuredFlopsPerSecond))FLOP/s measured on a small input",
        ],
        [
          "would write",
          files.prefix(3).map(\.relativePath).joined(separator: ", ") + (files.count > 3 ? ", … (\(files.count) files)" : ""),
        ],
      ]))
  }

  private struct Output: Encodable {
    let estimate: Estimate
    let files: [String]
  }

  /// Bytes that Linux could give to a new process; nil where it does not say.
  private static var availableMemory: Double? {
    guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
      let kilobytes = line.split(separator: " ").dropFirst().first.flatMap({ Double($0) })
    else { return nil }
    return kilobytes * 1024
  }
}

extension Tiling {
  /// Whether a picture of this size is decoded in tiles.
  fileprivate func isTiled(width: Int, height: Int, _ vae: VAEConfig) -> Bool {
    switch self {
    case .off: false
    case .on: max(width, height) > vae.sampleSize
    case .auto: width * height > 1 << 20 && max(width, height) > vae.sampleSize
    }
  }
}
