/// Weights that are packed on first use and give their memory back on demand.
protocol PackedWeight: Sendable {
  func release()
}

/// How weights are kept in memory.
public enum WeightPrecision: String, Sendable, CaseIterable {
  case f32, f16
}

/// What the matrix products of UNet and VAE are computed in.
public enum ProductPrecision: String, Sendable, CaseIterable {
  case f32
  /// Both sides rounded to bfloat16, sums in float32: twice the rate where the processor has AVX512_BF16. Winograd's convolutions stay float32, being faster; so do
  /// the text encoder, the time embedding, and the first and last convolution.
  case bf16
}

/// The values of a weight that are read from where they lie when they are packed.
struct WeightValues: Sendable {
  /// PyTorch's shape.
  let shape: Shape
  /// Kept in half precision once packed.
  let half: Bool
  /// Multiplied in bfloat16, and then kept in it.
  let inBFloat16: Bool
  /// The values, when gradients are asked for them.
  let recorded: Tensor?
  let read: @Sendable () -> Tensor

  init(_ values: Tensor, half: Bool = false, inBFloat16: Bool = false) {
    (shape, self.half, self.inBFloat16, recorded) = (values.shape, half, inBFloat16, values.isRecorded ? values : nil)
    let plain = values.detached
    read = { plain }
  }

  /// - Parameters:
  ///   - stored: nil where it was missing, which `WeightStore.finish` has reported.
  ///   - precision: nil for half precision where the file has it. Small weights are then kept in float32, which spares widening them: the numbers are
  ///     the same. So are weights that something is added to: the sum would be rounded.
  ///   - inBFloat16: they are multiplied in bfloat16.
  ///   - deltas: what is added to the values.
  init(
    _ stored: StoredTensor?, _ shape: Shape, _ precision: WeightPrecision?, inBFloat16: Bool = false, _ deltas: [LowRankDelta] = []
  ) {
    (self.shape, self.inBFloat16) = (shape, inBFloat16)
    recorded = nil
    half = precision.map { $0 == .f16 } ?? (stored?.dtype == .float16 && shape.count >= 1 << 18 && deltas.isEmpty)
    read = {
      var values = stored?.readAgain() ?? .zeros(shape)
      for delta in deltas { delta.add(to: &values) }
      return values
    }
  }

  /// Whether what is packed for the way back is kept: a frozen network is gone back through many times. Not that of large weights, which would take their memory once more, nor of
  /// those that a training changes.
  var isKeptForTheWayBack: Bool { recorded == nil && shape.count <= 1 << 20 }

  private init(_ shape: Shape, half: Bool, read: @escaping @Sendable () -> Tensor) {
    (self.shape, self.half, inBFloat16, recorded, self.read) = (shape, half, false, nil, read)
  }

  /// `[out, in, kh, kw]` as `[in, out, kh, kw]`, turned by 180 degrees: of the convolution that takes gradients back. Always multiplied in float32.
  var turned: WeightValues {
    WeightValues([shape[1], shape[0], shape[2], shape[3]], half: half) { [read] in read().turnedKernel() }
  }

  /// Of what panels are made for float32 products.
  var plain: Panels.Numbers { half ? .half : .single }

  /// Of what they are made for products in the weight's own precision.
  var numbers: Panels.Numbers { inBFloat16 ? .bfloat : plain }
}

/// The weight of a linear layer, packed on first use; the values in the file are not held beside it.
final class LinearWeight: PackedWeight {
  let (output, input): (Int, Int)
  private let stored: WeightValues
  private let packed: OnDemand<Panels>
  /// For products with the weight itself, which take gradients back.
  private let backward: OnDemand<Panels>

  /// - Parameter weight: `[out, in]`, or `[out, in, 1, 1]` of a convolution.
  init(_ weight: WeightValues) {
    let (output, input) = (weight.shape[0], weight.shape[1])
    (self.output, self.input) = (output, input)
    stored = weight
    packed = OnDemand { Panels(transposing: weight.read(), weight.numbers) }
    backward = OnDemand { Panels(weight.read().reshaped([output, input])) }
  }

  convenience init(_ values: Tensor) { self.init(WeightValues(values)) }

  /// Products with it are made in bfloat16.
  var isInBFloat16: Bool { stored.inBFloat16 }

  /// `[out, in]`, when gradients are asked for it.
  var recorded: Tensor? { stored.recorded.map { $0.shape.rank == 2 ? $0 : $0.reshaped([output, input]) } }

  /// The transpose, for products with it on the right.
  var panels: Panels { packed.value }

  /// The weight itself, in float32, for the way back.
  var backwardPanels: Panels { stored.isKeptForTheWayBack ? backward.value : backward.anew }

  func release() {
    packed.release()
    backward.release()
  }
}

/// The weight of a convolution, packed on first use; the values in the file are not held beside it.
final class ConvolutionWeight: PackedWeight {
  /// Output and input channels.
  let (output, input): (Int, Int)
  /// Height and width.
  let kernel: (height: Int, width: Int)

  private let stored: WeightValues
  private let packed: OnDemand<Panels>
  /// In float32 or halves, for Winograd's transforms: the same where products are not made in bfloat16.
  private let plain: OnDemand<Panels>
  private let transformed: OnDemand<Tensor>
  private let backward: OnDemand<ConvolutionWeight>

  /// - Parameter weight: `[out, in, kh, kw]`
  init(_ weight: WeightValues) {
    (output, input) = (weight.shape[0], weight.shape[1])
    kernel = (weight.shape[2], weight.shape[3])
    stored = weight
    let plain = OnDemand { Panels(transposing: weight.read(), weight.plain) }
    self.plain = plain
    packed = weight.inBFloat16 ? OnDemand { Panels(transposing: weight.read(), .bfloat) } : plain
    transformed = OnDemand { plain.value.transformedForWinograd() }
    backward = OnDemand { ConvolutionWeight(weight.turned) }
  }

  convenience init(_ values: Tensor) { self.init(WeightValues(values)) }

  /// `[out, in, kh, kw]`, when gradients are asked for it.
  var recorded: Tensor? { stored.recorded }

  /// `[out, in, kh, kw]`, read anew.
  var values: Tensor { stored.read() }

  /// `[kh * kw * in, out]`, for the product with patches of the picture.
  var panels: Panels { packed.value }

  /// The same without bfloat16, for Winograd's transforms.
  var plainPanels: Panels { plain.value }

  /// Products with it, by patches, are made in bfloat16.
  var isInBFloat16: Bool { stored.inBFloat16 }

  /// Winograd's transform of the whole weight, for those that keep it: `[panels, 36, in, panel width]`.
  var winograd: Tensor { transformed.value }

  /// The weight of the convolution that takes gradients back (`WeightValues.turned`).
  var turned: ConvolutionWeight { stored.isKeptForTheWayBack ? backward.value : backward.anew }

  func release() {
    backward.release()
    packed.release()
    plain.release()
    transformed.release()
  }
}
