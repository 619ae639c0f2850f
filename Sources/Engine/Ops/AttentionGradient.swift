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
    // Scores and their gradients of a block stay in the second-level cache.
    let block = min(tq, max(64, 32768 / tk))
    let kernel = Kernel.table.single
    let (across, deep) = (Panels.count(tk), Panels.count(d))
    let (columns, rows) = (across * Panels.width * d, deep * Panels.width * tk)
    // A head of an image is one piece of work: its keys' gradients are sums over all its queries.
    parallel(n * heads, scratch: 2 * block * tk + 2 * columns + rows) { items, scratch in
      let (p, s) = (scratch, scratch + block * tk)
      let keys = s + block * tk
      let (values, keyRows) = (keys + columns, keys + 2 * columns)
      for item in items {
        let (image, head) = (item / heads, item % heads)
        let (queries, at) = (image * tq * c + head * d, image * tk * c + head * d)
        kernel.pack_transposed(k.data + at, tk, d, 1, c, scale, 0, across, keys)
        // With the scale, dP and so dS have it, too.
        kernel.pack_transposed(v.data + at, tk, d, 1, c, scale, 0, across, values)
        kernel.pack_rows(k.data + at, d, tk, c, keyRows)
        var first = 0
        while first < tq {
          let rows = min(block, tq - first)
          let own = queries + first * c
          kernel.panel_product(rows, tk, d, 0, across, q.data + own, c, keys, nil, 0, p, tk)
          Kernel.table.softmax_rows(p, rows, tk, causal ? first + 1 : 0)
          product(
            tk, d, rows, Matrix(pointer: p, stride: tk, transposed: true), Matrix(pointer: g.data + own, stride: c), beta: 1,
            dv.storage.pointer + at, c)
          kernel.panel_product(rows, tk, d, 0, across, g.data + own, c, values, nil, 0, s, tk)
          Kernel.table.softmax_gradient(p, s, rows, tk)
          kernel.panel_product(rows, d, tk, 0, deep, s, tk, keyRows, nil, 0, dq.storage.pointer + own, c)
          product(
            tk, d, rows, Matrix(pointer: s, stride: tk, transposed: true), Matrix(pointer: q.data + own, stride: c), beta: 1,
            dk.storage.pointer + at, c)
          first += rows
        }
      }
    }
    withExtendedLifetime((q, k, v, g)) {}
    return [q.node == nil ? nil : dq, k.node == nil ? nil : dk, v.node == nil ? nil : dv]
  }
}
