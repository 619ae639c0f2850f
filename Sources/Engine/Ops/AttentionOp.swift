/// Scaled dot-product attention (Vaswani et al. 2017), many heads side by side in the channels: head i has columns i*d ..< (i+1)*d.
public enum Attention {
  /// Query rows and key rows of one block: 64 x 1024 scores (256 KiB) stay in the second-level cache.
  private static let queryBlock = 64
  private static let keyBlock = 1024

  /// - Parameters:
  ///   - q: `[n, queries, heads * d]`; k, v: `[n, keys, heads * d]`.
  ///   - causal: query i sees keys 0...i only.
  /// - Returns: `[n, queries, heads * d]`: softmax(q k^T / sqrt d) v, computed block by block with an online softmax
  ///   (Milakov & Gimelshein 2018; Rabe & Staats 2021), so that the full score matrix never exists.
  static func attend(_ q: Tensor, _ k: Tensor, _ v: Tensor, heads: Int, causal: Bool = false) -> Tensor {
    let (n, tq, c, tk) = (q.shape[0], q.shape[1], q.shape[2], k.shape[1])
    precondition(k.shape == [n, tk, c] && v.shape == [n, tk, c] && c % heads == 0, "attention: q \(q.shape), k \(k.shape), v \(v.shape)")
    let d = c / heads
    let scale = 1 / Float(d).squareRoot()
    let out = Tensor(uninitialized: [n, tq, c])
    let (qp, kp, vp, op) = (q.data, k.data, v.data, out.storage.pointer)
    let blocks = (tq + queryBlock - 1) / queryBlock
    let width = min(keyBlock, tk)
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
          let columns = min(width, tk - key)
          let kAt = kp + (image * tk + key) * c + head * d
          let vAt = vp + (image * tk + key) * c + head * d
          product(
            rows, columns, d, alpha: scale, Matrix(pointer: qAt, stride: c), Matrix(pointer: kAt, stride: c, transposed: true), beta: 0,
            scores,
            columns)
          // Under the causal mask a row may see nothing of a later block only if that block starts beyond the whole query block, which the
          // loop excludes as long as key blocks are multiples of query blocks; a row then sees at least one column.
          let visible = causal ? max(1, first - key + 1) : 0
          Kernel.table.softmax_block(scores, columns, rows, columns, visible, maximum, sum, oAt, c, d, key == 0 ? 1 : 0)
          product(
            rows, d, columns, Matrix(pointer: scores, stride: columns), Matrix(pointer: vAt, stride: c), beta: key == 0 ? 0 : 1, oAt, c)
          key += columns
        }
        Kernel.table.divide_rows(oAt, c, rows, d, sum)
      }
    }
    withExtendedLifetime((q, k, v)) {}
    guard records(q, k, v) else { return out }
    return out.recorded(from: [q, k, v]) { gradients(q, k, v, $0, heads: heads, causal: causal) }
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
