import Foundation
import TestSupport
import Testing

@testable import Engine

/// Every vector-Jacobian product against central differences of the operation's definition in double precision.
@Suite struct GradientTests {
  /// Compares the recorded operation with `naive`: its values, and the gradients of a weighted sum of them for every input.
  ///
  /// Not every element of a large input is differenced: 48, spread evenly, and the whole gradient's sum along a direction.
  func check(
    _ shapes: [Shape], spread: Float = 1, _ run: ([Tensor]) -> Tensor, _ naive: ([[Double]]) -> [Double],
    _ place: SourceLocation = #_sourceLocation
  ) {
    let inputs = shapes.enumerated().map { i, shape in Tensor(pattern(shape.count, Double(i) + 0.3).map { spread * $0 }, shape) }
    let leaves = inputs.map { $0.recorded() }
    let result = run(leaves)
    let values = inputs.map { $0.array.map(Double.init) }
    let expected = naive(values)
    #expect(relativeError(result.array, expected) < 1e-5, "the values", sourceLocation: place)
    #expect(result.array == run(inputs).array || relativeError(run(inputs).array, expected) < 1e-5, "unrecorded", sourceLocation: place)
    let seed = pattern(result.count, 5)
    func loss(_ v: [[Double]]) -> Double { zip(naive(v), seed).reduce(0) { $0 + $1.0 * Double($1.1) } }
    let found = gradients(of: result, seed: Tensor(seed, result.shape), for: leaves)
    for (i, gradient) in found.enumerated() {
      guard let gradient else {
        Issue.record("input \(i) has no gradient", sourceLocation: place)
        continue
      }
      #expect(gradient.shape == shapes[i], sourceLocation: place)
      let h = 1e-5
      func difference(_ change: (inout [Double], Double) -> Void) -> Double {
        var (up, down) = (values, values)
        change(&up[i], h)
        change(&down[i], -h)
        return (loss(up) - loss(down)) / (2 * h)
      }
      let g = gradient.array
      let places = stride(from: 0, to: g.count, by: max(1, g.count / 48 | 1))
      let differences = places.map { at in difference { $0[at] += $1 } }
      let scale = max(differences.lazy.map(abs).max() ?? 0, 1e-3)
      let worst = zip(places, differences).map { abs(Double(g[$0]) - $1) }.max() ?? .infinity
      #expect(worst / scale < 1e-4, "input \(i)", sourceLocation: place)
      let direction = pattern(g.count, 7).map(Double.init)
      let along = zip(g, direction).reduce(0.0) { $0 + Double($1.0) * $1.1 }
      let norm = zip(g, direction).reduce(0.0) { $0 + abs(Double($1.0) * $1.1) }
      let slope = difference { v, h in for j in v.indices { v[j] += h * direction[j] } }
      #expect(abs(along - slope) < 1e-4 * max(norm, 1e-3), "input \(i) along a direction", sourceLocation: place)
    }
  }

  @Test(arguments: [(3, 5, 4), (7, 2, 9), (40, 33, 20)]) func linear(m: Int, n: Int, k: Int) {
    check([[m, k], [n, k], [n]], { $0[0].linear(LinearWeight($0[1]), $0[2]) }, { Naive.linear($0[0], $0[1], $0[2], k: k) })
    check([[m, n], [m, k], [n, k], [n]]) { t in
      var sum = t[0]
      sum.addLinear(t[1], LinearWeight(t[2]), t[3])
      return sum
    } _: { v in
      zip(v[0], Naive.linear(v[1], v[2], v[3], k: k)).map { $0 + $1 }
    }
  }

  @Test(arguments: [
    OpsTests.ConvCase(), OpsTests.ConvCase(n: 2, h: 9, w: 7, cin: 5, cout: 8), OpsTests.ConvCase(n: 2, h: 8, w: 6, stride: 2),
    OpsTests.ConvCase(h: 8, w: 10, stride: 2, padding: .belowAndRight), OpsTests.ConvCase(h: 7, w: 9, stride: 2),
    OpsTests.ConvCase(kernel: 1, padding: Padding(0)), OpsTests.ConvCase(h: 1, w: 1),
    OpsTests.ConvCase(h: 7, w: 9, kernel: 5, padding: Padding(2)),
    OpsTests.ConvCase(h: 8, w: 8, cin: 16, cout: 16), OpsTests.ConvCase(n: 2, h: 12, w: 11, cin: 3, cout: 2),
    // By Winograd's algorithm, forwards and backwards: pictures whose edges cut tiles, and more tiles than are taken at a time.
    OpsTests.ConvCase(n: 3, h: 9, w: 7, cin: 16, cout: 32), OpsTests.ConvCase(n: 514, h: 1, w: 2, cin: 16, cout: 16),
  ])
  func convolution(_ c: OpsTests.ConvCase) {
    let out: Shape = [
      c.n, (c.h + c.padding.top + c.padding.bottom - c.kernel) / c.stride + 1,
      (c.w + c.padding.left + c.padding.right - c.kernel) / c.stride + 1,
      c.cout,
    ]
    let (input, weight): (Shape, Shape) = ([c.n, c.h, c.w, c.cin], [c.cout, c.cin, c.kernel, c.kernel])
    check([input, weight, [c.cout], out]) { t in
      t[0].conv2d(ConvolutionWeight(t[1]), t[2], stride: c.stride, padding: c.padding, adding: t[3])
    } _: { v in
      zip(Naive.convolution(c, v[0], v[1], v[2]), v[3]).map { $0 + $1 }
    }
    check([input, weight, [c.n, c.cout]]) { t in
      t[0].conv2d(ConvolutionWeight(t[1]), t[2], stride: c.stride, padding: c.padding)
    } _: {
      Naive.convolution(c, $0[0], $0[1], $0[2])
    }
  }

  @Test func biasOfEachImage() {
    check([[2, 3], [3]], { $0[0].addingToRows($0[1]) }, { v in v[0].indices.map { v[0][$0] + v[1][$0 % 3] } })
  }

  @Test(arguments: [false, true]) func groupNorm(silu: Bool) {
    check([[2, 3, 5, 8], [8], [8]]) {
      $0[0].groupNorm(4, $0[1], $0[2], eps: 1e-5, silu: silu)
    } _: {
      Naive.groupNorm($0[0], $0[1], $0[2], n: 2, groups: 4, eps: 1e-5, silu: silu)
    }
    // A faint input, where the epsilon counts; more than one part of rows.
    check([[1, 40, 40, 6], [6], [6]], spread: 0.01) {
      $0[0].groupNorm(2, $0[1], $0[2], eps: 1e-5, silu: silu)
    } _: {
      Naive.groupNorm($0[0], $0[1], $0[2], n: 1, groups: 2, eps: 1e-5, silu: silu)
    }
  }

  @Test func layerNorm() {
    check([[2, 4, 9], [9], [9]]) {
      $0[0].layerNorm($0[1], $0[2], eps: 1e-5)
    } _: {
      Naive.groupNorm($0[0], $0[1], $0[2], n: 8, groups: 1, eps: 1e-5, silu: false)
    }
  }

  @Test func activations() {
    func mutated(_ f: @escaping (inout Tensor) -> Void) -> ([Tensor]) -> Tensor {
      { inputs in
        var x = inputs[0]
        f(&x)
        return x
      }
    }
    check([[3, 40]], spread: 6, mutated { $0.silu() }, { $0[0].map(Naive.silu) })
    check([[3, 40]], spread: 4, mutated { $0.gelu() }, { $0[0].map(Naive.gelu) })
    check([[3, 40]], spread: 6, mutated { $0.quickGELU() }, { $0[0].map(Naive.quickGELU) })
    check([[3, 14]], spread: 3, { $0[0].geglu() }, { Naive.geglu($0[0], c: 7) })
  }

  /// Cross-attention, several blocks of queries, and the causal mask.
  @Test(arguments: [(5, 7, false), (70, 9, false), (7, 7, true), (70, 70, true)]) func attention(tq: Int, tk: Int, causal: Bool) {
    check([[2, tq, 6], [2, tk, 6], [2, tk, 6]], spread: 2) {
      Attention.attend($0[0], $0[1], $0[2], heads: 2, causal: causal)
    } _: {
      Naive.attention($0[0], $0[1], $0[2], n: 2, heads: 2, d: 3, causal: causal)
    }
  }

  @Test func placesMoved() {
    func move(_ shape: Shape, _ run: @escaping (Tensor) -> Tensor) {
      // What only moves, copies and adds elements is its own definition, run on their numbers (float32 holds them exactly).
      let indices = run(Tensor((0..<shape.count).map(Float.init), shape)).array.map { Int($0) }
      check([shape], { run($0[0]) }, { v in indices.map { v[0][$0] } })
    }
    move([2, 3, 5, 2]) { $0.resizedNearest(height: 7, width: 8) }
    move([2, 4, 4, 3]) { $0.resizedNearest(height: 8, width: 8) }
    move([2, 3, 2, 4]) { $0.nchw() }
    move([2, 3, 2, 4]) { $0.nhwc() }
    move([4, 3]) { $0.slice(1..<3) }
    move([2, 3, 1, 5]) { $0.channels(1..<3) }
    move([4, 6]) { $0.reshaped([8, 3]) }
    check([[2, 2, 2, 3], [2, 2, 2, 2]], { $0[0].joinedChannels($0[1]) }) { v in
      var out: [Double] = []
      for r in 0..<8 {
        out += v[0][r * 3..<r * 3 + 3]
        out += v[1][r * 2..<r * 2 + 2]
      }
      return out
    }
    check([[2, 3], [1, 3]], { Tensor.concatenated($0) }, { $0[0] + $0[1] })
  }

  @Test func arithmetic() {
    check([[4, 3], [4, 3]], { .combination((2, $0[0]), (-0.5, $0[1])) }, { v in zip(v[0], v[1]).map { 2 * $0 - 0.5 * $1 } })
    check([[4, 3]], { 3.5 * ($0[0] / 2) + $0[0] }, { $0[0].map { 2.75 * $0 } })
    check([[5]], spread: 3, { $0[0].clamped(-1, 1) }, { $0[0].map { min(1, max(-1, $0)) } })
  }

  @Test func embedding() {
    let ids = [[1, 4, 1], [0, 6, 5]]
    // The ids 5 and 6 are words that were added to the vocabulary.
    check([[5, 4], [3, 4], [2, 4]], { .embedding([$0[0], $0[2]], $0[1], ids) }) { v in
      var out: [Double] = []
      for line in ids {
        for (i, id) in line.enumerated() {
          for e in 0..<4 { out.append((id < 5 ? v[0][id * 4 + e] : v[2][(id - 5) * 4 + e]) + v[1][i * 4 + e]) }
        }
      }
      return out
    }
  }

  @Test func distribution() {
    let noise = pattern(12, 3)
    check([[1, 2, 2, 3], [1, 2, 2, 3]]) {
      VAE.Distribution(mean: $0[0], logVariance: $0[1]).sample(Tensor(noise, [1, 2, 2, 3]))
    } _: { v in
      (0..<12).map { v[0][$0] + exp(0.5 * v[1][$0]) * Double(noise[$0]) }
    }
  }

  @Test func loss() {
    let target = Tensor(pattern(12, 2), [3, 4])
    let weights: [Float] = [0.5, 2, 1]
    check([[3, 4]], { $0[0].meanSquaredError(target, weights: weights) }) { v in
      var total = 0.0
      for i in 0..<12 {
        let difference = v[0][i] - Double(target.array[i])
        total += Double(weights[i / 4]) * difference * difference
      }
      return [total / 12]
    }
  }

  /// A picture of 3x4 pixels, and one that is a line: it has no columns to go down.
  @Test(arguments: [[2, 3, 4, 2], [1, 1, 5, 3]] as [[Int]]) func absoluteErrorAndEdges(_ dimensions: [Int]) {
    let shape = Shape(dimensions)
    let target = Tensor(pattern(shape.count, 9), shape)
    func difference(_ v: [Double]) -> [Double] { zip(v, target.array).map { $0 - Double($1) } }
    check([shape], { $0[0].meanAbsoluteError(target) }) { v in
      [difference(v[0]).reduce(0) { $0 + abs($1) } / Double(shape.count)]
    }
    check([shape], { $0[0].meanEdgeError(target) }) { v in
      let d = difference(v[0])
      let (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3])
      func at(_ i: Int, _ y: Int, _ x: Int, _ k: Int) -> Double { d[((i * h + y) * w + x) * c + k] }
      var (across, down) = ((sum: 0.0, count: 0.0), (sum: 0.0, count: 0.0))
      for i in 0..<n {
        for y in 0..<h {
          for x in 0..<w {
            for k in 0..<c {
              if x + 1 < w { across = (across.sum + abs(at(i, y, x + 1, k) - at(i, y, x, k)), across.count + 1) }
              if y + 1 < h { down = (down.sum + abs(at(i, y + 1, x, k) - at(i, y, x, k)), down.count + 1) }
            }
          }
        }
      }
      return [across.sum / across.count + (down.count > 0 ? down.sum / down.count : 0)]
    }
  }

  @Test func divergence() {
    let shape: Shape = [2, 3, 2, 4]
    check([shape, shape], { VAE.Distribution(mean: $0[0], logVariance: $0[1]).divergence() }) { v in
      var sum = 0.0
      for (mean, logVariance) in zip(v[0], v[1]) { sum += mean * mean + exp(logVariance) - 1 - logVariance }
      return [0.5 * sum / 2]
    }
  }

  @Test(arguments: [nil, [0.5, 2, 0, 1]] as [[Float]?]) func crossEntropy(weights: [Float]?) {
    let labels = [3, 0, 2, 1, 3, 0]
    // Spread over a range in which the exponential alone would be infinite.
    for spread in [Float(1), 200] {
      check([[2, 3, 4]], spread: spread, { $0[0].crossEntropy(labels, weights: weights) }) { v in
        var (total, all) = (0.0, 0.0)
        for (row, label) in labels.enumerated() {
          let z = v[0][4 * row..<4 * row + 4]
          let top = z.max() ?? 0
          let weight = Double(weights?[label] ?? 1)
          total += weight * (top + log(z.reduce(0) { $0 + exp($1 - top) }) - z[4 * row + label])
          all += weight
        }
        return [total / all]
      }
    }
  }

  /// Losses and gradients of PyTorch, without weights and with them.
  @Test(arguments: ["plain", "weighted"]) func crossEntropyOfPyTorch(_ name: String) throws {
    struct Case: Decodable {
      let logits, gradient: [Float]
      let labels: [Int]
      let weights: [Float]?
      let loss: Double
    }
    let cases = try JSONDecoder().decode(
      [String: Case].self, from: Data(contentsOf: Golden.folder.appendingPathComponent("judge/cross_entropy.json")))
    let golden = try #require(cases[name])
    let logits = Tensor(golden.logits, [12, 5]).recorded()
    let loss = logits.crossEntropy(golden.labels, weights: golden.weights)
    #expect(abs(Double(loss.array[0]) - golden.loss) < 1e-6 * golden.loss)
    let gradient = try #require(gradients(of: loss, for: [logits])[0])
    for (found, expected) in zip(gradient.array, golden.gradient) { #expect(abs(found - expected) < 1e-7) }
  }

  /// A value that is used twice gets both gradients; what is detached gets none; a copy that the caller holds keeps its values.
  @Test func sharedAndDetached() throws {
    let x = Tensor([1, -2, 3], [3]).recorded()
    var y = x
    y.silu()
    var sum = y
    sum.add(x)
    sum.add(y.detached)
    let g = try #require(gradients(of: sum, for: [x])[0])
    for (value, slope) in zip([1, -2, 3].map(Double.init), g.array) {
      let s = 1 / (1 + exp(-value))
      #expect(abs(Double(slope) - (1 + s * (1 + value * (1 - s)))) < 1e-6)
    }
    #expect(x.array == [1, -2, 3])
    let other = Tensor([1], [1]).recorded()
    #expect(gradients(of: x + x, for: [x, other]).map { $0?.array } == [[2, 2, 2], nil])
    withoutRecording { #expect(!(x + x).isRecorded) }
    #expect(!(Tensor([1], [1]) + Tensor([2], [1])).isRecorded)
  }

  /// Recomputing gives the same gradients to the bit, for inputs and for parameters that the part uses.
  @Test func checkpointing() throws {
    func run(_ recompute: Bool) throws -> [[Float]] {
      let (x, w) = (Tensor(pattern(12), [3, 4]).recorded(), Tensor(pattern(16, 1), [4, 4]).recorded())
      // Neither an input nor a leaf: it is made of a parameter before.
      let turned = w.reshaped([2, 8]).reshaped([4, 4])
      func part(_ h: Tensor) -> Tensor {
        var y = h.linear(LinearWeight(turned), nil)
        y.silu()
        y.add(h)
        return y
      }
      var h = x
      for _ in 0..<3 { h = recompute ? try checkpoint([h]) { part($0[0]) } : part(h) }
      return try gradients(of: h, for: [x, w]).map { try #require($0).array }
    }
    let (plain, recomputed) = (try run(false), try run(true))
    #expect(plain == recomputed)
    #expect(plain[1].contains { $0 != 0 })
  }
}
