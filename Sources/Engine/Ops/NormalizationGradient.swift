/// The vector-Jacobian products of the norms. Means and deviations are computed again from the kept input.
extension Tensor {
  /// Gradients of the input, the weight and the bias of `groupNorm` for self as its input.
  ///
  /// With x^ = (x - mean) / deviation over a group of N values and h = g times the slope of SiLU where there is one:
  /// dw = sum h x^, db = sum h, dx = (w h - sum(w h) / N - x^ sum(w h x^) / N) / deviation.
  func groupNormGradients(_ g: Tensor, _ groups: Int, _ weight: Tensor, _ bias: Tensor, eps: Double, silu: Bool) -> [Tensor?] {
    let (n, c) = (shape[0], shape[-1])
    let pixels = count / (n * c)
    let size = c / groups
    let number = Double(pixels * size)
    let dx = Tensor(uninitialized: shape)
    let (dw, db) = (Tensor(uninitialized: [c]), Tensor(uninitialized: [c]))
    let (source, from, target, gamma, beta) = (data, g.data, dx.storage.pointer, weight.data, bias.data)
    let parts = max(1, min(Threads.count, pixels * c / 4096))
    // Per image and channel: sums of x and x^2, of h and h x; per image and channel in float: scale and shift of the forward pass, then the
    // three factors of the combination.
    let sums = UnsafeMutablePointer<Double>.allocate(capacity: n * parts * 2 * c)
    let factors = Storage(count: n * 3 * c)
    let means = UnsafeMutablePointer<Double>.allocate(capacity: 2 * n * groups)
    let totals = UnsafeMutablePointer<Double>.allocate(capacity: 2 * c)
    defer {
      sums.deallocate()
      means.deallocate()
      totals.deallocate()
    }
    func overRows(_ body: (_ image: Int, _ part: Int, _ first: Int, _ count: Int) -> Void) {
      parallel(n * parts) { range in
        for item in range {
          let (image, part) = (item / parts, item % parts)
          let rows = pixels * part / parts..<pixels * (part + 1) / parts
          body(image, part, (image * pixels + rows.lowerBound) * c, rows.count)
        }
      }
    }
    func total(_ image: Int, _ i: Int) -> Double { (0..<parts).reduce(0.0) { $0 + sums[(image * parts + $1) * 2 * c + i] } }

    sums.initialize(repeating: 0, count: n * parts * 2 * c)
    overRows { image, part, at, rows in
      let s = sums + (image * parts + part) * 2 * c
      Kernel.table.channel_sums(source + at, rows, c, s, s + c)
    }
    for image in 0..<n {
      let f = factors.pointer + image * 3 * c
      for group in 0..<groups {
        let channels = group * size..<(group + 1) * size
        let mean = channels.reduce(0.0) { $0 + total(image, $1) } / number
        let variance = max(0, channels.reduce(0.0) { $0 + total(image, c + $1) } / number - mean * mean)
        let inverse = 1 / (variance + eps).squareRoot()
        means[2 * (image * groups + group)] = mean
        means[2 * (image * groups + group) + 1] = inverse
        for i in channels {
          f[i] = Float(Double(gamma[i]) * inverse)
          f[c + i] = Float(Double(beta[i]) - mean * Double(gamma[i]) * inverse)
        }
      }
    }
    sums.update(repeating: 0, count: n * parts * 2 * c)
    overRows { image, part, at, rows in
      let s = sums + (image * parts + part) * 2 * c
      let f = factors.pointer + image * 3 * c
      Kernel.table.norm_sums(source + at, from + at, target + at, rows, c, f, f + c, silu ? 1 : 0, s, s + c)
    }
    totals.initialize(repeating: 0, count: 2 * c)
    for image in 0..<n {
      let f = factors.pointer + image * 3 * c
      for group in 0..<groups {
        let (mean, inverse) = (means[2 * (image * groups + group)], means[2 * (image * groups + group) + 1])
        var (first, second) = (0.0, 0.0)
        for i in group * size..<(group + 1) * size {
          let h = total(image, i)
          let product = (total(image, c + i) - mean * h) * inverse
          totals[i] += product
          totals[c + i] += h
          first += Double(gamma[i]) * h
          second += Double(gamma[i]) * product
        }
        (first, second) = (first / number, second / number)
        for i in group * size..<(group + 1) * size {
          f[i] = Float(Double(gamma[i]) * inverse)
          f[c + i] = Float(-inverse * inverse * second)
          f[2 * c + i] = Float(inverse * (inverse * second * mean - first))
        }
      }
    }
    if node != nil {
      overRows { image, _, at, rows in
        let f = factors.pointer + image * 3 * c
        Kernel.table.norm_combine(source + at, target + at, rows, c, f, f + c, f + 2 * c)
      }
    }
    for i in 0..<c {
      dw.storage.pointer[i] = Float(totals[i])
      db.storage.pointer[i] = Float(totals[c + i])
    }
    withExtendedLifetime((self, g, weight, bias, factors)) {}
    return [node == nil ? nil : dx, weight.node == nil ? nil : dw, bias.node == nil ? nil : db]
  }

  /// Gradients of the input, the weight and the bias of `layerNorm` for self as its input; as above, each row a group.
  func layerNormGradients(_ g: Tensor, _ weight: Tensor, _ bias: Tensor, eps: Double) -> [Tensor?] {
    let c = shape[-1]
    let rows = shape.rows
    let dx = Tensor(uninitialized: shape)
    let (dw, db) = (Tensor(uninitialized: [c]), Tensor(uninitialized: [c]))
    let parts = max(1, min(Threads.count, rows * c / 8192))
    withUnsafeTemporaryAllocation(of: Double.self, capacity: parts * 2 * c) { sums in
      sums.initialize(repeating: 0)
      guard let s = sums.baseAddress else { return }
      parallel(parts) { range in
        for part in range {
          let own = rows * part / parts..<rows * (part + 1) / parts
          let at = own.lowerBound * c
          Kernel.table.layer_norm_gradient(
            data + at, g.data + at, dx.storage.pointer + at, own.count, c, weight.data, Float(eps), s + part * 2 * c, s + part * 2 * c + c)
        }
      }
      for i in 0..<c {
        dw.storage.pointer[i] = Float((0..<parts).reduce(0.0) { $0 + s[$1 * 2 * c + i] })
        db.storage.pointer[i] = Float((0..<parts).reduce(0.0) { $0 + s[$1 * 2 * c + c + i] })
      }
    }
    withExtendedLifetime((self, g, weight)) {}
    return [node == nil ? nil : dx, weight.node == nil ? nil : dw, bias.node == nil ? nil : db]
  }
}
