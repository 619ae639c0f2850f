extension Attention {
  /// Gradients of q, k and v of `attend`, given g `[n, queries, heads * d]`.
  ///
  /// The probabilities P are computed again, block of queries by block. With S the scaled scores: dV = P^T g, dP = g V^T,
  /// dS = P (dP - rowsum(P dP)), dQ = dS K / sqrt d, dK = dS^T Q / sqrt d (Dao et al. 2022, appendix B).
  static func gradients(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ g: Tensor, heads: Int, causal: Bool) -> [Tensor?] {
    let (n, tq, c, tk) = (q.shape[0], q.shape[1], q.shape[2], k.shape[1])
    let d = c / heads
    let scale = 1 / Float(d).squareRoot()
    let (dq, dk, dv) = (Tensor(uninitialized: q.shape), Tensor.zeros(k.shape), Tensor.zeros(v.shape))
    let block = min(tq, 64)
    // A head of an image is one piece of work: its keys' gradients are sums over all its queries.
    parallel(n * heads, scratch: 2 * block * tk) { items, scratch in
      let (p, s) = (scratch, scratch + block * tk)
      for item in items {
        let (image, head) = (item / heads, item % heads)
        let (queries, keys) = (image * tq * c + head * d, image * tk * c + head * d)
        var first = 0
        while first < tq {
          let rows = min(block, tq - first)
          let at = queries + first * c
          // Later keys than the last query of the block have no part in it.
          let width = causal ? min(tk, first + rows) : tk
          product(
            rows, width, d, alpha: scale, Matrix(pointer: q.data + at, stride: c),
            Matrix(pointer: k.data + keys, stride: c, transposed: true), beta: 0, p, width)
          Kernel.table.softmax_rows(p, rows, width, causal ? first + 1 : 0)
          product(
            width, d, rows, Matrix(pointer: p, stride: width, transposed: true), Matrix(pointer: g.data + at, stride: c), beta: 1,
            dv.storage.pointer + keys, c)
          product(
            rows, width, d, Matrix(pointer: g.data + at, stride: c), Matrix(pointer: v.data + keys, stride: c, transposed: true), beta: 0,
            s, width)
          Kernel.table.softmax_gradient(p, s, rows, width)
          product(
            rows, d, width, alpha: scale, Matrix(pointer: s, stride: width), Matrix(pointer: k.data + keys, stride: c), beta: 0,
            dq.storage.pointer + at, c)
          product(
            width, d, rows, alpha: scale, Matrix(pointer: s, stride: width, transposed: true), Matrix(pointer: q.data + at, stride: c),
            beta: 1, dk.storage.pointer + keys, c)
          first += rows
        }
      }
    }
    withExtendedLifetime((q, k, v, g)) {}
    return [q.node == nil ? nil : dq, k.node == nil ? nil : dk, v.node == nil ? nil : dv]
  }
}
