import Foundation
import TestSupport
import Testing

@testable import Engine

/// Products in bfloat16: those of the rounded numbers, summed in float32.
@Suite struct BFloat16Tests {
  /// To nearest, ties to even.
  private func rounded(_ x: Float) -> Float {
    let bits = x.bitPattern
    return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
  }

  private func rounded(_ x: [Float]) -> [Float] { x.map(rounded) }

  /// One row, whole tiles and cut ones, an odd number of products, more of them than are summed at a time.
  @Test(arguments: [(1, 5, 3), (7, 16, 33), (130, 72, 400), (200, 33, 1301), (3, 700, 257)]) func linear(m: Int, n: Int, k: Int) {
    let (x, w, b) = (pattern(m * k), pattern(n * k, 1), pattern(n, 2))
    let (rx, rw) = (rounded(x), rounded(w))
    let expected = (0..<m * n).map { at -> Double in
      let (i, j) = (at / n, at % n)
      return (0..<k).reduce(Double(b[j])) { $0 + Double(rx[i * k + $1]) * Double(rw[j * k + $1]) }
    }
    let weight = LinearWeight(WeightValues(Tensor(w, [n, k]), inBFloat16: true))
    let y = Tensor(x, [m, k]).linear(weight, Tensor(b, [n]))
    #expect(relativeError(y.array, expected) < 1e-6)
    var sum = Tensor(pattern(m * n, 3), [m, n])
    let residual = sum.array
    sum.addLinear(Tensor(x, [m, k]), weight, Tensor(b, [n]))
    #expect(relativeError(sum.array, zip(expected, residual).map { $0 + Double($1) }) < 1e-6)
    let single = Tensor(x, [m, k]).linear(LinearWeight(Tensor(w, [n, k])), Tensor(b, [n]))
    #expect(relativeError(single.array, expected) > 1e-5, "rounding shows")
  }

  @Test func ties() {
    // Just between two bfloat16s: to the even one, down and up. A little more than that: up.
    for (x, expected) in [(1 + 0x1p-8, 1), (1 + 3 * 0x1p-8, 1 + 0x1p-6), (1 + 0x1p-8 + 0x1p-20, 1 + 0x1p-7)] as [(Float, Float)] {
      let weight = LinearWeight(WeightValues(Tensor([x, 0], [1, 2]), inBFloat16: true))
      #expect(Tensor([1, 7], [1, 2]).linear(weight, nil).array == [expected])
      #expect(
        Tensor([x, 7], [1, 2]).linear(LinearWeight(WeightValues(Tensor([1, 0], [1, 2]), inBFloat16: true)), nil).array == [expected])
    }
  }

  @Test func notANumberStaysOne() {
    let weight = LinearWeight(WeightValues(Tensor([1, 1], [1, 2]), inBFloat16: true))
    for bits in [0x7fff_ffff, 0x7f80_0001, 0xffff_ffff] as [UInt32] {
      #expect(Tensor([Float(bitPattern: bits), 1], [1, 2]).linear(weight, nil).array[0].isNaN)
    }
    #expect(Tensor([.infinity, 1], [1, 2]).linear(weight, nil).array == [.infinity])
  }

  /// By patches: strided, of odd numbers of channels and of taps, few pixels and many.
  @Test(arguments: [(6, 5, 7, 3, 2), (3, 7, 40, 3, 1), (20, 17, 33, 3, 1), (9, 3, 8, 5, 1)])
  func convolution(size: Int, cin: Int, cout: Int, kernel: Int, stride: Int) {
    let (x, w) = (pattern(2 * size * size * cin), pattern(cout * cin * kernel * kernel, 1))
    let shape: Shape = [cout, cin, kernel, kernel]
    let padding = Padding((kernel - 1) / 2)
    let y = Tensor(x, [2, size, size, cin]).conv2d(
      ConvolutionWeight(WeightValues(Tensor(w, shape), inBFloat16: true)), nil, stride: stride, padding: padding)
    let expected = Tensor(rounded(x), [2, size, size, cin]).conv2d(
      ConvolutionWeight(Tensor(rounded(w), shape)), nil, stride: stride, padding: padding)
    #expect(relativeError(y.array, expected.array.map(Double.init)) < 1e-6)
  }

  /// Large 3x3 convolutions stay float32, to the bit.
  @Test func winogradStaysSingle() {
    let (x, w) = (Tensor(pattern(64 * 64 * 16), [1, 64, 64, 16]), Tensor(pattern(48 * 16 * 9, 1), [48, 16, 3, 3]))
    let single = x.conv2d(ConvolutionWeight(w), nil, padding: Padding(1))
    let mixed = x.conv2d(ConvolutionWeight(WeightValues(w, inBFloat16: true)), nil, padding: Padding(1))
    #expect(single.array == mixed.array)
  }

  /// Heads of an odd width, keys of more than one block and of an odd number; the error is that of eight bits, and there is one.
  @Test(arguments: [(5, 7, 2, 3), (90, 700, 1, 40), (100, 1347, 2, 16)]) func attention(queries: Int, keys: Int, heads: Int, d: Int) {
    let q = Tensor(pattern(queries * heads * d), [1, queries, heads * d])
    let (k, v) = (Tensor(pattern(keys * heads * d, 1), [1, keys, heads * d]), Tensor(pattern(keys * heads * d, 2), [1, keys, heads * d]))
    let single = Attention.attend(q, k, v, heads: heads).array
    let rounded = Attention.attend(q, k, v, heads: heads, inBFloat16: true).array
    let scale = single.map(abs).max() ?? 0
    let error = zip(single, rounded).map { abs($0 - $1) }.max() ?? .nan
    #expect(error < 0.01 * scale && error > 1e-6 * scale, "\(error) of \(scale)")
  }

  /// Gradients are asked for: float32, so that they belong to what was computed.
  @Test func attentionInTrainingStaysSingle() {
    let (q, k) = (Tensor(pattern(6 * 8), [1, 6, 8]).recorded(), Tensor(pattern(9 * 8, 1), [1, 9, 8]))
    #expect(
      Attention.attend(q, k, k, heads: 2, inBFloat16: true).array == Attention.attend(q.detached, k, k, heads: 2).array)
  }

  /// The whole network: near the float32 one, and the text encoder untouched.
  @Test func aModelInBFloat16() throws {
    let (single, rounded) = (try StableDiffusion(ModelSource.resolve()), try StableDiffusion(ModelSource.resolve(products: .bf16)))
    let config = single.unet.config
    let x = Tensor(pattern(2 * 16 * 16 * config.inChannels), [2, 16, 16, config.inChannels])
    let ids = try single.tokenize("a red house left of a blue star").chunks.map(\.ids)
    let text = try single.text(ids).lastHiddenState
    #expect(try rounded.text(ids).lastHiddenState.array == text.array)
    let both = Tensor.concatenated([text, text])
    let expected = try single.unet(x, timesteps: [500, 20], text: both).array
    let found = try rounded.unet(x, timesteps: [500, 20], text: both).array
    let error = relativeError(found, expected.map(Double.init))
    #expect(error < 0.02 && error > 1e-4, "\(error)")
    #expect(rounded.source.weights.memoryBytes < single.source.weights.memoryBytes)
  }

  /// Whole runs: no further from float32 than diffusers' own in bfloat16.
  @Test(arguments: PipelineTests.cases.filter { $0.bfloat16Error != nil }) func errorOfARun(_ c: PipelineTests.Case) throws {
    let golden = try #require(PipelineTests.goldens.get()[c.kind])
    let run = try Self.rounded.get().denoising(try c.request())
    while try run.next() != nil {}
    let error = largestDifference(run.latents, try golden.nhwc("\(c.case):latents"))
    #expect(error <= c.bfloat16Error ?? 0, "\(error), PyTorch's is \(c.bfloat16Error ?? 0)")
    #expect(error > c.tolerance, "it is in bfloat16")
  }

  @Test func runsWereMeasured() { #expect(PipelineTests.cases.count { $0.bfloat16Error != nil } >= 8) }

  private static let rounded = Result { try StableDiffusion(ModelSource.resolve(products: .bf16)) }

  /// Pixels, latents and timesteps have more than eight bits.
  @Test func endsStaySingle() throws {
    let weights = try ModelSource.resolve(products: .bf16).weights
    func isRounded(_ path: String, _ shape: Shape) -> Bool {
      path.split(separator: "/").reduce(weights["unet"]) { $0[String($1)] }.linearWeight(shape).isInBFloat16
    }
    #expect(!isRounded("time_embedding/linear_1", [256, 64]))
    #expect(isRounded("down_blocks/0/attentions/0/transformer_blocks/0/attn1/to_q", [64, 64]))
    #expect(!weights["unet"]["conv_in"].convolutionWeight([64, 4, 3, 3]).isInBFloat16)
    #expect(!weights["vae"]["decoder"]["conv_out"].convolutionWeight([3, 24, 3, 3]).isInBFloat16)
    #expect(weights["vae"]["decoder"]["mid_block"]["resnets"]["0"]["conv1"].convolutionWeight([96, 96, 3, 3]).isInBFloat16)
  }
}
