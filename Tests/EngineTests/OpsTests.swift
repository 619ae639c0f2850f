import Foundation
import Kernels
import TestSupport
import Testing

@testable import Engine

/// Values that look random and are the same everywhere, in about [-1, 1].
func pattern(_ count: Int, _ phase: Double = 0) -> [Float] {
  (0..<count).map { (i: Int) -> Float in
    let x = Double(i)
    return Float(sin(x * 1.37 + phase) * cos(x * 0.21 + 2 * phase))
  }
}

/// Every operation against a naive version in double precision.
@Suite struct OpsTests {
  @Test(arguments: [(1, 5, 3), (7, 16, 33), (130, 64, 40), (3, 700, 257)])
  func linear(m: Int, n: Int, k: Int) {
    let (x, w, b) = (pattern(m * k), pattern(n * k, 1), pattern(n, 2))
    var expected = [Double](repeating: 0, count: m * n)
    for i in 0..<m {
      for j in 0..<n {
        var s = Double(b[j])
        for l in 0..<k { s += Double(x[i * k + l]) * Double(w[j * k + l]) }
        expected[i * n + j] = s
      }
    }
    let y = Tensor(x, [m, k]).linear(LinearWeight(Tensor(w, [n, k])), Tensor(b, [n]))
    #expect(relativeError(y.array, expected) < 1e-6)
    var z = Tensor(pattern(m * n, 3), [m, n])
    let residual = z.array
    z.addLinear(Tensor(x, [m, k]), LinearWeight(Tensor(w, [n, k])), Tensor(b, [n]))
    #expect(relativeError(z.array, zip(expected, residual).map { $0 + Double($1) }) < 1e-6)
  }

  struct ConvCase: Sendable {
    var n = 1, h = 6, w = 5, cin = 3, cout = 4, kernel = 3, stride = 1
    var padding = Padding(1)
  }

  @Test(arguments: [
    ConvCase(), ConvCase(n: 2, h: 9, w: 7, cin: 5, cout: 8), ConvCase(h: 8, w: 6, stride: 2),
    ConvCase(h: 8, w: 10, stride: 2, padding: .belowAndRight),
    ConvCase(kernel: 1, padding: Padding(0)), ConvCase(h: 1, w: 1), ConvCase(n: 2, h: 40, w: 33, cin: 17, cout: 9),
    ConvCase(h: 2, w: 3, cin: 300, cout: 70),
    ConvCase(h: 7, w: 9, kernel: 5, padding: Padding(2)),
    // Winograd: whole tiles, tiles cut on both sides, more tiles than a block, panels that are not full.
    ConvCase(h: 8, w: 8, cin: 16, cout: 16), ConvCase(n: 2, h: 9, w: 14, cin: 48, cout: 80),
    ConvCase(n: 3, h: 33, w: 35, cin: 32, cout: 48),
    ConvCase(h: 32, w: 32, cin: 272, cout: 256),
    // Wide tiles: whole ones and cut ones, several blocks, input channels in parts, a panel that is not full.
    ConvCase(h: 96, w: 102, cin: 16, cout: 16), ConvCase(n: 2, h: 97, w: 100, cin: 16, cout: 48),
    ConvCase(h: 96, w: 99, cin: 144, cout: 16),
  ])
  func convolution(_ c: ConvCase) {
    let (x, w, b) = (pattern(c.n * c.h * c.w * c.cin), pattern(c.cout * c.cin * c.kernel * c.kernel, 1), pattern(c.n * c.cout, 2))
    let oh = (c.h + c.padding.top + c.padding.bottom - c.kernel) / c.stride + 1
    let ow = (c.w + c.padding.left + c.padding.right - c.kernel) / c.stride + 1
    var expected: [Double] = []
    for i in 0..<c.n {
      for y in 0..<oh {
        for xx in 0..<ow {
          for o in 0..<c.cout {
            var s = Double(b[i * c.cout + o])
            for ky in 0..<c.kernel {
              for kx in 0..<c.kernel {
                let (sy, sx) = (y * c.stride + ky - c.padding.top, xx * c.stride + kx - c.padding.left)
                guard (0..<c.h).contains(sy), (0..<c.w).contains(sx) else { continue }
                for ci in 0..<c.cin {
                  s += Double(x[((i * c.h + sy) * c.w + sx) * c.cin + ci]) * Double(w[((o * c.cin + ci) * c.kernel + ky) * c.kernel + kx])
                }
              }
            }
            expected.append(s)
          }
        }
      }
    }
    let isWinograd =
      c.kernel == 3 && c.stride == 1 && c.padding == Padding(1) && Winograd.pays(height: c.h, width: c.w, input: c.cin, output: c.cout)
    #expect(isWinograd == (c.cin % 16 == 0), "the way that this case is meant to test")
    let packed = ConvolutionWeight(Tensor(w, [c.cout, c.cin, c.kernel, c.kernel]))
    let input = Tensor(x, [c.n, c.h, c.w, c.cin])
    let bias = Tensor(b, [c.n, c.cout])
    let y = input.conv2d(packed, bias, stride: c.stride, padding: c.padding)
    #expect(y.shape == [c.n, oh, ow, c.cout])
    // Rounding of a sum of k products in float32 walks like the square root of k (Higham 2002, 4.2); the order of the sum is the
    // processor's.
    // Winograd's transforms take about two more bits, wide tiles four.
    let isWide = isWinograd && Winograd.Tile(height: c.h, width: c.w) == .wide
    #expect(isWide == (c.h > 90), "the way that this case is meant to test")
    let bound = max(2e-6, 0x1p-24 * Double(c.kernel * c.kernel * c.cin).squareRoot()) * (isWide ? 16 : isWinograd ? 4 : 1)
    #expect(relativeError(y.array, expected) < bound)
    let residual = pattern(y.count, 4)
    let z = input.conv2d(packed, bias, stride: c.stride, padding: c.padding, adding: Tensor(residual, y.shape))
    #expect(relativeError(z.array, zip(expected, residual).map { $0 + Double($1) }) < bound)
  }

  /// The same convolution with the loops of every instruction set that this processor has: the packed weights differ, the result does not.
  @Test(arguments: 0...Int32(Kernel.level), [Winograd.Tile.small, .wide])
  func winogradOfEachInstructionSet(level: Int32, tile: Winograd.Tile) {
    let kernel = sdl_kernels(level).pointee
    let transforms = tile == .small ? kernel.small_tiles : kernel.wide_tiles
    let toWeights = tile == .small ? kernel.single.winograd_weights : kernel.single.wide_weights
    let matrices = tile.matrices
    let (h, w, cin, cout) = (9, 14, 32, 48)
    let (x, g, b) = (pattern(h * w * cin), pattern(cout * cin * 9, 1), pattern(cout, 2))
    let width = kernel.panel_width
    let panels = (cout + width - 1) / width
    let tiles = Winograd.tiles(h, w, tile)
    var packed = [Float](repeating: 0, count: panels * 9 * cin * width)
    kernel.single.pack_transposed(g, cout, 9 * cin, 9, 9 * cin, 1, 0, panels, &packed)
    var v = [Float](repeating: 0, count: matrices * tiles * cin)
    transforms.input(x, h, w, cin, 0, tiles, [Float](repeating: 0, count: cin), &v, tiles * cin)
    var y = [Float](repeating: 0, count: h * w * cout)
    for p in 0..<panels {
      var u = [Float](repeating: 0, count: matrices * cin * width)
      packed.withUnsafeBufferPointer {
        toWeights?($0.baseAddress.map { $0 + p * 9 * cin * width }, cin, 0, cin, &u, cin * width)
      }
      var m = [Float](repeating: 0, count: matrices * tiles * width)
      for i in 0..<matrices {
        let product = [Float](unsafeUninitializedCapacity: tiles * width) { c, count in
          v.withUnsafeBufferPointer { v in
            u.withUnsafeBufferPointer { u in
              kernel.single.panel_product(
                tiles, width, cin, 0, 1, v.baseAddress.map { $0 + i * tiles * cin }, cin, u.baseAddress.map { $0 + i * cin * width }, nil,
                0,
                c.baseAddress, width)
            }
          }
          count = tiles * width
        }
        m.replaceSubrange(i * tiles * width..<(i + 1) * tiles * width, with: product)
      }
      let channels = min(width, cout - p * width)
      b.withUnsafeBufferPointer { b in
        y.withUnsafeMutableBufferPointer { y in
          transforms.output(
            m, tiles * width, width, h, w, channels, 0, tiles, b.baseAddress.map { $0 + p * width }, 0,
            y.baseAddress.map { $0 + p * width }, cout)
        }
      }
    }
    var expected: [Double] = []
    for row in 0..<h {
      for column in 0..<w {
        for o in 0..<cout {
          var s = Double(b[o])
          for ky in 0..<3 where (0..<h).contains(row + ky - 1) {
            for kx in 0..<3 where (0..<w).contains(column + kx - 1) {
              for c in 0..<cin {
                s += Double(x[((row + ky - 1) * w + column + kx - 1) * cin + c]) * Double(g[(o * cin + c) * 9 + ky * 3 + kx])
              }
            }
          }
          expected.append(s)
        }
      }
    }
    #expect(relativeError(y, expected) < (tile == .small ? 8e-6 : 4e-5))
  }

  struct DoublingCase: Sendable {
    var n = 1, h = 16, w = 16, cin = 16, cout = 16
    /// Goes by F(4x4, 2x2), so that the doubled picture never exists.
    var pays = true
    /// Weights kept in half precision.
    var half = false
  }

  /// A doubled picture, convolved: whole tiles, cut ones, several blocks of tiles, panels that are not full, input channels in parts; and what is too small
  /// or has other channels, which is doubled first.
  @Test(arguments: [
    DoublingCase(), DoublingCase(n: 2, h: 13, w: 15, cin: 32, cout: 48), DoublingCase(n: 4, h: 33, w: 35, cin: 16, cout: 48),
    DoublingCase(h: 16, w: 18, cin: 272, cout: 256), DoublingCase(h: 14, w: 16, cin: 272, cout: 256, half: true),
    DoublingCase(h: 8, w: 8, pays: false), DoublingCase(n: 2, h: 20, w: 20, cin: 12, cout: 9, pays: false),
  ])
  func convolutionOfADoubledPicture(_ c: DoublingCase) throws {
    let x = Tensor(pattern(c.n * c.h * c.w * c.cin), [c.n, c.h, c.w, c.cin])
    let (w, b) = (pattern(c.cout * c.cin * 9, 1).map { c.half ? Float(Float16($0)) : $0 }, pattern(c.cout, 2))
    let store = WeightStore(inMemory: ["x.conv.weight": Tensor(w, [c.cout, c.cin, 3, 3]), "x.conv.bias": Tensor(b, [c.cout])])
    let conv = Conv2d(store["x"]["conv"], c.cin, c.cout, kernel: 3)
    #expect(
      Winograd.paysDoubled(height: c.h, width: c.w, input: c.cin, output: c.cout) == c.pays, "the way that this case is meant to test")
    let y =
      c.half
      ? x.winogradDoubled(ConvolutionWeight(WeightValues(Tensor(w, [c.cout, c.cin, 3, 3]), half: true)), conv.bias) : conv.doubling(x)
    #expect(y.shape == [c.n, 2 * c.h, 2 * c.w, c.cout])
    var expected: [Double] = []
    for i in 0..<c.n {
      for row in 0..<2 * c.h {
        for column in 0..<2 * c.w {
          for o in 0..<c.cout {
            var s = Double(b[o])
            for ky in 0..<3 where (0..<2 * c.h).contains(row + ky - 1) {
              for kx in 0..<3 where (0..<2 * c.w).contains(column + kx - 1) {
                let at = ((i * c.h + (row + ky - 1) / 2) * c.w + (column + kx - 1) / 2) * c.cin
                for l in 0..<c.cin { s += Double(x.data[at + l]) * Double(w[(o * c.cin + l) * 9 + ky * 3 + kx]) }
              }
            }
            expected.append(s)
          }
        }
      }
    }
    let bound = max(2e-6, 0x1p-24 * Double(9 * c.cin).squareRoot()) * 4
    #expect(relativeError(y.array, expected) < bound)
    // What the test could not tell apart would be no test: the picture a column further on.
    let off = expected[c.cout...] + expected[..<c.cout]
    #expect(relativeError(y.array, Array(off)) > 100 * bound)
  }

  /// The same with the loops of every instruction set that this processor has.
  @Test(arguments: 0...Int32(Kernel.level)) func doublingOfEachInstructionSet(level: Int32) {
    let kernel = sdl_kernels(level).pointee
    let (h, w, cin, cout) = (9, 14, 32, 48)
    let (x, g, b) = (pattern(h * w * cin), pattern(cout * cin * 9, 1), pattern(cout, 2))
    let width = kernel.panel_width
    let panels = (cout + width - 1) / width
    let tiles = Winograd.tiles(h, w)
    var packed = [Float](repeating: 0, count: panels * 9 * cin * width)
    kernel.single.pack_transposed(g, cout, 9 * cin, 9, 9 * cin, 1, 0, panels, &packed)
    var y = [Float](repeating: .nan, count: 4 * h * w * cout)
    for (down, right) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
      var v = [Float](repeating: 0, count: 25 * tiles * cin)
      kernel.doubled_input(x, h, w, cin, down, right, 0, tiles, [Float](repeating: 0, count: cin), &v, tiles * cin)
      for p in 0..<panels {
        var u = [Float](repeating: 0, count: 25 * cin * width)
        packed.withUnsafeBufferPointer {
          kernel.single.doubled_weights($0.baseAddress.map { $0 + p * 9 * cin * width }, cin, down, right, 0, cin, &u, cin * width)
        }
        var m = [Float](repeating: 0, count: 25 * tiles * width)
        m.withUnsafeMutableBufferPointer { m in
          for i in 0..<25 {
            v.withUnsafeBufferPointer { v in
              u.withUnsafeBufferPointer { u in
                kernel.single.panel_product(
                  tiles, width, cin, 0, 1, v.baseAddress.map { $0 + i * tiles * cin }, cin, u.baseAddress.map { $0 + i * cin * width }, nil,
                  0, m.baseAddress.map { $0 + i * tiles * width }, width)
              }
            }
          }
        }
        b.withUnsafeBufferPointer { b in
          y.withUnsafeMutableBufferPointer { y in
            kernel.doubled_output(
              m, tiles * width, width, h, w, min(width, cout - p * width), down, right, 0, tiles, b.baseAddress.map { $0 + p * width },
              y.baseAddress.map { $0 + p * width }, cout)
          }
        }
      }
    }
    let large = Tensor(x, [1, h, w, cin]).resizedNearest(height: 2 * h, width: 2 * w)
    let expected = large.conv2d(ConvolutionWeight(Tensor(g, [cout, cin, 3, 3])), Tensor(b, [cout]), padding: Padding(1))
    #expect(relativeError(y, expected.array.map(Double.init)) < 8e-6)
  }

  @Test(arguments: [false, true]) func groupNorm(silu: Bool) {
    let (n, p, c, groups, eps) = (2, 77, 24, 8, 1e-5)
    let x = pattern(n * p * c).map { 3 * $0 + 10 }
    let (w, b) = (pattern(c, 1), pattern(c, 2))
    var expected = [Double](repeating: 0, count: x.count)
    let size = c / groups
    for i in 0..<n {
      for g in 0..<groups {
        var at: [Int] = []
        for q in 0..<p { for j in g * size..<(g + 1) * size { at.append((i * p + q) * c + j) } }
        let values = at.map { Double(x[$0]) }
        let mean = values.reduce(0, +) / Double(at.count)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(at.count)
        for a in at {
          let v = (Double(x[a]) - mean) / (variance + eps).squareRoot() * Double(w[a % c]) + Double(b[a % c])
          expected[a] = silu ? v / (1 + exp(-v)) : v
        }
      }
    }
    let y = Tensor(x, [n, 7, 11, c]).groupNorm(groups, Tensor(w, [c]), Tensor(b, [c]), eps: eps, silu: silu)
    #expect(relativeError(y.array, expected) < 2e-6)
  }

  @Test func layerNorm() {
    let (rows, c, eps) = (9, 50, 1e-5)
    let (x, w, b) = (pattern(rows * c).map { 2 * $0 - 3 }, pattern(c, 1), pattern(c, 2))
    var expected: [Double] = []
    for r in 0..<rows {
      let row = x[r * c..<(r + 1) * c].map(Double.init)
      let mean = row.reduce(0, +) / Double(c)
      let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(c)
      for i in 0..<c { expected.append((row[i] - mean) / (variance + eps).squareRoot() * Double(w[i]) + Double(b[i])) }
    }
    let y = Tensor(x, [rows, c]).layerNorm(Tensor(w, [c]), Tensor(b, [c]), eps: eps)
    #expect(relativeError(y.array, expected) < 2e-6)
  }

  @Test func activations() {
    let x = (0..<4001).map { Float($0 - 2000) / 100 }
    func check(_ run: (inout Tensor) -> Void, _ f: (Double) -> Double) {
      var t = Tensor(x, [x.count])
      run(&t)
      // Absolute, at values up to 20: the tail of the GELU is a difference of near values.
      for (a, v) in zip(t.array, x) { #expect(abs(Double(a) - f(Double(v))) < 3e-6, "at \(v)") }
    }
    check({ $0.silu() }, { $0 / (1 + exp(-$0)) })
    check({ $0.gelu() }, { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) })
    check({ $0.quickGELU() }, { $0 / (1 + exp(-1.702 * $0)) })
    let pairs = Tensor(x.flatMap { [$0, $0 / 2] }, [x.count, 2])
    for (a, v) in zip(pairs.geglu().array, x) {
      let g = Double(v) / 2
      #expect(abs(Double(a) - Double(v) * 0.5 * g * (1 + erf(g / 2.0.squareRoot()))) < 2e-5)
    }
  }

  /// Small, larger than one block of queries, and larger than one block of keys (1024).
  @Test(arguments: [(5, 7, false), (100, 77, false), (70, 2100, false), (77, 77, true), (1100, 1100, true)])
  func attention(tq: Int, tk: Int, causal: Bool) {
    let (n, heads, d) = (2, 3, 8)
    let c = heads * d
    let (q, k, v) = (pattern(n * tq * c).map { 4 * $0 }, pattern(n * tk * c, 1).map { 4 * $0 }, pattern(n * tk * c, 2))
    var expected = [Double](repeating: 0, count: n * tq * c)
    var probabilities = [Double](repeating: 0, count: n * heads * tq * tk)
    for i in 0..<n {
      for h in 0..<heads {
        for a in 0..<tq {
          let last = causal ? a + 1 : tk
          var s = (0..<last).map { (b: Int) -> Double in
            let (from, to) = ((i * tq + a) * c + h * d, (i * tk + b) * c + h * d)
            var dot = 0.0
            for e in 0..<d { dot += Double(q[from + e]) * Double(k[to + e]) }
            return dot / Double(d).squareRoot()
          }
          let m = s.max()!
          s = s.map { exp($0 - m) }
          let total = s.reduce(0, +)
          for b in 0..<last {
            probabilities[((i * heads + h) * tq + a) * tk + b] = s[b] / total
            for e in 0..<d { expected[(i * tq + a) * c + h * d + e] += s[b] / total * Double(v[(i * tk + b) * c + h * d + e]) }
          }
        }
      }
    }
    let (tQ, tK, tV) = (Tensor(q, [n, tq, c]), Tensor(k, [n, tk, c]), Tensor(v, [n, tk, c]))
    #expect(relativeError(Attention.attend(tQ, tK, tV, heads: heads, causal: causal).array, expected) < 3e-6)
    #expect(relativeError(Attention.probabilities(tQ, tK, heads: heads, causal: causal).array, probabilities) < 3e-6)
  }

  @Test func resizingAndJoining() {
    let x = Tensor(pattern(2 * 3 * 5 * 2), [2, 3, 5, 2])
    let y = x.resizedNearest(height: 7, width: 8)
    for i in 0..<2 {
      for r in 0..<7 {
        for s in 0..<8 {
          let (to, from) = ((i * 7 + r) * 8 + s, (i * 3 + r * 3 / 7) * 5 + s * 5 / 8)
          #expect(y.array[to * 2..<to * 2 + 2] == x.array[from * 2..<from * 2 + 2])
        }
      }
    }
    let z = x.joinedChannels(Tensor(pattern(2 * 3 * 5 * 3, 1), [2, 3, 5, 3]))
    #expect(z.shape == [2, 3, 5, 5])
    #expect(Array(z.array[5..<7]) == Array(x.array[2..<4]))
  }

  /// Every instruction set this processor has, against the plain loops.
  @Test func instructionSetsAgree() {
    let plain = sdl_kernels(0).pointee
    for level in 1...2 where level <= Int(sdl_cpu_level()) {
      let fast = sdl_kernels(Int32(level)).pointee
      for n in [1, 7, 16, 100, 1003] {
        let x = pattern(n).map { 5 * $0 }
        func compare(_ f: (sdl_kernel_table, inout [Float]) -> Void) {
          var (a, b) = (x, x)
          f(plain, &a)
          f(fast, &b)
          #expect(relativeError(b, a.map(Double.init)) < 1e-6)
        }
        compare { $0.silu(&$1, n) }
        compare { $0.gelu(&$1, n) }
        compare { $0.quick_gelu(&$1, n) }
        compare { $0.softmax_rows(&$1, 1, n, 0) }
        compare { $0.layer_norm(x, &$1, 1, n, x, x, 1e-5) }
        compare { $0.scale_shift(x, &$1, 1, n, x, x, 1) }
      }
    }
  }
}
