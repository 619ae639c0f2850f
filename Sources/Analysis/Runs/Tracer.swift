import Engine
import Foundation

/// Makes a run and writes it: pictures, latents of every step, captured sites.
public struct Tracer {
  public let model: StableDiffusion
  public let store: RunStore
  /// The command line, for the manifest.
  public var command: String
  /// Called after every step with the step and the number of steps.
  public var progress: (Int, Int) -> Void = { _, _ in }
  public var tiling = Tiling.auto

  public init(_ model: StableDiffusion, store: RunStore, command: String) {
    self.model = model
    self.store = store
    self.command = command
  }

  /// Someone who changes the run while it is made.
  public struct Intervention {
    /// Recorded in the manifest: `knock_out: house`.
    public var name: [String: String]
    public var patterns: [String]
    public var handler: Probes.Handler?
    /// In place of the prompt's own embedding.
    public var conditioning: Conditioning?
    /// What the run begins with in place of its own start: latents `[n, h, w, c]` at the noise level of its first step (`plan.initialLatents`,
    /// `plan.addNoise`). The generators have drawn the run's own start before, so that the steps' noise is that of a plain run of the same seed.
    public var begin: ((Denoising) throws -> Tensor)?
    /// Asks the network a second time at each step and takes the predicted x0 from that answer (Asyrp). Captures see the first.
    public var original: (patterns: [String], handler: Probes.Handler)?
    /// Writes further files into the run's folder, before its files are listed.
    public var files: ((URL) throws -> Void)?

    public init(
      _ name: [String: String] = [:], patterns: [String] = [], handler: Probes.Handler? = nil, conditioning: Conditioning? = nil,
      begin: ((Denoising) throws -> Tensor)? = nil, original: (patterns: [String], handler: Probes.Handler)? = nil,
      files: ((URL) throws -> Void)? = nil
    ) {
      self.name = name
      self.patterns = patterns
      self.handler = handler
      self.conditioning = conditioning
      self.begin = begin
      self.original = original
      self.files = files
    }
  }

  /// The run of this request: from the store when it is there, otherwise made now.
  ///
  /// - Parameters:
  ///   - parameters: the record of `request`, with the digests of the model and of the pictures that it begins with.
  ///   - again: make it even when it is there.
  public func run(
    _ request: GenerationRequest, _ parameters: GenerationParameters, captures: [CaptureSpec] = [], intervention: Intervention = .init(),
    again: Bool = false
  ) throws -> RunFolder {
    let spec = RunSpec(parameters, captures: captures, intervention: intervention.name)
    if !again, let found = try store.find(spec) {
      let steps = found.manifest.timesteps.count
      progress(steps, steps)
      return found
    }
    let clock = ContinuousClock()
    let begin = clock.now
    let folder = try AtomicFolder(store.place(spec))
    let conditioning = try intervention.conditioning ?? model.conditioning(request)
    let encoded = clock.now
    let recorder = RunRecorder(captures, sites: model.sites, folder: folder.temporary)
    let probes = try recorder.probes(model.sites, and: intervention.handler, patterns: intervention.patterns)
    let original = try intervention.original.map { try Probes($0.patterns, sites: model.sites, handler: $0.handler) }
    let run = try model.denoising(request, conditioning: conditioning, probes: probes, original: original)
    recorder.firstStep = run.indices.lowerBound
    if let begin = intervention.begin {
      let start = try begin(run)
      precondition(start.shape == run.latents.shape, "a run of \(run.latents.shape) cannot begin with \(start.shape)")
      run.latents = start
    }
    var trajectory = [run.latents]
    var predictions: [Tensor] = []
    while let step = try run.next() {
      trajectory.append(run.latents)
      predictions.append(step.predictedOriginal)
      progress(step.number + 1, step.total)
    }
    let sampled = clock.now
    BufferPool.current.trim()
    let captured = try recorder.finish()
    let temporary = folder.temporary
    try Safetensors.write([("latents", run.latents.nchw())], to: temporary.appendingPathComponent("latents.safetensors"))
    try Safetensors.write(
      [("latents", Self.stacked(trajectory)), ("predicted_original", Self.stacked(predictions))],
      to: temporary.appendingPathComponent("trajectory.safetensors"))
    let pictures = try (0..<request.count).map { Picture(try model.decode(run.latents.slice($0..<$0 + 1), tiling: tiling)) }
    // All at once: the checker packs its weights for each asking.
    let verdicts = try model.safetyChecker?.check(pictures)
    for (i, picture) in pictures.enumerated() {
      var record = parameters
      record.index = i
      record.intervention = intervention.name.isEmpty ? nil : intervention.name
      record.safety = verdicts?[i]
      try picture.writePNG(to: temporary.appendingPathComponent("image-\(i).png"), metadata: PictureMetadata(record))
    }
    BufferPool.current.trim()
    let prompt = try model.tokenize(request.prompt, longPrompt: request.longPrompt, emphasis: request.emphasis)
    let plan = run.plan
    let timesteps = run.indices.map { plan.timesteps[$0] }
    let abar = try NoiseSchedule(model.source.schedulerConfig).alphasCumprod
    try intervention.files?(temporary)
    let files = try Self.index(temporary)
    let manifest = RunManifest(
      id: try store.place(spec).lastPathComponent, spec: spec, specSha256: try spec.digest(), command: command,
      created: ISO8601DateFormatter().string(from: Date()), modelSha256: parameters.model.sha256 ?? "",
      latentSize: [run.latents.shape[1], run.latents.shape[2]], timesteps: timesteps,
      alphasCumprod: timesteps.map { abar[max(0, min(abar.count - 1, Int($0.rounded())))] }.map(Double.init), calls: recorder.calls,
      tokens: prompt.chunks.flatMap(\.tokens),
      promptTokens: prompt.words.reduce(0) { $0 + $1.positions.count },
      words: prompt.words.map { word in .init(text: word.text, positions: word.positions.map { $0.chunk * prompt.length + $0.index }) },
      captures: captured, threads: Processor.threads, instructionSet: Processor.instructionSet,
      seconds: [
        "text": (encoded - begin).inSeconds, "sampling": (sampled - encoded).inSeconds, "decoding": (clock.now - sampled).inSeconds,
      ],
      files: files, safety: verdicts)
    try AtomicFile.write(RunManifest.encoder.encode(manifest), to: temporary.appendingPathComponent("manifest.json"))
    try folder.commit()
    return try RunFolder(store.place(spec))
  }

  /// Tensors `[n, h, w, c]` as one `[count, n, c, h, w]`.
  private static func stacked(_ tensors: [Tensor]) -> Safetensors.Value {
    let first = tensors[0].nchw().shape.dimensions
    let data = tensors.reduce(into: Data()) { data, tensor in tensor.nchw().withUnsafeBuffer { data.append(Data(buffer: $0)) } }
    return .raw(.float32, shape: [tensors.count] + first, data)
  }

  private static func index(_ folder: URL) throws -> [RunManifest.File] {
    let paths = (FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []).sorted()
    return try paths.compactMap { path in
      let url = folder.appendingPathComponent(path)
      let attributes = try FileManager.default.attributesOfItem(atPath: url.path)
      guard attributes[.type] as? FileAttributeType == .typeRegular, let size = attributes[.size] as? Int else { return nil }
      return RunManifest.File(path: path, bytes: size, sha256: try Digest.of(file: url))
    }
  }
}
