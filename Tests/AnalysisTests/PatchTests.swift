import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

/// Patches whose effect is known beforehand.
@Suite struct PatchTests {
  static let a = "a red house next to a green tree at night"
  static let b = "a blue boat on the sea"

  private func request(_ prompt: String, _ model: StableDiffusion, steps: Int = 4) -> GenerationRequest {
    GenerationRequest(
      prompt: prompt, sampler: .ddim, steps: steps, guidance: 4, seed: 42, width: model.nativeSize.width, height: model.nativeSize.height)
  }

  private func sites(_ model: StableDiffusion, _ ends: String...) -> [String] {
    model.sites.map(\.path).filter { path in path.hasPrefix("unet.") && ends.contains { path.hasSuffix($0) } }
  }

  private func latents(_ model: StableDiffusion, _ prompt: String, _ patch: ActivationPatch? = nil) throws -> [Float] {
    let change = patch?.intervention()
    let probes = try change.map { try Probes($0.patterns, sites: model.sites, handler: #require($0.handler)) }
    let run = try model.denoising(request(prompt, model), probes: probes)
    while try run.next() != nil {}
    return run.latents.array
  }

  private func text(_ model: StableDiffusion, _ prompt: String, _ sites: [String]) throws -> TextActivations {
    try TextActivations(prompt, model.conditionings([prompt, Self.b], request(Self.b, model))[0], sites: sites, model: model)
  }

  private func stored(_ model: StableDiffusion, _ prompt: String, _ patterns: [String], _ folder: URL) throws -> RunFolder {
    let parameters = GenerationParameters(
      sdlabVersion: "test", prompt: prompt, width: model.nativeSize.width, height: model.nativeSize.height, model: .init(name: "test"))
    return try Tracer(model, store: RunStore(folder), command: "test").run(
      request(prompt, model), parameters, captures: patterns.map { CaptureSpec($0) })
  }

  private func temporary() -> URL {
    FileManager.default.temporaryDirectory.appendingPathComponent("patch-\(UInt64.random(in: 0...UInt64.max))")
  }

  /// All keys and values of A, or all outputs of the layers: the run of B becomes that of A, to the bit. Nothing put in: B stays B.
  @Test func everythingGivesAAndNothingGivesB() throws {
    let model = try HeatmapTests.model.get()
    let folder = temporary()
    defer { try? FileManager.default.removeItem(at: folder) }
    let (a, b) = (try latents(model, Self.a), try latents(model, Self.b))
    #expect(a != b)
    let keys = sites(model, ".attn2.k", ".attn2.v")
    let swap = try ActivationPatch(sites: keys, .text(text(model, Self.a, keys)))
    #expect(try latents(model, Self.b, swap) == a)
    let run = try stored(model, Self.a, ["unet.*.attn2.k", "unet.*.attn2.v", "unet.*.attn2.out"], folder)
    let patch = try ActivationPatch(sites: keys, .activations(StoredActivations(run, sites: keys)))
    #expect(try latents(model, Self.b, patch) == a)
    let outputs = sites(model, ".attn2.out")
    let outs = try ActivationPatch(sites: outputs, .activations(StoredActivations(run, sites: outputs)))
    #expect(try relativeError(latents(model, Self.b, outs), run.finalLatents().array.map(Double.init)) == 0)
    // Values without keys are not all of it; no step is nothing.
    let values = sites(model, ".attn2.v")
    #expect(try latents(model, Self.b, ActivationPatch(sites: values, .activations(StoredActivations(run, sites: values)))) != a)
    #expect(try latents(model, Self.b, ActivationPatch(sites: keys, steps: [], .text(text(model, Self.a, keys)))) == b)
    // B's own words change nothing.
    #expect(try latents(model, Self.b, ActivationPatch(sites: keys, .text(text(model, Self.b, keys)))) == b)
  }

  /// Replacing what every layer reads is replacing the prompt's embedding.
  @Test func aWordKnockedOutAtAllLayersIsTheKnockOut() throws {
    let model = try HeatmapTests.model.get()
    let keys = sites(model, ".attn2.k", ".attn2.v")
    let knocked = try WordKnockOut("tree", model, request(Self.a, model))
    let run = try model.denoising(request(Self.a, model), conditioning: knocked.conditioning)
    while try run.next() != nil {}
    let patch = try ActivationPatch(sites: keys, .text(TextActivations("t", knocked.conditioning, sites: keys, model: model)))
    #expect(try latents(model, Self.a, patch) == run.latents.array)
  }

  /// A random tiny model in which one layer's output projection is zero, and two columns of another's: what goes through them has no effect, all else has.
  @Test func whatLeadsNowhereHasNoEffect() throws {
    let folder = temporary()
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.copyItem(at: Golden.folder.appendingPathComponent("tiny/v1"), to: folder)
    let dead = "mid_block.attentions.0.transformer_blocks.0.attn2"
    let half = "up_blocks.1.attentions.0.transformer_blocks.0.attn2"
    let file = folder.appendingPathComponent("unet/diffusion_pytorch_model.safetensors")
    let weights = try Safetensors.read(file).tensors
    var heads = 0
    let changed = try weights.map { stored -> (name: String, tensor: Tensor) in
      var values = try stored.float32().array
      if stored.name == "\(dead).to_out.0.weight" || stored.name == "\(dead).to_out.0.bias" { values = values.map { _ in 0 } }
      if stored.name == "\(half).to_out.0.weight" {
        // [out, in]: the inputs of head 1 of 2.
        heads += 1
        let width = stored.shape[1]
        for i in values.indices where i % width >= width / 2 { values[i] = 0 }
      }
      return (stored.name, Tensor(values, Shape(stored.shape)))
    }
    #expect(heads == 1)
    try Safetensors.write(changed, to: file)
    let model = try StableDiffusion(folder.path)
    let b = try latents(model, Self.b)

    let layers = SiteGroup.groups(
      model.sites.filter { $0.path.hasSuffix(".attn2.k") || $0.path.hasSuffix(".attn2.v") }, by: .layer, levels: 3)
    #expect(layers.count > 3 && layers.allSatisfy { $0.sites.count == 2 })
    for layer in layers {
      let swapped = try latents(model, Self.b, ActivationPatch(sites: layer.sites, .text(text(model, Self.a, layer.sites))))
      #expect((swapped == b) == layer.sites[0].contains(dead), "\(layer.name)")
    }
    for site in sites(model, ".attn2.mixed") {
      for head in 0..<2 {
        let ablated = try latents(model, Self.b, ActivationPatch(sites: [site], .zeroHeads([head], of: 2)))
        let isIdle = site.contains(dead) || (site.contains(half) && head == 1)
        #expect((ablated == b) == isIdle, "\(site) head \(head)")
      }
    }
    // Every head of a layer is the layer.
    let whole = ["unet.\(half).mixed"]
    #expect(
      try latents(model, Self.b, ActivationPatch(sites: whole, .zeroHeads([0, 1], of: 2)))
        == latents(model, Self.b, ActivationPatch(sites: whole, .zero)))
  }

  @Test func onlyTheChosenRowsStepsAndHeads() throws {
    let site = Site(id: 3, path: "unet.x.attn2.mixed", axes: "")
    let rows = [RowLabel(image: 0, half: .uncond), RowLabel(image: 0, half: .cond)]
    let x = Tensor((0..<24).map { Float($0 + 1) }, [2, 2, 6])
    func handled(_ patch: ActivationPatch, step: Int, first: Int = 0) throws -> [Float]? {
      try patch.intervention(firstStep: first).handler?(site, Moment(step: step, rows: rows), x)?.array
    }
    let one = ActivationPatch(sites: [site.path], steps: [2], .zeroHeads([1], of: 3))
    #expect(try handled(one, step: 1) == nil)
    #expect(
      try handled(one, step: 7, first: 5)?.enumerated().allSatisfy { i, v in v == (i >= 12 && [2, 3].contains(i % 6) ? 0 : Float(i + 1)) }
        == true)
    let both = ActivationPatch(sites: [site.path], rows: .both, .zeroHeads([0, 2], of: 3))
    #expect(try handled(both, step: 9)?.enumerated().allSatisfy { i, v in v == ([2, 3].contains(i % 6) ? Float(i + 1) : 0) } == true)
    #expect(throws: InputError.self) { try handled(ActivationPatch(sites: [site.path], .zeroHeads([4], of: 3)), step: 0) }
    #expect(throws: InputError.self) { try handled(ActivationPatch(sites: [site.path], .zeroHeads([0], of: 4)), step: 0) }
    let probs = Site(id: 4, path: "unet.x.attn2.probs", axes: "")
    #expect(throws: InputError.self) {
      try ActivationPatch(sites: [probs.path], .zero).intervention().handler?(probs, Moment(step: 0, rows: rows), x)
    }
    // The store must not take one for the other.
    let names = [
      one, both, ActivationPatch(sites: [site.path], .zeroHeads([1], of: 3)),
      ActivationPatch(sites: [site.path], steps: [], .zeroHeads([1], of: 3)),
      ActivationPatch(sites: [site.path], .zero), ActivationPatch(sites: ["unet.y.attn2.mixed"], .zero),
    ].map(\.name)
    #expect(Set(names).count == names.count)
  }

  @Test func runsThatDoNotFitAreRefused() throws {
    let model = try HeatmapTests.model.get()
    let folder = temporary()
    defer { try? FileManager.default.removeItem(at: folder) }
    let site = "unet.mid_block.out"
    let run = try stored(model, Self.a, [site], folder)
    #expect(throws: InputError.self) { try StoredActivations(run, sites: ["unet.conv_in"]) }
    let patch = try ActivationPatch(sites: [site], .activations(StoredActivations(run, sites: [site])))
    // More steps than were kept, another size, rows that were not kept.
    for (steps, width, rows) in [(5, 64, ActivationPatch.Rows.cond), (4, 96, .cond), (4, 64, .both)] {
      let change = ActivationPatch(sites: [site], rows: rows, patch.replacement).intervention()
      var wrong = request(Self.b, model, steps: steps)
      wrong.width = width
      let denoising = try model.denoising(wrong, probes: Probes(change.patterns, sites: model.sites, handler: #require(change.handler)))
      #expect(throws: InputError.self) { while try denoising.next() != nil {} }
    }
    #expect(throws: InputError.self) { try text(model, Self.a, ["unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.q"]) }
    // A run whose values are not numbers.
    let capture = try #require(run.manifest.captures.first)
    let file = run.url.appendingPathComponent(capture.file)
    var bytes = try Data(contentsOf: file)
    // The last value of the file.
    bytes.withUnsafeMutableBytes { $0.storeBytes(of: Float.nan, toByteOffset: $0.count - 4, as: Float.self) }
    try bytes.write(to: file)
    let broken = try ActivationPatch(sites: [site], .activations(StoredActivations(RunFolder(run.url), sites: [site])))
    #expect(throws: InputError.self) { try latents(model, Self.b, broken) }
  }

  @Test func effectsOfKnownPictures() throws {
    func outcome(_ latents: [Float], _ pixels: [UInt8]) -> PatchEffect.Outcome {
      .init(latents: Tensor(latents, [1, 1, 2, 1]), picture: Picture(width: 2, height: 1, pixels: pixels))
    }
    let a = outcome([0, 0], [0, 10, 20, 30, 40, 50])
    let b = outcome([3, 4], [0, 0, 0, 0, 0, 51])
    let half = outcome([1.5, 2], [50, 40, 30, 20, 10, 0])
    let effect = try PatchEffect(half, target: b, source: a, region: [true, true])
    #expect(abs((effect.toward ?? 0) - 0.5) < 1e-12 && abs(effect.latent - 0.5) < 1e-12)
    #expect(abs(effect.change - Double(50 + 40 + 30 + 20 + 10 + 51) / (6 * 255)) < 1e-12)
    #expect(abs((effect.region ?? 0) + 1) < 1e-12)
    let same = try PatchEffect(a, target: b, source: a, region: [false, true])
    #expect(same.toward == 1 && abs((same.region ?? 0) - 1) < 1e-12)
    let untouched = try PatchEffect(b, target: b, source: a)
    #expect(untouched.toward == 0 && untouched.change == 0 && untouched.latent == 0 && untouched.region == nil)
    #expect(try PatchEffect(b, target: b, source: nil).toward == nil)
    // Away from A.
    #expect(try PatchEffect(outcome([6, 8], [0, 0, 0, 0, 0, 0]), target: b, source: a).toward == -1)
    #expect(try PatchEffect(a, target: b, source: nil, region: [false, false]).region == nil)
    #expect(throws: InputError.self) { try PatchEffect(a, target: b, source: b) }
    #expect(throws: InputError.self) { try PatchEffect(a, target: b, source: nil, region: [true]) }
    let mask = try WordRegion.mask([0, 1, 0.4, 0.41], MapSize(height: 2, width: 2), width: 4, height: 2)
    #expect(mask == [false, false, true, true, false, false, true, true])
    #expect(try WordRegion.mask([2, 2], MapSize(height: 1, width: 2), width: 2, height: 1) == [false, false])
    #expect(throws: InputError.self) { try WordRegion.mask([2, 2], MapSize(height: 1, width: 2), width: 3, height: 1) }
  }

  @Test func groupsInNetworkOrder() throws {
    let model = try HeatmapTests.model.get()
    let keys = model.sites.filter { $0.path.hasSuffix(".attn2.k") }
    func names(_ grouping: SiteGroup.Grouping) -> [String] { SiteGroup.groups(keys, by: grouping, levels: 3).map(\.name) }
    #expect(names(.layer) == ["down 0.0", "down 1.0", "mid", "up 1.0", "up 1.1", "up 2.0", "up 2.1"])
    #expect(names(.block) == ["down 0", "down 1", "mid", "up 1", "up 2"])
    #expect(names(.level) == ["level 0", "level 1", "level 2"])
    let levels = SiteGroup.groups(keys, by: .level, levels: 3)
    #expect(levels.map(\.sites.count) == [3, 3, 1] && levels[0].sites[1].hasPrefix("unet.up_blocks.2."))
    let outs = model.sites.filter { $0.path.hasPrefix("unet.") && $0.path.hasSuffix(".out") }
    let groups = SiteGroup.groups(outs, by: .layer, levels: 3)
    #expect(Set(groups.map(\.name)).count == groups.count && groups.flatMap(\.sites).count == outs.count)
  }
}
