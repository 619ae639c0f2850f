/// Scaled dot-product attention (Vaswani et al. 2017), many heads side by side in the channels: head i has columns i*d ..< (i+1)*d.
public enum Attention {
  /// Query rows and key rows of one block: 84 x 672 scores (221 KiB) stay in the second-level cache. Both are multiples of the rows and columns of the
  /// product's register tile (6 or 14 rows, 16 or 32 columns), and key blocks are multiples of query blocks.
  private static let queryBlock = 84
  private static let keyBlock = 672

  /// - Parameters:
  ///   - q: `[n, queries, heads * d]`; k, v: `[n, keys, heads * d]`.
  ///   - causal: query i sees keys 0...i only.
  ///   - inBFloat16: both products are made in bfloat16 (`ProductPrecision.bf16`), unless gradients will be asked for.
  /// - Returns: `[n, queries, heads * d]`: softmax(q k^T / sqrt d) v, computed block by block with an online softmax
  ///   (Milakov & Gimelshein 2018; Rabe & Staats 2021), so that the full score matrix never exists.
  static func attend(_ q: Tensor, _ k: Tensor, _ v: Tensor, heads: Int, causal: Bool = false, inBFloat16: Bool = false) -> Tensor {
    let (n, tq, c, tk) = (q.shape[0], q.shape[1], q.shape[2], k.shape[1])
    precondition(k.shape == [n, tk, c] && v.shape == [n, tk, c] && c % heads == 0, "attention: q \(q.shape), k \(k.shape), v \(v.shape)")
    let d = c / heads
    let out = Tensor(uninitialized: [n, tq, c])
    let (qp, op) = (q.data, out.storage.pointer)
    // Keys and values of every head are packed once; each of its query blocks reads them.
    let numbers = inBFloat16 && !records(q, k, v) ? Panels.Numbers.bfloat : .single
    let (keys, values) = (PackedHeads(keys: k, heads: heads, numbers), PackedHeads(values: v, heads: heads, numbers))
    let (kernel, multiply) = (Kernel.table, numbers.kernels.panel_product)
    let blocks = (tq + queryBlock - 1) / queryBlock
    let width = Panels.count(min(keyBlock, tk)) * Panels.width
    parallel(n * heads * blocks, scratch: queryBlock * width + 2 * queryBlock) { items, scores in
      let maximum = scores + queryBlock * width
      let sum = maximum + queryBlock
      for item in items {
        let (image, head, block) = (item / (heads * blocks), item / blocks % heads, item % blocks)
        let first = block * queryBlock
        let rows = min(queryBlock, tq - first)
        let qAt = qp + (image * tq + first) * c + head * d
        let oAt = op + (image * tq + first) * c + head * d
        var key = 0
        while key < tk && (!causal || key < first + rows) {
          let columns = min(keyBlock, tk - key)
          let panels = Panels.count(columns)
          // Whole panels: the columns beyond the last key are products with zeros that nobody looks at.
          multiply?(
            rows, panels * Panels.width, d, 0, panels, qAt, c, keys.block(image * heads + head, key / keyBlock), nil, 0, scores, width)
          // Under the causal mask a row may see nothing of a later block only if that block starts beyond the whole query block, which the
          // loop excludes as long as key blocks are multiples of query blocks; a row then sees at least one column.
          let visible = causal ? max(1, first - key + 1) : 0
          kernel.softmax_block(scores, width, rows, columns, visible, maximum, sum, oAt, c, d, key == 0 ? 1 : 0)
          multiply?(
            rows, d, columns, 0, Panels.count(d), scores, width, values.block(image * heads + head, key / keyBlock), nil, key == 0 ? 0 : 1,
            oAt, c)
          key += columns
        }
        kernel.divide_rows(oAt, c, rows, d, sum)
      }
    }
    withExtendedLifetime((q, keys, values)) {}
    guard records(q, k, v) else { return out }
    return out.recorded(from: [q, k, v]) { gradients(q, k, v, $0, heads: heads, causal: causal) }
  }

  /// Keys (transposed, divided by the square root of d) or values of all heads in panels, block of keys by block of keys.
  private struct PackedHeads {
    private let storage: Storage
    /// Floats of a head and of a whole block of keys.
    private let (headSize, blockSize): (Int, Int)

    init(keys: Tensor, heads: Int, _ numbers: Panels.Numbers) {
      let d = keys.shape[2] / heads
      let pack = numbers.kernels.pack_transposed
      self.init(keys, heads) {
        Panels.count($0) * Panels.width * numbers.bytes(d) / 4
      } pack: { source, stride, count, target in
        pack?(source, count, d, 1, stride, 1 / Float(d).squareRoot(), 0, Panels.count(count), target)
      }
    }

    init(values: Tensor, heads: Int, _ numbers: Panels.Numbers) {
      let d = values.shape[2] / heads
      let pack = numbers.kernels.pack_rows
      self.init(values, heads) {
        Panels.count(d) * Panels.width * numbers.bytes($0) / 4
      } pack: { source, stride, count, target in
        pack?(source, d, count, stride, target)
      }
    }

    private init(
      _ x: Tensor, _ heads: Int, size: (_ keys: Int) -> Int,
      pack: (_ source: UnsafePointer<Float>, _ stride: Int, _ keys: Int, _ target: UnsafeMutablePointer<Float>) -> Void
    ) {
      let (n, t, c) = (x.shape[0], x.shape[1], x.shape[2])
      let (whole, rest) = (t / keyBlock, t % keyBlock)
      let blockSize = size(keyBlock)
      let headSize = whole * blockSize + size(rest)
      let storage = Storage(count: n * heads * headSize)
      let source = x.data
      parallel(n * heads, grain: max(1, 65536 / max(1, headSize))) { items in
        for item in items {
          for block in 0..<whole + (rest > 0 ? 1 : 0) {
            let key = block * keyBlock
            pack(
              source + (item / heads * t + key) * c + item % heads * (c / heads), c, min(keyBlock, t - key),
              storage.pointer + item * headSize + block * blockSize)
          }
        }
      }
      withExtendedLifetime(x) {}
      (self.storage, self.headSize, self.blockSize) = (storage, headSize, blockSize)
    }

    func block(_ head: Int, _ block: Int) -> UnsafePointer<Float> { UnsafePointer(storage.pointer + head * headSize + block * blockSize) }
  }

  /// The probabilities that `attend` uses, for those who want to look: `[n, heads, queries, keys]`.
  public static func probabilities(_ q: Tensor, _ k: Tensor, heads: Int, causal: Bool = false) -> Tensor {
    let (n, tq, c, tk) = (q.shape[0], q.shape[1], q.shape[2], k.shape[1])
    let d = c / heads
    let scale = 1 / Float(d).squareRoot()
    let out = Tensor(uninitialized: [n, heads, tq, tk])
    let (qp, kp, op) = (q.data, k.data, out.storage.pointer)
    let blocks = (tq + queryBlock - 1) / queryBlock
    parallel(n * heads * blocks) { items in
      for item in items {
        let (image, head, block) = (item / (heads * blocks), item / blocks % heads, item % blocks)
        let first = block * queryBlock
        let rows = min(queryBlock, tq - first)
        let oAt = op + ((image * heads + head) * tq + first) * tk
        product(
          rows, tk, d, alpha: scale, Matrix(pointer: qp + (image * tq + first) * c + head * d, stride: c),
          Matrix(pointer: kp + image * tk * c + head * d, stride: c, transposed: true), beta: 0, oAt, tk)
        Kernel.table.softmax_rows(oAt, rows, tk, causal ? first + 1 : 0)
      }
    }
    withExtendedLifetime((q, k)) {}
    return out
  }
}
