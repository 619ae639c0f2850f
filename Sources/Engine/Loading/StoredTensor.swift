import Foundation

/// A tensor as it lies in a file: name, type, shape and where its bytes are. Nothing is read until `float32()`.
public struct StoredTensor: Sendable {
  /// Name in the one namespace, or the file's own name before the key map was applied.
  public internal(set) var name: String
  public let dtype: DType
  /// PyTorch's shape: `[out, in, height, width]` for a convolution.
  public let shape: [Int]
  /// Elements between neighbours of each dimension; nil when the elements lie in row-major order without gaps.
  let strides: [Int]?
  let bytes: FileBytes
  /// First byte of the first element in `bytes`.
  let offset: Int

  /// The bytes from `offset` on must be in the file: readers check it.
  init(name: String, dtype: DType, shape: [Int], strides: [Int]? = nil, bytes: FileBytes, offset: Int) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.strides = strides
    self.bytes = bytes
    self.offset = offset
  }

  /// Path of the file, for error lines.
  public var file: String { bytes.name }
  public var count: Int { shape.reduce(1, *) }
  public var byteCount: Int { count * dtype.size }

  /// Bytes of a tensor, or nil when they are beyond 63 bits. An empty dimension hides nothing: parts of the shape are multiplied elsewhere.
  static func byteCount(_ dtype: DType, _ shape: [Int]) -> Int? {
    var size = dtype.size
    for d in shape {
      let (product, over) = size.multipliedReportingOverflow(by: max(d, 1))
      guard !over else { return nil }
      size = product
    }
    return shape.contains(0) ? 0 : size
  }

  /// The values as Float32 in PyTorch's order: a view of the mapped file when it holds aligned Float32, converted otherwise.
  ///
  /// The pages of a view are given back to the system when the last tensor over it goes, those of a converted tensor at once.
  /// - Throws: `InputError` naming file and tensor when a value is NaN or infinite, when the type is no floating type, or when there
  ///   are more than four dimensions.
  public func float32() throws -> Tensor {
    guard dtype.isFloating else { throw InputError(.badData, "\(file): \(name): expected floating numbers, found \(dtype.rawValue)") }
    guard shape.count <= 4 else { throw InputError(.badData, "\(file): \(name): expected at most 4 dimensions, found \(shape)") }
    let (tensor, good) = converted()
    guard good else {
      let at = (0..<count).first { !tensor.data[$0].isFinite } ?? 0
      throw InputError(
        .badData, "\(file): \(name): value \(at) is \(tensor.data[at]), expected finite numbers", hint: "the file is damaged")
    }
    return tensor
  }

  /// Throws what `float32()` would, without converting; and for weights that are to be kept in half precision when one is too large for it.
  func check(_ precision: WeightPrecision?) throws {
    guard dtype.isFloating, shape.count <= 4, strides == nil else {
      _ = try float32()
      return
    }
    let largest = FloatConversion.largestMagnitude(bytes.base + offset, dtype, count: count)
    releasePages()
    if !largest.isFinite { _ = try float32() }
    if precision == .f16, largest > Float(Float16.greatestFiniteMagnitude) {
      throw InputError(
        .badData, "\(file): \(name): the largest weight is \(largest), half precision ends at 65504", hint: "keep these weights in float32")
    }
  }

  /// `float32()` for a tensor that has passed it before: for those who read it again when they need it rather than keep it.
  func readAgain() -> Tensor { converted().tensor }

  private func converted() -> (tensor: Tensor, isFinite: Bool) {
    let source = bytes.base + offset
    let size = Shape(shape)
    let tensor: Tensor
    let good: Bool
    if let strides {
      tensor = Tensor(uninitialized: size)
      let rowMajor = gathered(strides)
      good = rowMajor.withUnsafeBytes {
        $0.count == 0 || FloatConversion.convert($0.baseAddress!, dtype, count: count, to: tensor.storage.pointer)
      }
      releasePages()
    } else if dtype == .float32, Int(bitPattern: source) % MemoryLayout<Float>.alignment == 0 {
      let window = Window(of: self)
      tensor = Tensor(storage: Storage(borrowing: source.assumingMemoryBound(to: Float.self), owner: window), shape: size)
      good = FloatConversion.isFinite(tensor.data, count: count)
    } else {
      tensor = Tensor(uninitialized: size)
      good = FloatConversion.convert(source, dtype, count: count, to: tensor.storage.pointer)
      releasePages()
    }
    return (tensor, good)
  }

  /// The bytes as they lie in the file, row-major without gaps; nil for a tensor with other strides.
  public var rawBytes: [UInt8]? {
    strides == nil ? Array(UnsafeRawBufferPointer(start: bytes.base + offset, count: byteCount)) : nil
  }

  /// Gives the memory of the tensor's pages back; they are read again from the file when somebody touches them.
  public func releasePages() {
    if strides == nil { bytes.releasePages(offset..<offset + byteCount) }
  }

  /// The same tensor without trailing dimensions of size 1, as far as `rank` allows.
  func squeezed(to rank: Int) -> StoredTensor {
    guard shape.count > rank, shape.dropFirst(rank).allSatisfy({ $0 == 1 }) else { return self }
    return StoredTensor(
      name: name, dtype: dtype, shape: Array(shape.prefix(rank)), strides: strides.map { Array($0.prefix(rank)) }, bytes: bytes,
      offset: offset)
  }

  /// The same values as a matrix: the first dimension, and the others together. For tensors of more than four dimensions, whose `float32()` refuses.
  public func flattened() -> StoredTensor {
    guard strides == nil, shape.count > 2 else { return self }
    return StoredTensor(name: name, dtype: dtype, shape: [shape[0], shape.dropFirst().reduce(1, *)], bytes: bytes, offset: offset)
  }

  /// Rows `range` of the first dimension.
  func rows(_ range: Range<Int>) -> StoredTensor {
    let row = strides?.first ?? shape.dropFirst().reduce(1, *)
    return StoredTensor(
      name: name, dtype: dtype, shape: [range.count] + shape.dropFirst(), strides: strides, bytes: bytes,
      offset: offset + range.lowerBound * row * dtype.size)
  }

  /// Entry `index` of the first dimension, without that dimension.
  public func entry(_ index: Int) -> StoredTensor {
    let row = rows(index..<index + 1)
    return StoredTensor(
      name: name, dtype: dtype, shape: Array(shape.dropFirst()), strides: strides.map { Array($0.dropFirst()) }, bytes: bytes,
      offset: row.offset)
  }

  /// The bytes of the elements in row-major order.
  private func gathered(_ strides: [Int]) -> [UInt8] {
    let size = dtype.size
    var out = [UInt8](repeating: 0, count: byteCount)
    Strides.walk(shape, strides) { element, place in
      for b in 0..<size { out[element * size + b] = bytes.base.load(fromByteOffset: offset + place * size + b, as: UInt8.self) }
    }
    return out
  }

  /// Keeps the file mapped while a tensor looks at it, and gives the pages back afterwards.
  private final class Window: Sendable {
    private let tensor: StoredTensor
    init(of tensor: StoredTensor) { self.tensor = tensor }
    deinit { tensor.releasePages() }
  }
}
