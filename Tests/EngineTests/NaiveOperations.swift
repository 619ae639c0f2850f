import Foundation

@testable import Engine

/// Operations as their definitions say, in double precision, on channels-last arrays: what gradients are measured against.
enum Naive {
  static func linear(_ x: [Double], _ w: [Double], _ b: [Double], k: Int) -> [Double] {
    let n = b.count
    return (0..<x.count / k * n).map { (at: Int) -> Double in
      var sum = b[at % n]
      for l in 0..<k { sum += x[at / n * k + l] * w[at % n * k + l] }
      return sum
    }
  }

  /// - Parameter bias: one a channel, or one a channel and image.
  static func convolution(_ c: OpsTests.ConvCase, _ x: [Double], _ w: [Double], _ bias: [Double]) -> [Double] {
    let oh = (c.h + c.padding.top + c.padding.bottom - c.kernel) / c.stride + 1
    let ow = (c.w + c.padding.left + c.padding.right - c.kernel) / c.stride + 1
    var out: [Double] = []
    for i in 0..<c.n {
      for y in 0..<oh {
        for xx in 0..<ow {
          for o in 0..<c.cout {
            var s = bias[bias.count == c.cout ? o : i * c.cout + o]
            for ky in 0..<c.kernel {
              for kx in 0..<c.kernel {
                let (sy, sx) = (y * c.stride + ky - c.padding.top, xx * c.stride + kx - c.padding.left)
                guard (0..<c.h).contains(sy), (0..<c.w).contains(sx) else { continue }
                for ci in 0..<c.cin {
                  s += x[((i * c.h + sy) * c.w + sx) * c.cin + ci] * w[((o * c.cin + ci) * c.kernel + ky) * c.kernel + kx]
                }
              }
            }
            out.append(s)
          }
        }
      }
    }
    return out
  }

  static func silu(_ x: Double) -> Double { x / (1 + exp(-x)) }
  static func gelu(_ x: Double) -> Double { 0.5 * x * (1 + erf(x / 2.0.squareRoot())) }
  static func quickGELU(_ x: Double) -> Double { x / (1 + exp(-1.702 * x)) }

  static func geglu(_ x: [Double], c: Int) -> [Double] {
    (0..<x.count / 2).map { x[$0 / c * 2 * c + $0 % c] * gelu(x[$0 / c * 2 * c + c + $0 % c]) }
  }

  static func groupNorm(_ x: [Double], _ w: [Double], _ b: [Double], n: Int, groups: Int, eps: Double, silu: Bool) -> [Double] {
    let c = w.count
    let pixels = x.count / n / c
    let size = c / groups
    var out = x
    for i in 0..<n {
      for g in 0..<groups {
        let at = (0..<pixels).flatMap { p in (g * size..<(g + 1) * size).map { (i * pixels + p) * c + $0 } }
        let mean = at.reduce(0.0) { $0 + x[$1] } / Double(at.count)
        let variance = at.reduce(0.0) { $0 + (x[$1] - mean) * (x[$1] - mean) } / Double(at.count)
        for a in at {
          let v = (x[a] - mean) / (variance + eps).squareRoot() * w[a % c] + b[a % c]
          out[a] = silu ? Naive.silu(v) : v
        }
      }
    }
    return out
  }

  static func attention(_ q: [Double], _ k: [Double], _ v: [Double], n: Int, heads: Int, d: Int, causal: Bool) -> [Double] {
    let c = heads * d
    let (tq, tk) = (q.count / n / c, k.count / n / c)
    var out = [Double](repeating: 0, count: q.count)
    for i in 0..<n {
      for h in 0..<heads {
        for a in 0..<tq {
          let scores = (0..<(causal ? a + 1 : tk)).map { (b: Int) -> Double in
            var dot = 0.0
            for e in 0..<d { dot += q[(i * tq + a) * c + h * d + e] * k[(i * tk + b) * c + h * d + e] }
            return exp(dot / Double(d).squareRoot())
          }
          let total = scores.reduce(0, +)
          for (b, s) in scores.enumerated() {
            for e in 0..<d { out[(i * tq + a) * c + h * d + e] += s / total * v[(i * tk + b) * c + h * d + e] }
          }
        }
      }
    }
    return out
  }
}
