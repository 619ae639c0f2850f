import Foundation
import Testing

@testable import Engine

/// Weights kept in half precision: the same numbers where they are halves already, the nearest halves otherwise.
@Suite struct HalfPrecisionTests {
  /// `pattern` rounded to halves.
  private func halves(_ count: Int) -> [Float] { pattern(count, 1).map { Float(Float16($0)) } }

  @Test(arguments: [(1, 5, 3), (130, 72, 400), (3, 700, 257)]) func linearToTheBit(m: Int, n: Int, k: Int) {
    let x = Tensor(pattern(m * k), [m, k])
    let weight = Tensor(halves(n * k), [n, k])
    let single = x.linear(LinearWeight(WeightValues(weight)), nil)
    let half = x.linear(LinearWeight(WeightValues(weight, half: true)), nil)
    #expect(single.array == half.array)
  }

  /// By patches, and by Winograd with transformed weights that are kept and that are not.
  @Test(arguments: [(2, 5, 7), (9, 32, 48), (17, 272, 256)]) func convolutionToTheBit(size: Int, cin: Int, cout: Int) {
    let x = Tensor(pattern(2 * size * size * cin), [2, size, size, cin])
    let weight = Tensor(halves(cout * cin * 9), [cout, cin, 3, 3])
    let single = x.conv2d(ConvolutionWeight(WeightValues(weight)), nil, padding: Padding(1))
    let half = x.conv2d(ConvolutionWeight(WeightValues(weight, half: true)), nil, padding: Padding(1))
    #expect(single.array == half.array)
  }

  @Test func roundsToTheNearestHalf() {
    let (m, n, k) = (4, 20, 30)
    let values = pattern(n * k, 1)
    let x = Tensor(pattern(m * k), [m, k])
    let half = x.linear(LinearWeight(WeightValues(Tensor(values, [n, k]), half: true)), nil)
    let rounded = x.linear(LinearWeight(Tensor(values.map { Float(Float16($0)) }, [n, k])), nil)
    #expect(half.array == rounded.array)
    #expect(half.array != x.linear(LinearWeight(Tensor(values, [n, k])), nil).array)
  }

  /// The embedded model's files hold halves: kept as float32 or as halves, it predicts the same to the bit.
  @Test func aModelOfHalvesPredictsTheSame() throws {
    let predictions = try [WeightPrecision.f32, .f16, nil].map { precision in
      let model = try StableDiffusion(ModelSource.resolve(precision: precision))
      let config = model.unet.config
      let x = Tensor(pattern(16 * 16 * config.inChannels), [1, 16, 16, config.inChannels])
      let text = Tensor(pattern(8 * config.crossAttentionDim), [1, 8, config.crossAttentionDim])
      return (try model.unet(x, timesteps: [500], text: text).array, model.source.weights.memoryBytes)
    }
    #expect(predictions[0].0 == predictions[1].0 && predictions[0].0 == predictions[2].0)
    #expect(Double(predictions[1].1) < 0.6 * Double(predictions[0].1), "bytes in memory")
  }

  @Test func aWeightThatHalfPrecisionCannotHoldIsRefused() throws {
    let big = try Safetensors.read(MadeFile.bytes(MadeFile.safetensors([(name: "unet.a.weight", values: [1, 70000], shape: [1, 2])])))
      .tensors
    let store = try WeightStore(big, label: "model", precision: .f16)
    _ = store["unet"]["a"].linearWeight([1, 2])
    expectRefusal(["unet.a.weight: the largest weight is 70000", "ends at 65504"]) { try store.finish() }
    let same = try WeightStore(big, label: "model")
    _ = same["unet"]["a"].linearWeight([1, 2])
    try same.finish()
  }

  /// The largest magnitude is found without converting, wherever it stands and whatever its sign.
  @Test(arguments: [0, 15, 16, 40]) func largestMagnitude(at place: Int) {
    var values = [Float](repeating: 0.25, count: 41)
    values[place] = -3
    let (halves, singles) = (values.map { Float16($0) }, values)
    let brains = values.map { UInt16($0.bitPattern >> 16) }
    let doubles = values.map(Double.init)
    func largest<T>(_ numbers: [T], _ dtype: DType) -> Float {
      numbers.withUnsafeBytes { $0.baseAddress.map { FloatConversion.largestMagnitude($0, dtype, count: 41) } ?? .nan }
    }
    #expect(largest(halves, .float16) == 3)
    #expect(largest(singles, .float32) == 3)
    #expect(largest(brains, .bfloat16) == 3)
    #expect(largest(doubles, .float64) == 3)
    values[place] = .nan
    #expect(largest(values, .float32) == .infinity)
    #expect(largest(values.map { Float16($0) }, .float16) == .infinity)
  }
}
