import Foundation
import TestSupport
import Testing

@testable import Engine

/// Optimisers against PyTorch's (Tests/Goldens/make/optimisers.py) and against what is known of them.
@Suite struct OptimiserTests {
  private struct Run: Decodable {
    let losses: [Double]
    let norms: [Double]
    let averageNorm: Double
  }

  /// Ten steps: losses, gradient norms before clipping, and the norm of the averaged parameters.
  @Test(arguments: ["v1", "v2"], ["adamw", "muon"]) func tenSteps(model: String, way: String) throws {
    let runs = try Golden.json("gradients/optimisers.json", as: [String: [String: Run]].self)
    let expected = try #require(runs[model]?[way])
    let source = try ModelSource.resolve(Golden.folder.appendingPathComponent("tiny/\(model)").path)
    let pipeline = try StableDiffusion(source)
    let golden = try Golden("gradients/\(model).safetensors")
    let ids = try golden.tensor("in:ids")
    let rows = (0..<ids.shape[0]).map { row in ids.slice(row..<row + 1).array.map { Int($0) } }
    let all = try Parameters(source.weights)
    var parameters = Parameters(zip(all.names, all.values).filter { !$0.0.hasPrefix("vae.") }.map { ($0, $1) })
    var average = MovingAverage(parameters, decay: 0.9)
    var adam = AdamW(beta2: 0.99)
    var muon = Muon(decay: 0.05)
    let shapes = Dictionary(uniqueKeysWithValues: zip(parameters.names, parameters.values.map(\.shape)))
    func isHidden(_ name: String) -> Bool { way == "muon" && shapes[name].map { Muon.isHidden(name, $0) } ?? false }
    let rate = LearningRate(highest: 5e-3, warmUp: 3, total: 10)
    for step in 0..<10 {
      let recorded = parameters.recorded()
      let text = CLIPText(recorded.store["text_encoder"]["text_model"], pipeline.text.config)
      let unet = UNet(recorded.store["unet"], pipeline.unet.config)
      let out = try unet(
        golden.nhwc("in:noisy"), timesteps: golden.values("in:times").map(Double.init), text: text(rows).lastHiddenState)
      let loss = out.meanSquaredError(try golden.nhwc("in:target"), weights: try golden.values("in:weights"))
      #expect(abs(Double(loss.array[0]) / expected.losses[step] - 1) < 1e-3, "loss of step \(step)")
      let gradients = recorded.gradients(of: loss)
      let norm = globalNorm(gradients)
      #expect(abs(norm / expected.norms[step] - 1) < 5e-3, "norm of step \(step)")
      let scale = clippingFactor(norm: norm, limit: 0.5)
      adam.step(&parameters, gradients, rate: rate(step), decay: { _, shape in shape.rank >= 2 ? 0.05 : 0 }, scale: scale) { !isHidden($0) }
      muon.step(&parameters, gradients, rate: rate(step), scale: scale) { name, _ in isHidden(name) }
      average.update(parameters)
    }
    let squares = average.values.values.reduce(0.0) { $1.array.reduce($0) { $0 + Double($1) * Double($1) } }
    #expect(abs(squares.squareRoot() / expected.averageNorm - 1) < 1e-4)
    // The losses move: a step in the wrong direction, or none, is not hidden by the tolerance.
    #expect(expected.losses[9] < 0.98 * expected.losses[0])
  }

  /// A tall and a wide matrix of known singular values come out with all of them near 1, and the same singular vectors.
  @Test func newtonAndSchulz() {
    for (m, n) in [(2, 3), (3, 2)] {
      // Rotations by 0.3 and 0.7 around the values 3 and 1.
      let (c, s) = (Float(cos(0.3)), Float(sin(0.3)))
      var x = [Float](repeating: 0, count: m * n)
      for (k, value) in [Float(3), 1].enumerated() {
        let u = k == 0 ? [c, s] : [-s, c]
        for i in 0..<2 { x[i * n + k] = value * u[i] }
      }
      let y = Muon.orthogonalised(Tensor(x, [m, n]), iterations: 5).array
      for k in 0..<2 {
        let column = (0..<m).map { y[$0 * n + k] }
        let norm = column.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(norm > 0.6 && norm < 1.3)
        let u = k == 0 ? [c, s] : [-s, c]
        #expect(abs(zip(column, u).reduce(0) { $0 + $1.0 * $1.1 } / norm - 1) < 1e-4)
      }
    }
  }

  @Test func rates() {
    let rate = LearningRate(highest: 2, warmUp: 4, total: 100, floor: 0.01)
    #expect(abs(rate(0) - 0.5) < 1e-3 && abs(rate(1) - 1) < 1e-3)
    #expect(abs(rate(50) - 1) < 1e-12)
    #expect(abs(rate(100) - 0.02) < 1e-12 && rate(1000) == rate(100))
    #expect((4..<93).allSatisfy { rate($0) > rate($0 + 1) })
    #expect((94..<100).allSatisfy { rate($0) == rate(100) }, "the floor cuts the end of the cosine")
  }

  @Test func weighting() {
    let weight = SNRWeighting(gamma: 5)
    // SNR 9 is cut to 5, SNR 1 is not.
    #expect(abs(weight(alphaBar: 0.9, .epsilon) - 5.0 / 9) < 1e-12)
    #expect(abs(weight(alphaBar: 0.5, .epsilon) - 1) < 1e-12)
    #expect(abs(weight(alphaBar: 0.9, .vPrediction) - 0.5) < 1e-12)
    #expect(abs(weight(alphaBar: 0.9, .sample) - 5) < 1e-12)
  }

  @Test func clipping() {
    #expect(clippingFactor(norm: 0.1, limit: 1) == 1)
    #expect(abs(clippingFactor(norm: 4, limit: 1) - 0.25) < 1e-6)
    #expect(abs(globalNorm(["a": Tensor([3], [1]), "b": Tensor([0, 4], [2])]) - 5) < 1e-12)
  }
}
