extension Tensor {
  /// Rows of token and position embeddings added (torch.nn.functional.embedding, twice).
  /// - Parameters:
  ///   - tokens: `[vocabulary, width]`; positions: `[positions, width]`.
  ///   - ids: rows of one length, each id a row of `tokens`.
  /// - Returns: `[rows, length, width]`
  static func embedding(_ tokens: Tensor, _ positions: Tensor, _ ids: [[Int]]) -> Tensor {
    let (length, width) = (ids.first?.count ?? 0, tokens.shape[1])
    let out = Tensor(uninitialized: [ids.count, length, width])
    for (row, line) in ids.enumerated() {
      for (i, id) in line.enumerated() {
        let target = out.storage.pointer + (row * length + i) * width
        target.update(from: tokens.data + id * width, count: width)
        Kernel.table.add(target, positions.data + i * width, width)
      }
    }
    withExtendedLifetime((tokens, positions)) {}
    guard records(tokens, positions) else { return out }
    return out.recorded(from: [tokens, positions]) { g in
      let (dTokens, dPositions) = (Tensor.zeros(tokens.shape), Tensor.zeros(positions.shape))
      for (row, line) in ids.enumerated() {
        for (i, id) in line.enumerated() {
          let from = g.data + (row * length + i) * width
          Kernel.table.add(dTokens.storage.pointer + id * width, from, width)
          Kernel.table.add(dPositions.storage.pointer + i * width, from, width)
        }
      }
      withExtendedLifetime(g) {}
      return [tokens.node == nil ? nil : dTokens, positions.node == nil ? nil : dPositions]
    }
  }
}
