/// The recorded paths of linear layers and sums: forward by plain products, and their vector-Jacobian products.
extension Tensor {
  /// `x W^T + b` with the way back: for y's gradient g `[rows, n]`, dx = g W, dW = g^T x, db = the sum of g over rows.
  func recordedLinear(_ weight: LinearWeight, _ bias: Tensor?) -> Tensor {
    let out = withoutRecording { linear(weight, bias) }
    let leaf = weight.recorded
    return out.recorded(from: [self, leaf, bias]) { g in self.linearGradients(g, weight, leaf, bias) }
  }

  /// `self + x W^T + b` with the way back.
  func recordedSum(withLinear x: Tensor, _ weight: LinearWeight, _ bias: Tensor?) -> Tensor {
    var out = detached
    withoutRecording { out.addLinear(x, weight, bias) }
    let leaf = weight.recorded
    return out.recorded(from: [self, x, leaf, bias]) { g in
      [self.node == nil ? nil : g] + x.linearGradients(g, weight, leaf, bias)
    }
  }

  /// Gradients of the input, the weight and the bias of `linear` for self as its input.
  /// - Parameter leaf: the weight as a gradient is asked for it.
  private func linearGradients(_ g: Tensor, _ weight: LinearWeight, _ leaf: Tensor?, _ bias: Tensor?) -> [Tensor?] {
    let (m, n, k) = (shape.rows, weight.output, weight.input)
    var dx: Tensor?
    if node != nil {
      let out = Tensor(uninitialized: shape)
      parallelProduct(m, g.data, n, weight.backwardPanels, bias: nil, adds: false, out.storage.pointer, k)
      dx = out
    }
    let dw = leaf?.node == nil ? nil : g.transposedProduct(self, m, n, k)
    withExtendedLifetime((g, weight)) {}
    return [dx, dw, bias?.node == nil ? nil : g.columnSums()]
  }

  /// `self^T x`, `[n, k]`, for self `[m, n]` and x `[m, k]`: the gradient of a weight.
  func transposedProduct(_ x: Tensor, _ m: Int, _ n: Int, _ k: Int) -> Tensor {
    let out = Tensor(uninitialized: [n, k])
    // Many rows: each part sums its own, and is packed by one thread only; the parts are added in order.
    let parts = min(Threads.count, m / (2 * max(n, k)))
    if parts > 1 {
      let sums = Storage(count: (parts - 1) * n * k)
      parallel(parts) { range in
        for part in range {
          let own = m * part / parts..<m * (part + 1) / parts
          product(
            n, k, own.count, Matrix(pointer: data + own.lowerBound * n, stride: n, transposed: true),
            Matrix(pointer: x.data + own.lowerBound * k, stride: k), beta: 0,
            part == 0 ? out.storage.pointer : sums.pointer + (part - 1) * n * k, k)
        }
      }
      for part in 0..<parts - 1 { Kernel.table.add(out.storage.pointer, sums.pointer + part * n * k, n * k) }
      withExtendedLifetime((self, x, sums)) {}
      return out
    }
    let grain = max(1, 65536 / max(1, m * min(n, k)))
    if n >= k {
      parallel(n, grain: max(grain, 8)) { rows in
        product(
          rows.count, k, m, Matrix(pointer: data + rows.lowerBound, stride: n, transposed: true), Matrix(pointer: x.data, stride: k),
          beta: 0, out.storage.pointer + rows.lowerBound * k, k)
      }
    } else {
      parallel(k, grain: max(grain, 8)) { columns in
        product(
          n, columns.count, m, Matrix(pointer: data, stride: n, transposed: true),
          Matrix(pointer: x.data + columns.lowerBound, stride: k), beta: 0, out.storage.pointer + columns.lowerBound, k)
      }
    }
    withExtendedLifetime((self, x)) {}
    return out
  }

  /// The sum over all rows, `[c]`, in double: the gradient of a bias.
  func columnSums() -> Tensor { blockSums(blocks: 1).reshaped([shape[-1]]) }

  /// The sums over each of `blocks` equal runs of rows, `[blocks, c]`.
  func blockSums(blocks: Int) -> Tensor {
    let c = shape[-1]
    let rows = shape.rows / blocks
    // Each part sums its own rows, so the result does not depend on who is faster.
    let parts = max(1, min(Threads.count, rows * c / 16384))
    let out = Tensor(uninitialized: [blocks, c])
    withUnsafeTemporaryAllocation(of: Double.self, capacity: blocks * parts * c) { sums in
      sums.initialize(repeating: 0)
      guard let s = sums.baseAddress else { return }
      parallel(blocks * parts) { range in
        for item in range {
          let (block, part) = (item / parts, item % parts)
          let own = rows * part / parts..<rows * (part + 1) / parts
          Kernel.table.column_sums(data + (block * rows + own.lowerBound) * c, own.count, c, s + item * c)
        }
      }
      for block in 0..<blocks {
        for i in 0..<c {
          var total = 0.0
          for part in 0..<parts { total += s[(block * parts + part) * c + i] }
          out.storage.pointer[block * c + i] = Float(total)
        }
      }
    }
    withExtendedLifetime(self) {}
    return out
  }

  /// `self + row` for each row: self `[rows, c]`, row `[c]`.
  func addingToRows(_ row: Tensor) -> Tensor {
    let c = row.count
    precondition(shape[-1] == c, "addingToRows: \(shape) and \(row.shape)")
    var out = detached
    let target = out.mutableData()
    for r in 0..<shape.rows { Kernel.table.add(target + r * c, row.data, c) }
    withExtendedLifetime(row) {}
    guard records(self, row) else { return out }
    return out.recorded(from: [self, row]) { g in [g, row.node == nil ? nil : g.columnSums()] }
  }
}
