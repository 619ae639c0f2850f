/// A contiguous Float32 array with a shape. Activations are channels-last.
///
/// Value semantics: methods that change a tensor work in place when nobody else holds its buffer and copy it first otherwise. Ownership
/// is thus the memory planner: a skip connection or a probe that keeps a tensor keeps its values.
public struct Tensor: @unchecked Sendable {
  public private(set) var shape: Shape
  var storage: Storage
  /// How gradients go back through this tensor; nil when nobody asks for them.
  var node: Node?

  /// Contents undefined: for operations that write every element.
  init(uninitialized shape: Shape) {
    self.shape = shape
    storage = Storage(count: shape.count)
  }

  init(storage: Storage, shape: Shape) {
    self.shape = shape
    self.storage = storage
  }

  /// `values` in row-major order; their number must be the shape's.
  public init(_ values: [Float], _ shape: Shape) {
    precondition(values.count == shape.count, "\(values.count) values for shape \(shape)")
    self.init(uninitialized: shape)
    values.withUnsafeBufferPointer { storage.pointer.update(from: $0.baseAddress ?? UnsafePointer(storage.pointer), count: $0.count) }
  }

  public init(repeating value: Float, _ shape: Shape) {
    self.init(uninitialized: shape)
    storage.pointer.update(repeating: value, count: shape.count)
  }

  public static func zeros(_ shape: Shape) -> Tensor { Tensor(repeating: 0, shape) }

  public var count: Int { shape.count }
  public var isEmpty: Bool { shape.count == 0 }

  /// The elements in row-major order, copied.
  public var array: [Float] { Array(UnsafeBufferPointer(start: storage.pointer, count: count)) }

  /// Read access. The pointer is valid while the tensor lives.
  var data: UnsafePointer<Float> { UnsafePointer(storage.pointer) }

  public func withUnsafeBuffer<R>(_ body: (UnsafeBufferPointer<Float>) throws -> R) rethrows -> R {
    try withExtendedLifetime(storage) { try body(UnsafeBufferPointer(start: storage.pointer, count: count)) }
  }

  /// Write access: copies the buffer first if somebody else holds it or it belongs to a file.
  mutating func mutableData() -> UnsafeMutablePointer<Float> {
    precondition(node == nil, "a recorded tensor \(shape) is written to: its gradient would not know")
    if !storage.isWritable || !isKnownUniquelyReferenced(&storage) {
      let copy = Storage(count: count)
      copy.pointer.update(from: storage.pointer, count: count)
      storage = copy
    }
    return storage.pointer
  }

  public mutating func withUnsafeMutableBuffer<R>(_ body: (UnsafeMutableBufferPointer<Float>) throws -> R) rethrows -> R {
    let p = mutableData()
    return try withExtendedLifetime(storage) { try body(UnsafeMutableBufferPointer(start: p, count: count)) }
  }

  /// The same elements under another shape; no copy.
  public consuming func reshaped(_ shape: Shape) -> Tensor {
    precondition(shape.count == self.shape.count, "cannot see \(self.shape) as \(shape)")
    if records(self) {
      let old = self.shape
      return Tensor(storage: storage, shape: shape).recorded(from: [self]) { [$0.reshaped(old)] }
    }
    self.shape = shape
    node = nil
    return self
  }

  /// Rows `range` of the first dimension, copied.
  public func slice(_ range: Range<Int>) -> Tensor {
    precondition(range.lowerBound >= 0 && range.upperBound <= shape[0], "rows \(range) of \(shape)")
    var d = shape.dimensions
    let stride = d[0] == 0 ? 0 : count / d[0]
    d[0] = range.count
    let out = Tensor(uninitialized: Shape(d))
    out.storage.pointer.update(from: data + range.lowerBound * stride, count: out.count)
    return records(self) ? out.recorded(from: [self]) { [$0.inRows(range, of: self.shape)] } : out
  }

  /// Zeros of `shape` with this tensor at rows `range` of the first dimension: the transpose of `slice`.
  func inRows(_ range: Range<Int>, of shape: Shape) -> Tensor {
    let out = Tensor.zeros(shape)
    let stride = shape[0] == 0 ? 0 : shape.count / shape[0]
    (out.storage.pointer + range.lowerBound * stride).update(from: data, count: count)
    return out
  }

  /// Tensors of one shape joined along the first dimension.
  public static func concatenated(_ parts: [Tensor]) -> Tensor {
    var d = parts[0].shape.dimensions
    d[0] = parts.reduce(0) { $0 + $1.shape[0] }
    let out = Tensor(uninitialized: Shape(d))
    var at = out.storage.pointer
    for p in parts {
      precondition(p.shape.dimensions.dropFirst() == parts[0].shape.dimensions.dropFirst(), "\(p.shape) beside \(parts[0].shape)")
      at.update(from: p.data, count: p.count)
      at += p.count
    }
    if parts.contains(where: { records($0) }) {
      let rows = parts.map { $0.shape[0] }
      return out.recorded(from: parts) { gradient in
        var first = 0
        return rows.map { count in
          defer { first += count }
          return gradient.slice(first..<first + count)
        }
      }
    }
    return out
  }
}

extension Tensor {
  /// `[n, h, w, c]` as PyTorch's `[n, c, h, w]`: what files and public arrays speak.
  public func nchw() -> Tensor {
    let out = transposedInner(outer: shape[0], rows: shape[1] * shape[2], columns: shape[3], as: [shape[0], shape[3], shape[1], shape[2]])
    return records(self) ? out.recorded(from: [self]) { [$0.nhwc()] } : out
  }

  /// PyTorch's `[n, c, h, w]` as `[n, h, w, c]`.
  public func nhwc() -> Tensor {
    let out = transposedInner(outer: shape[0], rows: shape[1], columns: shape[2] * shape[3], as: [shape[0], shape[2], shape[3], shape[1]])
    return records(self) ? out.recorded(from: [self]) { [$0.nchw()] } : out
  }

  private func transposedInner(outer: Int, rows: Int, columns: Int, as newShape: Shape) -> Tensor {
    precondition(shape.rank == 4, "expected 4 dimensions, found \(shape)")
    let out = Tensor(uninitialized: newShape)
    let source = data
    let target = out.storage.pointer
    for o in 0..<outer {
      let s = source + o * rows * columns
      let t = target + o * rows * columns
      for r in 0..<rows { for c in 0..<columns { t[c * rows + r] = s[r * columns + c] } }
    }
    return out
  }
}
