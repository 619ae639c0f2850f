import Foundation

/// The Inception network that FID is measured with: InceptionV3 (Szegedy et al. 2016) as TensorFlow's `inception-2015-12-05` graph has it, in pytorch-fid's layout.
///
/// It differs from torchvision's: averages leave padding out, the last block pools by maximum, and there are 1,008 classes.
/// Safe to share between tasks: nothing in it changes after `init`.
public struct InceptionV3: @unchecked Sendable {
  /// Side of the pictures that it sees, in pixels.
  public static let side = 299
  /// Values of a picture's features.
  public static let features = 2048

  private let stem: [ConvUnit]
  private let (mixed5, mixed6c, mixed7e): ([InceptionA], [InceptionC], [InceptionE])
  private let mixed6a: InceptionB
  private let mixed7a: InceptionD
  private let fc: Linear

  /// - Parameter url: a file of pytorch-fid's weights (`pt_inception-2015-12-05-6726825d.pth`) or the same tensors as safetensors.
  /// - Throws: `InputError` naming what is missing or misshapen.
  public init(_ url: URL) throws {
    var tensors = try WeightFiles.read(url).tensors
    for i in tensors.indices { tensors[i].name = "inception." + tensors[i].name }
    try self.init(WeightStore(tensors, label: url.relativePath))
  }

  init(_ store: WeightStore) throws {
    let s = store["inception"]
    stem = [
      ConvUnit(s["Conv2d_1a_3x3"], 3, 32, 3, stride: 2), ConvUnit(s["Conv2d_2a_3x3"], 32, 32, 3),
      ConvUnit(s["Conv2d_2b_3x3"], 32, 64, 3, padding: 1), ConvUnit(s["Conv2d_3b_1x1"], 64, 80, 1),
      ConvUnit(s["Conv2d_4a_3x3"], 80, 192, 3),
    ]
    mixed5 = [
      InceptionA(s["Mixed_5b"], 192, pool: 32), InceptionA(s["Mixed_5c"], 256, pool: 64), InceptionA(s["Mixed_5d"], 288, pool: 64),
    ]
    mixed6a = InceptionB(s["Mixed_6a"], 288)
    mixed6c = [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)].map { InceptionC(s[$0.0], 768, inner: $0.1) }
    mixed7a = InceptionD(s["Mixed_7a"], 768)
    mixed7e = [InceptionE(s["Mixed_7b"], 1280, maximum: false), InceptionE(s["Mixed_7c"], 2048, maximum: true)]
    // The bias is left out: the Inception score was defined without it.
    fc = Linear(s["fc"], Self.features, 1008, bias: false)
    try store.finish(ignoring: ["*"])
  }

  /// What the network says of pictures.
  public struct Output: Sendable {
    /// `[n, 2048]`: the last block's mean over the pixels, for FID, KID, precision and recall.
    public let features: Tensor
    /// `[n, 1008]`, without the bias, as the Inception score takes them.
    public let logits: Tensor
  }

  /// - Parameter pictures: `[n, 299, 299, 3]`, 0 to 255.
  public func callAsFunction(_ pictures: Tensor) -> Output {
    precondition(pictures.shape.dimensions.dropFirst() == [Self.side, Self.side, 3], "pictures \(pictures.shape)")
    var x = pictures.map { ($0 - 128) / 128 }
    for unit in stem[0..<3] { x = unit(x) }
    x = x.maxPooled(3, stride: 2)
    for unit in stem[3...] { x = unit(x) }
    x = x.maxPooled(3, stride: 2)
    for block in mixed5 { x = block(x) }
    x = mixed6a(x)
    for block in mixed6c { x = block(x) }
    x = mixed7a(x)
    for block in mixed7e { x = block(x) }
    let features = x.meanOverPixels()
    return Output(features: features, logits: fc(features))
  }

  /// Of pictures of any size, resized as clean-fid does (Parmar et al. 2022): bicubic with antialiasing, in floating point, no rounding.
  public func callAsFunction(_ pictures: [Picture]) -> Output {
    let parts = stride(from: 0, to: pictures.count, by: 8).map { start in
      self(Tensor.concatenated(pictures[start..<min(start + 8, pictures.count)].map { $0.bicubic(width: Self.side, height: Self.side) }))
    }
    return Output(features: .concatenated(parts.map(\.features)), logits: .concatenated(parts.map(\.logits)))
  }
}

/// Convolution, batch normalization and ReLU. The normalization is folded into the convolution: `w' = w g / sqrt(v + eps)`, `b' = b - m g / sqrt(v + eps)`.
private struct ConvUnit {
  private let weight: ConvolutionWeight
  private let bias: Tensor
  private let stride: Int
  private let padding: Padding

  init(_ scope: WeightScope, _ input: Int, _ output: Int, _ kernel: Int, stride: Int = 1, padding: Int = 0) {
    self.init(scope, input, output, height: kernel, width: kernel, stride: stride, padding: Padding(padding))
  }

  /// A line of `length` pixels, which keeps the size.
  static func row(_ scope: WeightScope, _ input: Int, _ output: Int, _ length: Int) -> ConvUnit {
    var padding = Padding(0)
    (padding.left, padding.right) = (length / 2, length / 2)
    return ConvUnit(scope, input, output, height: 1, width: length, stride: 1, padding: padding)
  }

  static func column(_ scope: WeightScope, _ input: Int, _ output: Int, _ length: Int) -> ConvUnit {
    var padding = Padding(0)
    (padding.top, padding.bottom) = (length / 2, length / 2)
    return ConvUnit(scope, input, output, height: length, width: 1, stride: 1, padding: padding)
  }

  private init(_ scope: WeightScope, _ input: Int, _ output: Int, height: Int, width: Int, stride: Int, padding: Padding) {
    var values = scope["conv"].take("weight", [output, input, height, width])
    let norm = scope["bn"]
    let (gamma, beta) = (norm.take("weight", [output]), norm.take("bias", [output]))
    let (mean, variance) = (norm.take("running_mean", [output]), norm.take("running_var", [output]))
    var bias = Tensor.zeros([output])
    // A tensor that was missing is empty; the store reports it at the end.
    if [values, gamma, beta, mean, variance].allSatisfy({ !$0.isEmpty }) {
      let factors = (0..<output).map { Double(gamma.data[$0]) / (Double(variance.data[$0]) + 0.001).squareRoot() }
      let size = input * height * width
      values.withUnsafeMutableBuffer { v in for i in 0..<v.count { v[i] = Float(Double(v[i]) * factors[i / size]) } }
      bias.withUnsafeMutableBuffer { b in for i in 0..<output { b[i] = Float(Double(beta.data[i]) - Double(mean.data[i]) * factors[i]) } }
    } else {
      values = .zeros([output, input, height, width])
    }
    weight = ConvolutionWeight(values)
    self.bias = bias
    self.stride = stride
    self.padding = padding
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    var y = x.conv2d(weight, bias, stride: stride, padding: padding)
    y.withUnsafeMutableBuffer { y in for i in 0..<y.count { y[i] = max(0, y[i]) } }
    return y
  }
}

private func joined(_ parts: [Tensor]) -> Tensor { parts.dropFirst().reduce(parts[0]) { $0.joinedChannels($1) } }

private struct InceptionA {
  private let (one, pool): (ConvUnit, ConvUnit)
  private let (five, three): ([ConvUnit], [ConvUnit])

  init(_ s: WeightScope, _ input: Int, pool width: Int) {
    one = ConvUnit(s["branch1x1"], input, 64, 1)
    five = [ConvUnit(s["branch5x5_1"], input, 48, 1), ConvUnit(s["branch5x5_2"], 48, 64, 5, padding: 2)]
    three = [
      ConvUnit(s["branch3x3dbl_1"], input, 64, 1), ConvUnit(s["branch3x3dbl_2"], 64, 96, 3, padding: 1),
      ConvUnit(s["branch3x3dbl_3"], 96, 96, 3, padding: 1),
    ]
    pool = ConvUnit(s["branch_pool"], input, width, 1)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    joined([one(x), five.reduce(x) { $1($0) }, three.reduce(x) { $1($0) }, pool(x.averagePooled(3, stride: 1, padding: 1))])
  }
}

private struct InceptionB {
  private let one: ConvUnit
  private let three: [ConvUnit]

  init(_ s: WeightScope, _ input: Int) {
    one = ConvUnit(s["branch3x3"], input, 384, 3, stride: 2)
    three = [
      ConvUnit(s["branch3x3dbl_1"], input, 64, 1), ConvUnit(s["branch3x3dbl_2"], 64, 96, 3, padding: 1),
      ConvUnit(s["branch3x3dbl_3"], 96, 96, 3, stride: 2),
    ]
  }

  func callAsFunction(_ x: Tensor) -> Tensor { joined([one(x), three.reduce(x) { $1($0) }, x.maxPooled(3, stride: 2)]) }
}

private struct InceptionC {
  private let (one, pool): (ConvUnit, ConvUnit)
  private let (seven, double): ([ConvUnit], [ConvUnit])

  init(_ s: WeightScope, _ input: Int, inner c: Int) {
    one = ConvUnit(s["branch1x1"], input, 192, 1)
    seven = [ConvUnit(s["branch7x7_1"], input, c, 1), .row(s["branch7x7_2"], c, c, 7), .column(s["branch7x7_3"], c, 192, 7)]
    double = [
      ConvUnit(s["branch7x7dbl_1"], input, c, 1), .column(s["branch7x7dbl_2"], c, c, 7), .row(s["branch7x7dbl_3"], c, c, 7),
      .column(s["branch7x7dbl_4"], c, c, 7), .row(s["branch7x7dbl_5"], c, 192, 7),
    ]
    pool = ConvUnit(s["branch_pool"], input, 192, 1)
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    joined([one(x), seven.reduce(x) { $1($0) }, double.reduce(x) { $1($0) }, pool(x.averagePooled(3, stride: 1, padding: 1))])
  }
}

private struct InceptionD {
  private let (three, seven): ([ConvUnit], [ConvUnit])

  init(_ s: WeightScope, _ input: Int) {
    three = [ConvUnit(s["branch3x3_1"], input, 192, 1), ConvUnit(s["branch3x3_2"], 192, 320, 3, stride: 2)]
    seven = [
      ConvUnit(s["branch7x7x3_1"], input, 192, 1), .row(s["branch7x7x3_2"], 192, 192, 7), .column(s["branch7x7x3_3"], 192, 192, 7),
      ConvUnit(s["branch7x7x3_4"], 192, 192, 3, stride: 2),
    ]
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    joined([three.reduce(x) { $1($0) }, seven.reduce(x) { $1($0) }, x.maxPooled(3, stride: 2)])
  }
}

private struct InceptionE {
  private let (one, three, threeRow, threeColumn): (ConvUnit, ConvUnit, ConvUnit, ConvUnit)
  private let (double, doubleRow, doubleColumn, pool): ([ConvUnit], ConvUnit, ConvUnit, ConvUnit)
  /// The last block pools by maximum: a slip in the graph that everybody's numbers have.
  private let maximum: Bool

  init(_ s: WeightScope, _ input: Int, maximum: Bool) {
    one = ConvUnit(s["branch1x1"], input, 320, 1)
    three = ConvUnit(s["branch3x3_1"], input, 384, 1)
    threeRow = .row(s["branch3x3_2a"], 384, 384, 3)
    threeColumn = .column(s["branch3x3_2b"], 384, 384, 3)
    double = [ConvUnit(s["branch3x3dbl_1"], input, 448, 1), ConvUnit(s["branch3x3dbl_2"], 448, 384, 3, padding: 1)]
    doubleRow = .row(s["branch3x3dbl_3a"], 384, 384, 3)
    doubleColumn = .column(s["branch3x3dbl_3b"], 384, 384, 3)
    pool = ConvUnit(s["branch_pool"], input, 192, 1)
    self.maximum = maximum
  }

  func callAsFunction(_ x: Tensor) -> Tensor {
    let a = three(x)
    let b = double.reduce(x) { $1($0) }
    let around = maximum ? x.maxPooled(3, stride: 1, padding: 1) : x.averagePooled(3, stride: 1, padding: 1)
    return joined([one(x), threeRow(a), threeColumn(a), doubleRow(b), doubleColumn(b), pool(around)])
  }
}
