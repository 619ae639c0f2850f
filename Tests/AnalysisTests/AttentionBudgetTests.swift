import Engine
import Foundation
import TestSupport
import Testing

@testable import Analysis

/// The attention budget against diffusers' own probabilities, and where the answer is known beforehand.
@Suite struct AttentionBudgetTests {
  static let cases = HeatmapTests.cases.filter { ["short-ddim", "no-guidance", "odd-negative-count-2", "tall-heun"].contains($0.case) }

  @Test func casesAreThere() { #expect(Self.cases.count == 4) }

  @Test(arguments: cases) func golden(_ c: HeatmapTests.Case) throws {
    let model = try HeatmapTests.model.get()
    let golden = try Golden("heatmaps/budget.safetensors")
    let guided = c.guidance > 1
    let budget = AttentionBudget(prompt: try model.tokenize(c.prompt), negative: guided ? try model.tokenize(c.negative ?? "") : nil)
    let run = try model.denoising(c.request(), probes: budget.probes(model))
    while try run.next() != nil {}
    #expect(budget.callSteps.count == c.calls)
    // diffusers lists its modules as down, up, mid.
    let order =
      budget.layers.indices.filter { budget.layers[$0].side != .mid } + budget.layers.indices.filter { budget.layers[$0].side == .mid }
    for image in 0..<c.count {
      for half in guided ? [RowLabel.Half.cond, .uncond] : [.cond] {
        let all = budget.entries(image: image, half: half).flatMap { call in order.flatMap { call[$0] } }
        let key = "\(c.case):\(image):\(half.rawValue)"
        let (share, entropy) = (try golden.values("\(key).share"), try golden.values("\(key).entropy"))
        #expect(relativeError(all.flatMap { $0.shares.map(Float.init) }, share.map(Double.init)) < 1e-3, "\(key)")
        #expect(relativeError(all.map { Float($0.entropy) }, entropy.map(Double.init)) < 1e-3, "\(key)")
        // Layers in another order must be noticed.
        let unsorted = budget.entries(image: image, half: half).flatMap { $0.flatMap { $0 } }
        #expect(relativeError(unsorted.map { Float($0.entropy) }, entropy.map(Double.init)) > 1e-2)
      }
    }
    if !guided { #expect(budget.entries(image: 0, half: .uncond).isEmpty) }
  }

  @Test func aKnownDistribution() {
    // Two pixels: one looks at BOS alone, one evenly at all four kinds.
    let p: [Float] = [1, 0, 0, 0, 0.25, 0.25, 0.25, 0.25]
    let entry = p.withUnsafeBufferPointer { AttentionBudget.entry($0, [.bos, .words, .eos, .padding]) }
    #expect(entry[.bos] == 0.625 && entry[.words] == 0.125 && entry[.eos] == 0.125 && entry[.padding] == 0.125)
    #expect(abs(entry.entropy - log(4) / 2) < 1e-12)
  }

  @Test func kindsOfAPrompt() throws {
    let model = try HeatmapTests.model.get()
    let kinds = AttentionBudget.kinds(of: try model.tokenize("a red house"))
    #expect(kinds.count == 32 && kinds.prefix(6) == [.bos, .words, .words, .words, .eos, .padding])
    #expect(AttentionBudget.kinds(of: try model.tokenize("")).prefix(3) == [.bos, .eos, .padding])
    let full = AttentionBudget.kinds(of: try model.tokenize(String(repeating: "red ", count: 50)))
    #expect(full.last == .eos && full.count { $0 == .words } == 30)
  }
}
