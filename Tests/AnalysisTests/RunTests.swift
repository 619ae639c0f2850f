import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

/// Runs on the disk: whole or absent, found again, equal to what was seen live.
@Suite struct RunTests {
  static let model = Result { try StableDiffusion() }

  private func withStore(_ body: (RunStore) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-runs-\(UInt64.random(in: 0...UInt64.max))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(RunStore(folder))
  }

  private func request(_ steps: Int = 3) -> (GenerationRequest, GenerationParameters) {
    let request = GenerationRequest(prompt: "a red house at night", sampler: .ddim, steps: steps, guidance: 4, width: 64, height: 48)
    var p = GenerationParameters(
      sdlabVersion: "test", prompt: request.prompt, width: 64, height: 48, model: .init(name: "embedded", sha256: "00"))
    (p.sampler, p.steps, p.guidance) = ("ddim", steps, 4)
    return (request, p)
  }

  private static let attention = CaptureSpec("unet.*.attn2.probs")

  /// Capturing changes nothing, and a stored run gives the maps of a live one, bit by bit.
  @Test func aStoredRunIsTheLiveOne() throws {
    let model = try Self.model.get()
    try withStore { store in
      let (request, parameters) = request()
      let plain = try model.denoising(request)
      while try plain.next() != nil {}
      let latents = MapSize(height: 12, width: 16)
      let live = CrossAttentionRecorder(model: model, latents: latents)
      let watched = try model.denoising(request, probes: live.probes(model))
      while try watched.next() != nil {}

      let run = try Tracer(model, store: store, command: "test").run(
        request, parameters, captures: [Self.attention, CaptureSpec("unet.*.attn1.probs", reduce: .heads, steps: [1])])
      #expect(try run.finalLatents().array == plain.latents.array)
      try run.verify()
      let stored = try CrossAttentionRecorder(run, levels: 3)
      #expect(stored.calls == 3)
      #expect(try DAAM(stored, image: 0, latents: latents).maps == DAAM(live, image: 0, latents: latents).maps)
      #expect(try run.trajectory().count == 4 && run.predictions().count == 3)
      #expect(try run.trajectory()[3].array == plain.latents.array)
      // A part of the steps: as if only they had been recorded.
      let first = CrossAttentionRecorder(model: model, latents: latents, steps: { $0 == 0 })
      let again = try model.denoising(request, probes: first.probes(model))
      while try again.next() != nil {}
      let part = try CrossAttentionRecorder(run, levels: 3, steps: { $0 == 0 })
      #expect(try DAAM(part, image: 0, latents: latents).maps == DAAM(first, image: 0, latents: latents).maps)
      // Rows of probabilities sum to one, so do their means.
      let looks = try SelfAttentionMaps(run, image: 0, size: latents)
      #expect(looks.steps == [1])
      for q in 0..<latents.count {
        #expect(abs(looks.values[q * latents.count..<(q + 1) * latents.count].reduce(0, +) - 1) < 1e-4)
      }
    }
  }

  @Test func aRunIsMadeOnce() throws {
    let model = try Self.model.get()
    try withStore { store in
      let (request, parameters) = request(2)
      var steps = 0
      var tracer = Tracer(model, store: store, command: "test")
      tracer.progress = { _, _ in steps += 1 }
      let first = try tracer.run(request, parameters, captures: [Self.attention])
      #expect(steps == 2)
      let second = try tracer.run(request, parameters, captures: [Self.attention])
      #expect(steps == 3 && first.url == second.url)
      var other = parameters
      other.seed = 7
      #expect(try store.find(RunSpec(other, captures: [Self.attention])) == nil)
      #expect(try store.find(RunSpec(parameters)) == nil)
      #expect(try store.list().runs.count == 1)
    }
  }

  /// What stops in the middle leaves nothing; what is damaged afterwards is noticed and made again.
  @Test func wholeOrAbsent() throws {
    struct Stop: Error {}
    let model = try Self.model.get()
    try withStore { store in
      let (request, parameters) = request(2)
      let tracer = Tracer(model, store: store, command: "test")
      #expect(throws: Stop.self) {
        try tracer.run(
          request, parameters, captures: [Self.attention],
          intervention: .init(
            patterns: ["unet.mid_block.out"], handler: { _, moment, _ in if moment.step == 1 { throw Stop() } else { nil } }))
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: store.root.path).isEmpty)

      let run = try tracer.run(request, parameters, captures: [Self.attention])
      let file = run.url.appendingPathComponent(run.manifest.captures[0].file)
      let bytes = try Data(contentsOf: file)
      try bytes.dropLast(4).write(to: file)
      let error = #expect(throws: InputError.self) { try RunFolder(run.url) }
      #expect(error?.kind == .badData && error?.hint.contains("half there") == true)
      #expect(try store.list().damaged.count == 1)
      _ = try tracer.run(request, parameters, captures: [Self.attention])
      #expect(try Data(contentsOf: file) == bytes)
      var changed = bytes
      changed[changed.count - 1] ^= 1
      try changed.write(to: file)
      #expect(throws: InputError.self) { try RunFolder(run.url).verify() }
      #expect(throws: InputError.self) { try RunFolder(store.root) }
    }
  }

  /// The plan says beforehand what the files then take.
  @Test func planAndFilesAgree() throws {
    let model = try Self.model.get()
    try withStore { store in
      let (request, parameters) = request(2)
      let captures = [
        Self.attention, CaptureSpec("unet.*.attn1.probs", reduce: .heads, rows: .all, precision: .float16), CaptureSpec("unet.*.attn2.k"),
        CaptureSpec("unet.mid_block.out", reduce: .pixels, steps: [1]), CaptureSpec("unet.up_blocks.*.resnets.*.out"),
        CaptureSpec("unet.up_blocks.2.attentions.0.transformer_blocks.0.attn2.probs", reduce: .entropy),
      ]
      let plan = try CapturePlan(
        captures, model: model, latents: MapSize(height: 12, width: 16), images: 1, halves: 2, steps: 2, tokens: 32)
      let run = try Tracer(model, store: store, command: "test").run(request, parameters, captures: captures)
      let planned = Dictionary(plan.entries.map { ("\($0.site) \($0.reduction)", $0.shape) }) { a, _ in a }
      #expect(run.manifest.captures.count == plan.entries.count)
      for capture in run.manifest.captures { #expect(planned["\(capture.site) \(capture.reduction)"] == capture.shape, "\(capture.site)") }
      let sizes = run.manifest.files.filter { $0.path.hasPrefix("captures/") }.reduce(0) { $0 + $1.bytes }
      #expect(sizes == plan.bytes + plan.entries.count * 1032)
    }
  }

  @Test func reductions() throws {
    let site = Site(id: 0, path: "unet.x.attn2.probs", axes: "rows, heads, pixels, tokens")
    // Head 0 looks at everything alike, head 1 at one token.
    let p = Tensor([0.25, 0.25, 0.25, 0.25, 0, 1, 0, 0], [1, 2, 1, 4])
    #expect(CaptureSpec("*", reduce: .heads).reduced(p, row: 0) == [0.125, 0.625, 0.125, 0.125])
    let entropy = CaptureSpec("*", reduce: .entropy).reduced(p, row: 0)
    #expect(abs(entropy[0] - 1.3862944) < 1e-6 && entropy[1] == 0)
    #expect(try CaptureSpec("*", reduce: .entropy).reducedShape(p.shape, site: site) == [2])
    #expect(throws: InputError.self) { try CaptureSpec("*", reduce: .pixels).reducedShape(p.shape, site: site) }
    let features = Site(id: 0, path: "unet.mid_block.out", axes: "rows, height, width, channels")
    let f = Tensor([1, 10, 3, 30], [1, 1, 2, 2])
    #expect(CaptureSpec("*", reduce: .pixels).reduced(f, row: 0) == [2, 20])
    #expect(throws: InputError.self) { try CaptureSpec("*", reduce: .heads).reducedShape(f.shape, site: features) }
  }

  @Test func stepsByTheirNumbers() throws {
    #expect(try StepSelection("0-2,7, 5-6,1", total: 10).steps == [0, 1, 2, 5, 6, 7])
    #expect(try StepSelection("8-", total: 10).steps == [8, 9])
    #expect(try StepSelection("-1", total: 10).steps == [0, 1])
    for wrong in ["", "x", "3-99", "10", "5-3", "1,,2", "-"] {
      let error = #expect(throws: InputError.self, "\(wrong)") { try StepSelection(wrong, total: 10) }
      #expect(error?.kind == .usage)
    }
  }

  /// A matrix made of two patterns: the components are these patterns.
  @Test func plantedComponents() {
    let n = 16
    let v1 = (0..<n).map { $0 < 8 ? Float(1) : -1 }
    let v2 = (0..<n).map { $0 % 2 == 0 ? Float(1) : -1 }
    var a = [Float](repeating: 0, count: n * n)
    for q in 0..<n {
      for k in 0..<n { a[q * n + k] = 1 / Float(n) + 0.03 * (q < 8 ? 1 : -1) * v1[k] + 0.01 * (q % 3 == 0 ? 1 : -1) * v2[k] }
    }
    let maps = SelfAttentionMaps(size: MapSize(height: 4, width: 4), values: a, layers: 1, steps: [0])
    let found = maps.components(2)
    for (mine, planted) in zip(found, [v1, v2]) {
      let cosine = zip(mine, planted).reduce(Float(0)) { $0 + $1.0 * $1.1 } / 4
      #expect(abs(cosine) > 0.9999)
    }
  }

  /// The scenes' stored features are those of the model that comes with the program.
  @Test func referenceFeatures() throws {
    let model = try Self.model.get()
    let folder = try Resources.url("scenes-reference")
    let set = try ReferenceSet(folder: folder)
    #expect(set.scenes.count == 1024 && set.tile == 64)
    let file = folder.appendingPathComponent("features.safetensors")
    let digest = try #require(Safetensors.read(file).metadata["model_sha256"])
    let stored = try #require(try ReferenceSet.storedFeatures(folder, modelSha256: digest))
    #expect(stored.count == 1024)
    #expect(try ReferenceSet.storedFeatures(folder, modelSha256: "another") == nil)
    let some = [0, 500, 1023]
    let pictures = Tensor.concatenated(some.map { set.picture($0).tensor })
    let now = try LatentFeatures.of(model.encode(pictures), prompts: some.map { set.scenes[$0].caption }, model: model)
    for (i, index) in some.enumerated() {
      #expect(relativeError(stored[index].latents, now[i].latents.map(Double.init)) < 2e-3)
      #expect(relativeError(stored[index].h, now[i].h.map(Double.init)) < 2e-3)
      #expect(relativeError(stored[index].text, now[i].text.map(Double.init)) < 2e-3)
    }
    // Another caption lies elsewhere.
    let other = try LatentFeatures.of(model.encode(set.picture(0).tensor), prompts: ["a blue fish"], model: model)
    #expect(relativeError(other[0].text, now[0].text.map(Double.init)) > 0.1)
  }
}
