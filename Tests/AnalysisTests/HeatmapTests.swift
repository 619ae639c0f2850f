import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

/// Attention maps against their definitions computed in Python from diffusers' own attention probabilities.
@Suite struct HeatmapTests {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    var `case`: String
    var prompt: String
    var negative: String?
    var sampler: String
    var steps: Int
    var guidance: Double
    var seed: String
    var width: Int
    var height: Int
    var count: Int
    var words: [String: Word]
    var attributionIds: [Int]
    var promptTokens: Int
    var subjectTokens: [Int]
    var calls: Int
    var latentSize: [Int]
    var level: [Int]
    var drift64: Double
    var testDescription: String { self.case }
    struct Word: Decodable, Sendable {
      var tokens: [Int]
      var whole: [Int]
    }

    var latents: MapSize { MapSize(height: latentSize[0], width: latentSize[1]) }

    func request() throws -> GenerationRequest {
      GenerationRequest(
        prompt: prompt, negativePrompt: negative ?? "", sampler: try #require(SamplerName(rawValue: sampler)), steps: steps,
        guidance: guidance,
        seed: try #require(UInt64(seed)), width: width, height: height, count: count)
    }
  }

  struct File: Decodable { var cases: [Case] }
  static let cases = (try? Golden.json("heatmaps/cases.json", as: File.self).cases) ?? []
  static let model = Result { try StableDiffusion() }

  /// The bar; what is seen is about 1e-6.
  static let bar = 1e-3

  @Test func casesAreThere() { #expect(Self.cases.count >= 4) }

  private func recorded(_ c: Case, steps: ((Int) -> Bool)? = nil) throws -> CrossAttentionRecorder {
    let model = try Self.model.get()
    let recorder = CrossAttentionRecorder(model: model, latents: c.latents, steps: steps)
    let run = try model.denoising(c.request(), probes: recorder.probes(model))
    while try run.next() != nil {}
    if steps == nil {
      // As for every pipeline: four times what float32 costs diffusers itself on this case.
      let latents = try Golden("heatmaps/runs.safetensors").nhwc("\(c.case):latents")
      #expect(largestDifference(run.latents, latents) < max(1e-3, 4 * c.drift64))
      #expect(recorder.calls == c.calls)
    }
    return recorder
  }

  /// Tokens `0 ..< n` of `[h, w, tokens]` as `[n, h, w]`, as the goldens have them.
  private func tokensFirst(_ maps: [Float], _ tokens: Int, _ n: Int) -> [Float] {
    (0..<n).flatMap { t in stride(from: t, to: maps.count, by: tokens).map { maps[$0] } }
  }

  private func expectClose(_ mine: [Float], _ golden: Golden, _ name: String) throws {
    #expect(relativeError(mine, try golden.values(name).map(Double.init)) <= Self.bar, "\(name)")
  }

  @Test(arguments: cases) func maps(_ c: Case) throws {
    let recorder = try recorded(c)
    let (daam, p2p, neglect) = (
      try Golden("heatmaps/daam.safetensors"), try Golden("heatmaps/p2p.safetensors"), try Golden("heatmaps/neglect.safetensors")
    )
    #expect(recorder.level == MapSize(height: c.level[0], width: c.level[1]))
    for image in 0..<c.count {
      let key = "\(c.case):\(image)"
      let maps = try DAAM(recorder, image: image, latents: c.latents)
      for layer in recorder.layers where daam.has("\(key):layer.\(layer.place.path.dropFirst(5))") {
        let plane = layer.size.count * layer.tokens
        let heads = (0..<plane).map { i in (0..<layer.heads).reduce(Float(0)) { $0 + layer.sums[image][$1 * plane + i] } }
        let name = "\(key):layer.\(layer.place.path.dropFirst(5))"
        try expectClose(tokensFirst(heads, layer.tokens, daam.shape(name)[0]), daam, name)
      }
      try expectClose(tokensFirst(maps.maps, maps.tokens, daam.shape("\(key):raw")[0]), daam, "\(key):raw")
      let normalized = maps.normalized(content: c.promptTokens)
      try expectClose(tokensFirst(normalized, maps.tokens, daam.shape("\(key):normalized")[0]), daam, "\(key):normalized")
      for (word, positions) in c.words {
        try expectClose(maps.map(positions.tokens), daam, "\(key):word.\(word)")
        if daam.has("\(key):whole.\(word)") { try expectClose(maps.map(positions.whole), daam, "\(key):whole.\(word)") }
      }
      if p2p.has("\(key):maps") {
        let p = PromptToPromptMaps(recorder, image: image)
        try expectClose(tokensFirst(p.maps, p.tokens, p2p.shape("\(key):maps")[0]), p2p, "\(key):maps")
      }
      if neglect.has("\(key):max") {
        try expectClose(Neglect.maxima(recorder, image: image).flatMap { $0 }, neglect, "\(key):max")
      }
    }
  }

  @Test(arguments: cases, OVAMRecorder.Rows.allCases) func openVocabulary(_ c: Case, _ rows: OVAMRecorder.Rows) throws {
    let golden = try Golden("heatmaps/ovam.safetensors")
    guard golden.has("\(c.case):0:\(rows.rawValue)") else { return }
    let model = try Self.model.get()
    let recorder = try OVAMRecorder(model: model, attribution: c.attributionIds, rows: rows, latents: c.latents)
    let run = try model.denoising(c.request(), probes: recorder.probes(model))
    while try run.next() != nil {}
    for image in 0..<c.count {
      let (_, maps) = try recorder.maps(image: image)
      try expectClose(tokensFirst(maps, recorder.tokens, recorder.tokens), golden, "\(c.case):\(image):\(rows.rawValue)")
    }
  }

  /// Parts of a run: the golden's own choices of layers and steps.
  @Test func subsets() throws {
    let golden = try Golden("heatmaps/daam.safetensors")
    func check(_ name: String, _ subset: String, steps: ClosedRange<Int>, _ isWanted: @escaping (AttentionPlace, MapSize) -> Bool) throws {
      let c = try #require(Self.cases.first { $0.case == name })
      let recorder = try recorded(c, steps: { steps.contains($0) })
      let maps = try DAAM(recorder, image: 0, latents: c.latents, where: isWanted)
      let key = "\(name):0:subset.\(subset)"
      try expectClose(tokensFirst(maps.maps, maps.tokens, golden.shape(key)[0]), golden, key)
    }
    try check("subset-ddim", "up-0-4", steps: 0...4) { place, _ in place.side == .up }
  }

  @Test(arguments: ["4x4to16x16", "8x8to16x16", "3x5to7x20"]) func upsampling(_ name: String) throws {
    let golden = try Golden("heatmaps/upsample.safetensors")
    let (from, to) = (try golden.shape("\(name):in"), try golden.shape("\(name):bicubic"))
    let x = try golden.values("\(name):in")
    let (small, large) = (MapSize(height: from[1], width: from[2]), MapSize(height: to[1], width: to[2]))
    let interleaved = (0..<small.count).flatMap { [x[$0], x[small.count + $0]] }
    for (method, label) in [(Upsampling.bicubic, "bicubic"), (.bilinear, "bilinear")] {
      let mine = method.resize(interleaved, small, channels: 2, to: large)
      #expect(relativeError(tokensFirst(mine, 2, 2), try golden.values("\(name):\(label)").map(Double.init)) < 1e-5, "\(name) \(label)")
    }
  }

  /// Looking must not change the picture.
  @Test func readingLeavesTheLatentsAsTheyAre() throws {
    let model = try Self.model.get()
    let request = GenerationRequest(prompt: "a red house", sampler: .ddim, steps: 4, guidance: 4)
    let plain = try model.denoising(request)
    while try plain.next() != nil {}
    let recorder = CrossAttentionRecorder(model: model, latents: MapSize(height: 16, width: 16))
    let watched = try model.denoising(request, probes: recorder.probes(model))
    while try watched.next() != nil {}
    #expect(plain.latents.array == watched.latents.array)
    #expect(recorder.calls == 4)
  }
}
