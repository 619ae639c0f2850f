import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

/// Which head attends to a word: against diffusers' probabilities, and where one head alone was built to do so.
@Suite struct HeadAtlasTests {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    var `case`: String
    var word: String
    var positions: [Int]
    var image: Int
    var level: [Int]
    var testDescription: String { "\(self.case) \(word)" }
  }
  struct File: Decodable { var cases: [Case] }
  static let cases = (try? Golden.json("attention/cases.json", as: File.self).cases) ?? []

  @Test func casesAreThere() { #expect(Self.cases.count == 4) }

  @Test(arguments: cases) func golden(_ c: Case) throws {
    let model = try HeatmapTests.model.get()
    let golden = try Golden("attention/attention.safetensors")
    let run = try #require(HeatmapTests.cases.first { $0.case == c.case })
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("atlas-\(UInt64.random(in: 0...UInt64.max))")
    defer { try? FileManager.default.removeItem(at: folder) }
    // Through a run on the disk, as the verb does.
    let captures = [CaptureSpec("unet.*.attn2.probs"), CaptureSpec("unet.*.attn1.probs", reduce: .heads)]
    let request = try run.request()
    var parameters = GenerationParameters(
      sdlabVersion: "test", prompt: run.prompt, width: run.width, height: run.height, model: .init(name: "embedded"))
    parameters.count = run.count
    let stored = try Tracer(model, store: RunStore(folder), command: "test").run(request, parameters, captures: captures)
    let budget = AttentionBudget(prompt: try model.tokenize(run.prompt))
    let recorder = try CrossAttentionRecorder(stored, levels: 3, budget: budget)
    #expect(budget.callSteps.count == recorder.calls && recorder.calls == run.calls)
    #expect(try model.tokenize(run.prompt).positions(of: c.word).flatMap { $0 }.map(\.index) == c.positions)

    let atlas = try HeadAtlas(recorder, image: c.image, positions: c.positions)
    let layers = Dictionary(grouping: atlas.heads, by: \.place.path)
    #expect(layers.count == 7 && atlas.heads.count == 28)
    for (path, heads) in layers {
      let name = String(path.dropFirst(5))
      func compare(_ what: String, _ mine: [Float], _ bar: Double = 1e-3) throws {
        #expect(relativeError(mine, try golden.values("\(c.case):\(what).\(name)").map(Double.init)) < bar, "\(what) \(name)")
      }
      try compare("map", heads.flatMap(\.map))
      try compare("share", heads.map { Float($0.share) })
      try compare("peakedness", heads.map { Float($0.peakedness) }, 5e-3)
      // Heads in another order must be noticed.
      let turned = heads.dropFirst() + heads.prefix(1)
      #expect(relativeError(turned.flatMap(\.map), try golden.values("\(c.case):map.\(name)").map(Double.init)) > 1e-2, "\(name)")
    }

    let level = MapSize(height: c.level[0], width: c.level[1])
    #expect(recorder.level == level)
    let leading = try SelfAttentionMaps(stored, image: c.image, size: level).leading(4)
    let values = try golden.values("\(c.case):self.values").map(Double.init)
    #expect(relativeError(leading.map { Float($0.singularValue) }, values) < 1e-3)
    #expect(relativeError(leading.map { Float($0.share) }, try golden.values("\(c.case):self.shares").map(Double.init)) < 1e-3)
    let components = try golden.values("\(c.case):self.components")
    for (i, component) in leading.enumerated() {
      let expected = components[i * level.count..<(i + 1) * level.count]
      #expect(relativeError(component.map, expected.map(Double.init)) < 1e-3, "component \(i)")
    }
    #expect(throws: InputError.self) { try HeadAtlas(recorder, image: c.image, positions: [32]) }
    #expect(throws: InputError.self) { try HeadAtlas(recorder, image: run.count, positions: [1]) }
    #expect(throws: InputError.self) { try HeadAtlas(recorder, image: 0, positions: [1], where: { _, _ in false }) }
    #expect(throws: InputError.self) { try SelfAttentionMaps(stored, image: 0, size: level, steps: { _ in false }) }
  }

  /// Two layers of two heads; head 1 of the second looks at the word from one place only, the others a little from everywhere.
  @Test func onlyOneHeadAttends() throws {
    let size = MapSize(height: 4, width: 6)
    let recorder = CrossAttentionRecorder(levels: 1, latents: size)
    let (tokens, word, place) = (5, 3, 13)
    let paths = [
      "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.probs", "unet.up_blocks.0.attentions.0.transformer_blocks.0.attn2.probs",
    ]
    for step in 0..<2 {
      for (layer, path) in paths.enumerated() {
        var p = [Float](repeating: 0, count: 2 * 2 * size.count * tokens)
        for row in 0..<2 {
          for head in 0..<2 {
            for q in 0..<size.count {
              let at = ((row * 2 + head) * size.count + q) * tokens
              let planted = row == 1 && layer == 1 && head == 1
              let share: Float = planted ? (q == place ? 1 : 0) : 0.02
              p[at + word] = share
              p[at] = 1 - share
            }
          }
        }
        try recorder.record(
          Site(id: layer, path: path, axes: ""),
          Moment(step: step, timestep: 0, rows: [.init(image: 0, half: .uncond), .init(image: 0, half: .cond)]),
          Tensor(p, [2, 2, size.count, tokens]))
      }
    }
    let atlas = try HeadAtlas(recorder, image: 0, positions: [word])
    for ranking in HeadAtlas.Ranking.allCases {
      let first = try #require(atlas.ranked(by: ranking).first)
      #expect(first.place.side == .up && first.number == 1)
      #expect(abs(first.share - 1 / 24.0) < 1e-6 && first.peakedness == 1)
      #expect(first.map.firstIndex(of: 1) == place && first.map.count { $0 == 0 } == 23)
    }
    for head in atlas.heads.prefix(3) { #expect(abs(head.share - 0.02) < 1e-6 && head.peakedness < 1e-9) }
    let both = try HeadAtlas(recorder, image: 0, positions: [0, word])
    #expect(both.heads.allSatisfy { abs($0.share - 1) < 1e-6 })
  }

  @Test func notANumberIsRefused() throws {
    let model = try HeatmapTests.model.get()
    let budget = AttentionBudget(prompt: try model.tokenize("a red house"))
    var p = Tensor(repeating: 1 / 32, [1, 1, 4, 32])
    p.withUnsafeMutableBuffer { $0[40] = .nan }
    let site = Site(id: 0, path: "unet.mid_block.attentions.0.transformer_blocks.0.attn2.probs", axes: "")
    #expect(throws: InputError.self) { try budget.record(site, Moment(step: 3, rows: [.init(image: 0, half: .cond)]), p) }
  }
}
