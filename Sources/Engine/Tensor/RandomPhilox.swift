import Foundation

/// `torch.randn` on a CUDA device: Philox4x32-10 with the counter (call, 0, element, 0) and the seed as key.
///
/// Every GPU thread takes the first of four normals, so this holds while a tensor has no more elements than the GPU runs threads at once
/// (100,000 and more: a picture of 1024 x 1024 has 65,536 latents). Agreement to a few units in the last place.
/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; cuRAND's curand_philox4x32_x.h and curand_normal.h; the same
/// as A1111's modules/rng_philox.py.
public struct PhiloxRandom: RandomSource {
  private let key: SIMD2<UInt32>
  private var call: UInt32 = 0

  public init(seed: UInt64) {
    key = [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)]
  }

  public mutating func normal(count: Int) -> [Float] {
    let call = call
    self.call &+= 1
    return (0..<count).map { element in
      let bits = Self.philox([call, 0, UInt32(truncatingIfNeeded: element), UInt32(truncatingIfNeeded: element >> 32)], key)
      return Self.boxMuller(bits[0], bits[1])
    }
  }

  /// Ten rounds of Philox4x32: four random words for a counter and a key.
  static func philox(_ counter: SIMD4<UInt32>, _ key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var c = counter
    var k = key
    for round in 0..<10 {
      if round > 0 { k &+= [0x9e37_79b9, 0xbb67_ae85] }
      let a = c[0].multipliedFullWidth(by: 0xd251_1f53)
      let b = c[2].multipliedFullWidth(by: 0xcd9e_8d57)
      c = [b.high ^ c[1] ^ k[0], b.low, a.high ^ c[3] ^ k[1], a.low]
    }
    return c
  }

  /// The sine branch of cuRAND's Box-Muller transform in single precision, with the GPU's fused multiply-add.
  private static func boxMuller(_ x: UInt32, _ y: UInt32) -> Float {
    let unit: Float = 2.3283064e-10  // 2^-32
    let circle: Float = 2.3283064e-10 * 6.2831855
    let u = (unit / 2).addingProduct(Float(x), unit)
    let v = (circle / 2).addingProduct(Float(y), circle)
    return (-2 * log(u)).squareRoot() * sin(v)
  }
}
