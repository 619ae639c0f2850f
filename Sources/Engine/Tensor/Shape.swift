/// The dimensions of a tensor, at most four, stored inline so that making a tensor allocates nothing but its buffer.
///
/// Activations are channels-last: `[n, h, w, c]` for pictures, `[n, tokens, c]` for sequences.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  private var sizes: SIMD4<Int>
  /// Number of dimensions, 0 to 4.
  public let rank: Int

  public init(_ dimensions: [Int]) {
    precondition(dimensions.count <= 4, "a tensor has at most 4 dimensions, got \(dimensions)")
    sizes = SIMD4(1, 1, 1, 1)
    rank = dimensions.count
    for (i, d) in dimensions.enumerated() { sizes[i] = d }
  }
  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// Size of dimension `i`; negative indices count from the end, so `[-1]` is the channels.
  public subscript(_ i: Int) -> Int { sizes[i < 0 ? rank + i : i] }

  /// Number of elements.
  public var count: Int { sizes[0] * sizes[1] * sizes[2] * sizes[3] }
  /// Number of rows when the last dimension is seen as the columns of a matrix.
  public var rows: Int { rank == 0 ? 1 : count / max(self[-1], 1) }
  public var dimensions: [Int] { (0..<rank).map { sizes[$0] } }
  public var description: String { "[" + dimensions.map(String.init).joined(separator: ", ") + "]" }
}
