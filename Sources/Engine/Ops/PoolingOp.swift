extension Tensor {
  /// The mean over all pixels of each picture, `[n, h, w, c]` to `[n, c]` (torch's adaptive_avg_pool2d to one pixel).
  func meanOverPixels() -> Tensor {
    let (n, c) = (shape[0], shape[3])
    let pixels = shape[1] * shape[2]
    precondition(shape.rank == 4 && pixels > 0, "meanOverPixels: \(shape)")
    let out = detached.blockSums(blocks: n) / Float(pixels)
    guard records(self) else { return out }
    return out.recorded(from: [self]) { g in
      let gradient = Tensor(uninitialized: self.shape)
      let target = gradient.storage.pointer
      for image in 0..<n {
        for pixel in 0..<pixels {
          for i in 0..<c { target[(image * pixels + pixel) * c + i] = g.data[image * c + i] / Float(pixels) }
        }
      }
      return [gradient]
    }
  }
}
