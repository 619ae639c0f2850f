extension Tensor {
  /// Rows of token and position embeddings added (torch.nn.functional.embedding, twice).
  /// - Parameters:
  ///   - tables: `[n, width]` each; ids run through them one behind the other, so that words can be added to a vocabulary without copying it.
  ///   - positions: `[positions, width]`.
  ///   - ids: rows of one length, each id a row of one of `tables`.
  /// - Returns: `[rows, length, width]`
  static func embedding(_ tables: [Tensor], _ positions: Tensor, _ ids: [[Int]]) -> Tensor {
    let (length, width) = (ids.first?.count ?? 0, positions.shape[1])
    let ends = tables.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.shape[0]) }
    func place(_ id: Int) -> (table: Int, offset: Int) {
      let table = ends.lastIndex { $0 <= id } ?? 0
      return (table, (id - ends[table]) * width)
    }
    let out = Tensor(uninitialized: [ids.count, length, width])
    for (row, line) in ids.enumerated() {
      for (i, id) in line.enumerated() {
        let target = out.storage.pointer + (row * length + i) * width
        let (table, offset) = place(id)
        target.update(from: tables[table].data + offset, count: width)
        Kernel.table.add(target, positions.data + i * width, width)
      }
    }
    withExtendedLifetime((tables, positions)) {}
    guard (tables + [positions]).contains(where: \.isRecorded) else { return out }
    return out.recorded(from: tables + [positions]) { g in
      let dTables = tables.map { $0.node == nil ? nil : Tensor.zeros($0.shape) }
      let dPositions = Tensor.zeros(positions.shape)
      for (row, line) in ids.enumerated() {
        for (i, id) in line.enumerated() {
          let from = g.data + (row * length + i) * width
          let (table, offset) = place(id)
          if let d = dTables[table] { Kernel.table.add(d.storage.pointer + offset, from, width) }
          Kernel.table.add(dPositions.storage.pointer + i * width, from, width)
        }
      }
      withExtendedLifetime(g) {}
      return dTables + [positions.node == nil ? nil : dPositions]
    }
  }
}
