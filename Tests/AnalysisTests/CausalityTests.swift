import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

@Suite struct CausalityTests {
  struct Cases: Decodable {
    struct Ranked: Decodable {
      var name: String
      var x: [Double]
      var y: [Double]
      var ranks: [Double]
      var spearman: Double
    }
    var ranks: [Ranked]
  }

  @Test func ranksAsScipy() throws {
    let cases = try Golden.json("studies/cases.json", as: Cases.self).ranks
    #expect(cases.count == 4)
    for c in cases {
      #expect(RankCorrelation.ranks(c.x) == c.ranks, "\(c.name)")
      #expect(abs(try #require(RankCorrelation.spearman(c.x, c.y)) - c.spearman) < 1e-12, "\(c.name)")
    }
    #expect(RankCorrelation.spearman([1, 1, 1], [1, 2, 3]) == nil)
    #expect(RankCorrelation.spearman([1, .nan, 1], [1, 2, 3]) == nil)
    #expect(RankCorrelation.spearman([1, 2, 3], [30, 20, 10]) == -1)
  }

  @Test func changeMapsAsNumpy() throws {
    let golden = try Golden("studies/studies.safetensors")
    for (name, width, height) in [("square", 64, 64), ("large", 136, 200)] {
      let (a, b) = (
        Picture(width: width, height: height, pixels: try golden.bytes("\(name):a")),
        Picture(width: width, height: height, pixels: try golden.bytes("\(name):b"))
      )
      let shape = try golden.shape("change:\(name)")
      let map = try ChangeMap.between(a, b, size: MapSize(height: shape[0], width: shape[1]))
      #expect(relativeError(map, try golden.values("change:\(name)").map(Double.init)) < 1e-6)
      #expect(throws: InputError.self) { try ChangeMap.between(a, b, size: MapSize(height: 7, width: 7)) }
    }
  }

  /// A bump at a known place, with noise, as a map of 16x16.
  private func bump(_ y: Int, _ x: Int, seed: UInt64) -> [Float] {
    var random = TorchRandom(seed: seed)
    let noise = random.normal(count: 256)
    return (0..<256).map { i in
      let (dy, dx) = (Float(i / 16 - y), Float(i % 16 - x))
      return exp(-(dy * dy + dx * dx) / 20) + 0.05 * noise[i]
    }
  }

  @Test func aMapThatKnowsBeatsItsControls() {
    let change = bump(4, 4, seed: 1)
    let elsewhere = bump(11, 12, seed: 2)
    let good = MapTrust(map: bump(4, 4, seed: 3), change: change, controls: [(.otherSeed, elsewhere), (.absentWord, bump(12, 2, seed: 4))])
    #expect(good.isTrusted && (good.score ?? 0) > 0.4, "\(good.reason)")
    let bad = MapTrust(map: elsewhere, change: change, controls: [(.otherSeed, bump(4, 4, seed: 5))])
    #expect(!bad.isTrusted, "\(bad.reason)")
    // Right, but a control is as right: nothing is shown.
    let tie = MapTrust(
      map: bump(4, 4, seed: 3), change: change, controls: [(.absentWord, elsewhere), (.shuffledTokens, bump(4, 4, seed: 6))])
    #expect(!tie.isTrusted && tie.reason.contains("other tokens"))
    // Inverted: everything but the object.
    #expect(!MapTrust(map: change.map { -$0 }, change: change, controls: [(.otherSeed, elsewhere)]).isTrusted)
    #expect(!MapTrust(map: change, change: change, controls: []).isTrusted)
    #expect(!MapTrust(map: [Float](repeating: 1, count: 256), change: change, controls: [(.otherSeed, elsewhere)]).isTrusted)
  }

  @Test func shuffledTokensAreOthers() {
    let drawn = MapTrust.shuffledPositions(of: [2, 3], content: Array(1...9), seed: 5)
    #expect(drawn.count == 2 && drawn.allSatisfy { ![2, 3].contains($0) && (1...9).contains($0) } && drawn == drawn.sorted())
    #expect(drawn == MapTrust.shuffledPositions(of: [2, 3], content: Array(1...9), seed: 5))
    #expect(Set((0..<20).map { MapTrust.shuffledPositions(of: [2], content: Array(1...9), seed: $0) }).count > 3)
    #expect(MapTrust.shuffledPositions(of: [1], content: [1], seed: 0).isEmpty)
    #expect(MapTrust.shuffledPositions(of: [1, 2], content: [1, 2, 3], seed: 0) == [3])
  }

  private func request(steps: Int = 6) -> GenerationRequest {
    GenerationRequest(prompt: "a red house next to a green tree at night", sampler: .ddim, steps: steps, guidance: 4, seed: 42)
  }

  @Test func onlyTheWordsRowsAreReplaced() throws {
    let model = try HeatmapTests.model.get()
    let request = request()
    let whole = try model.conditioning(request)
    let padding = try model.conditioning(GenerationRequest(prompt: "")).prompt.array
    let out = try WordKnockOut("a", model, request)
    #expect(out.rows == [1, 6])
    let (before, after) = (whole.prompt.array, out.conditioning.prompt.array)
    let width = whole.prompt.shape[2]
    for row in 0..<whole.prompt.shape[1] {
      let range = row * width..<(row + 1) * width
      let filler = max(2, row)
      let expected = out.rows.contains(row) ? padding[filler * width..<(filler + 1) * width] : before[range]
      #expect(Array(after[range]) == Array(expected), "row \(row)")
    }
    #expect(out.conditioning.negative?.array == whole.negative?.array)
    #expect(throws: InputError.self) { try WordKnockOut("boat", model, request) }
  }

  /// A given conditioning that is the request's own changes nothing, another one does; ones that do not fit are refused.
  @Test func runsWithAGivenConditioning() throws {
    let model = try HeatmapTests.model.get()
    let request = request(steps: 2)
    func latents(_ conditioning: Conditioning?) throws -> [Float] {
      let run = try conditioning.map { try model.denoising(request, conditioning: $0) } ?? model.denoising(request)
      while try run.next() != nil {}
      return run.latents.array
    }
    let own = try model.conditioning(request)
    let plain = try latents(nil)
    #expect(try latents(own) == plain)
    let ends = try model.conditionings([request.prompt, "a blue boat on the sea"], request)
    #expect(try latents(ends[0]) == plain)
    #expect(try latents(Blending.lerp.conditioning(ends[0], ends[1], 0)) == plain)
    #expect(try latents(Blending.lerp.conditioning(ends[0], ends[1], 0.5)) != plain)
    let short = Tensor.zeros([1, 3, own.prompt.shape[2]])
    #expect(throws: InputError.self) { try latents(Conditioning(prompt: own.prompt, negative: short)) }
    #expect(throws: InputError.self) { try latents(Conditioning(prompt: .zeros([1, 3, 5]), negative: nil)) }
  }

  /// On the real model: taking the house out changes the picture, more than nothing at all and less than everything.
  @Test func aRealKnockOut() throws {
    let model = try HeatmapTests.model.get()
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sdlab-causes-\(UInt64.random(in: 0...UInt64.max))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let tracer = Tracer(model, store: RunStore(folder), command: "test")
    func run(_ request: GenerationRequest, _ sites: [String], _ intervention: Tracer.Intervention = .init()) throws -> RunFolder {
      var p = GenerationParameters(
        sdlabVersion: "test", prompt: request.prompt, width: 64, height: 64, model: .init(name: "embedded", sha256: "00"))
      (p.sampler, p.steps, p.guidance, p.seed) = ("ddim", request.steps, 4, request.seed)
      return try tracer.run(request, p, captures: sites.map { CaptureSpec($0) }, intervention: intervention)
    }
    let base = try run(request(), ["unet.*.attn2.probs", "unet.*.attn2.q"])
    var elsewhere = request()
    elsewhere.seed = 7
    let other = try run(elsewhere, ["unet.*.attn2.probs"])
    let knockOut = try WordKnockOut("house", model, request())
    let without = try run(request(), [], .init(["knock_out": "house"], conditioning: knockOut.conditioning))
    let attention = try CrossAttentionRecorder(base, levels: 3)
    let prompt = try model.tokenize(request().prompt)
    func evidence(_ absent: [String]) throws -> KnockOutStudy.Evidence {
      try .init(model, run: base, attention: attention, other: other, prompt: prompt, absent: absent)
    }
    let study = try KnockOutStudy("house", without: without.picture(0), evidence(["tree", "boat"]))
    #expect(study.heatmap.count == 256 && study.change.count == 256)
    #expect(try base.picture(0) != study.without)
    #expect(study.change.contains { $0 > 0.02 } && study.change.allSatisfy { (0...1).contains($0) })
    #expect(study.trust.score != nil && Set(study.trust.controls.map(\.kind)) == Set(MapTrust.Control.allCases))
    #expect(study.trust.controls.allSatisfy { $0.score != nil })
    // The heatmap is DAAM's of a live run.
    let size = MapSize(height: 16, width: 16)
    let recorder = CrossAttentionRecorder(model: model, latents: size)
    let live = try model.denoising(request(), probes: recorder.probes(model))
    while try live.next() != nil {}
    #expect(relativeError(study.heatmap, try DAAM(recorder, image: 0, latents: size).map([3]).map(Double.init)) < 1e-5)
    // A word of the prompt is no control; the picture itself has lost nothing.
    let fewer = try KnockOutStudy("house", without: base.picture(0), evidence(["tree"]))
    #expect(!fewer.trust.controls.contains { $0.kind == .absentWord })
    #expect(fewer.change.allSatisfy { $0 == 0 } && !fewer.trust.isTrusted)
    #expect(throws: InputError.self) { try KnockOutStudy("boat", without: without.picture(0), evidence(["cat"])) }
  }
}
