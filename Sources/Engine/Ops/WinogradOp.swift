import Kernels

/// 3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3) (Lavin and Gray 2016).
///
/// Tiles of 6x6 pixels are transformed, multiplied by the transformed weights, 36 matrix products over the channels, and transformed back to 4x4 results
/// each. A thread does a panel of output channels from its weights to its results, so that neither the products nor, where they are large, the transformed
/// weights of all channels ever exist. Single precision loses about two more bits than in the direct sum (see winograd.inc).
enum Winograd {
  /// Tiles of 4x4 results in a picture.
  static func tiles(_ height: Int, _ width: Int) -> Int { (height + 3) / 4 * ((width + 3) / 4) }

  /// Whether it is faster than patches: where a transformed weight meets enough tiles.
  static func pays(height: Int, width: Int, input: Int, output: Int) -> Bool {
    guard input % 16 == 0, output % 16 == 0 else { return false }
    return tiles(height, width) >= (keeps(input, output) ? 4 : 16)
  }

  /// Whether it is faster in a training, forwards and backwards: weights are transformed anew in each step, for all pictures of the batch.
  static func paysInTraining(_ picture: Shape, output: Int) -> Bool {
    picture[3] % 16 == 0 && output % 16 == 0 && picture[0] * tiles(picture[1], picture[2]) >= 16
  }

  /// Whether the transformed weights are kept: they are small, and meet few tiles in each pass.
  static func keeps(_ input: Int, _ output: Int) -> Bool { input * output <= 1 << 16 }

  /// Tiles transformed at a time: at most 12 MiB of them, which the last-level cache holds.
  fileprivate static func block(_ input: Int) -> Int { max(64, min(256, (3 << 20) / (36 * input))) }
}

extension Tensor {
  /// `[n, h, w, cout]` for self `[n, h, w, cin]`; stride 1, one pixel of zeros around.
  /// - Parameter bias: `[cout]`, or `[n, cout]` for one an image.
  func winograd(_ weight: ConvolutionWeight, _ bias: Tensor?, adding residual: consuming Tensor? = nil) -> Tensor {
    let (n, h, w, cin, cout) = (shape[0], shape[1], shape[2], shape[3], weight.output)
    let kernel = Kernel.table
    let width = Panels.width
    let perImage = bias?.shape.rank == 2
    let adds = residual != nil
    var out = residual ?? Tensor(uninitialized: [n, h, w, cout])
    precondition(out.shape == [n, h, w, cout], "conv2d: residual \(out.shape), result [\(n), \(h), \(w), \(cout)]")
    let target = out.mutableData()
    let tiles = Winograd.tiles(h, w)
    let block = min(Winograd.block(cin), n * tiles)
    let transformed = Storage(count: 36 * block * cin + cin)
    let (v, zeros) = (transformed.pointer, transformed.pointer + 36 * block * cin)
    zeros.update(repeating: 0, count: cin)
    let source = data
    let kept = Winograd.keeps(cin, cout) ? weight.winograd : nil
    let panels = weight.panels
    // Input channels whose transformed weights, for one panel of output channels, stay in the second-level cache.
    let depth = kept == nil ? min(cin, max(16, (96 << 10) / (36 * width))) : cin
    var first = 0
    while first < n * tiles {
      let (begin, count) = (first, min(block, n * tiles - first))
      func pieces(_ range: Range<Int>, _ body: (_ row: Int, _ image: Int, _ tiles: Range<Int>) -> Void) {
        Winograd.pieces(begin, range, tiles: tiles, body)
      }
      parallel(count, grain: max(1, 8192 / (36 * cin))) { range in
        pieces(range) { row, image, part in
          kernel.winograd_input(source + image * h * w * cin, h, w, cin, part.lowerBound, part.upperBound, zeros, v + row * cin, block)
        }
      }
      parallel(
        Panels.count(cout), grain: max(1, 131_072 / (36 * count * cin * width)), scratch: 36 * width * (count + (kept == nil ? depth : 0))
      ) { range, scratch in
        let (m, u) = (scratch, scratch + 36 * width * count)
        for p in range {
          let channels = min(width, cout - p * width)
          for from in stride(from: 0, to: cin, by: depth) {
            let to = min(from + depth, cin)
            if kept == nil { panels.kernels.winograd_weights(panels.panel(p), cin, from, to, u) }
            let weights = kept.map { $0.data + p * 36 * cin * width } ?? UnsafePointer(u)
            for matrix in 0..<36 {
              kernel.single.panel_product(
                count, width, to - from, 0, 1, v + matrix * block * cin + from, cin, weights + matrix * (to - from) * width, nil,
                from > 0 ? 1 : 0, m + matrix * count * width, width)
            }
          }
          pieces(0..<count) { row, image, part in
            kernel.winograd_output(
              m + row * width, count, width, h, w, channels, part.lowerBound, part.upperBound,
              bias.map { $0.data + (perImage ? image * cout : 0) + p * width }, adds ? 1 : 0, target + image * h * w * cout + p * width,
              cout)
          }
        }
      }
      first += count
    }
    withExtendedLifetime((self, panels, kept, bias, transformed)) {}
    return out
  }
}

extension Winograd {
  /// The rows of a range of tiles, which count through all pictures, piece by piece within one picture.
  /// - Parameters:
  ///   - begin: the tile whose row is 0.
  ///   - range: rows.
  ///   - tiles: of a picture.
  fileprivate static func pieces(
    _ begin: Int, _ range: Range<Int>, tiles: Int, _ body: (_ row: Int, _ image: Int, _ tiles: Range<Int>) -> Void
  ) {
    var tile = begin + range.lowerBound
    while tile < begin + range.upperBound {
      let image = tile / tiles
      let end = min(begin + range.upperBound, (image + 1) * tiles)
      body(tile - begin, image, tile - image * tiles..<end - image * tiles)
      tile = end
    }
  }

  /// The gradient `[out, in, 3, 3]` of the weight of a convolution of stride 1 with one pixel of zeros around, for its input x `[n, h, w, in]` and the
  /// gradient g `[n, h, w, out]` of its result.
  ///
  /// The sums over tiles are 36 matrix products, each on one thread, so that the result does not depend on their number.
  static func weightGradient(_ x: Tensor, _ g: Tensor) -> Tensor {
    let (n, h, w, cin, cout) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3], g.shape[3])
    let kernel = Kernel.table
    let tiles = tiles(h, w)
    let block = min(max(64, min(512, (3 << 20) / (36 * (cin + cout)))), n * tiles)
    let transformed = Storage(count: 36 * block * (cin + cout) + cin)
    let sums = Storage(count: 36 * cout * cin)
    let (v, m, zeros) = (transformed.pointer, transformed.pointer + 36 * block * cin, transformed.pointer + 36 * block * (cin + cout))
    zeros.update(repeating: 0, count: cin)
    for first in stride(from: 0, to: n * tiles, by: block) {
      let count = min(block, n * tiles - first)
      parallel(count, grain: max(1, 8192 / (36 * (cin + cout)))) { range in
        pieces(first, range, tiles: tiles) { row, image, part in
          kernel.winograd_input(x.data + image * h * w * cin, h, w, cin, part.lowerBound, part.upperBound, zeros, v + row * cin, block)
          kernel.winograd_result_gradient(
            g.data + image * h * w * cout, h, w, cout, part.lowerBound, part.upperBound, m + row * cout, block)
        }
      }
      parallel(36) { matrices in
        for i in matrices {
          product(
            cout, cin, count, Matrix(pointer: m + i * block * cout, stride: cout, transposed: true),
            Matrix(pointer: v + i * block * cin, stride: cin), beta: first == 0 ? 0 : 1, sums.pointer + i * cout * cin, cin)
        }
      }
    }
    let out = Tensor(uninitialized: [cout, cin, 3, 3])
    parallel(cout, grain: max(1, 4096 / cin)) { rows in
      kernel.winograd_weight_gradient(sums.pointer, cout * cin, rows.lowerBound * cin, rows.upperBound * cin, out.storage.pointer)
    }
    withExtendedLifetime((x, g, transformed, sums)) {}
    return out
  }
}

extension Panels {
  /// Winograd's transform of a 3x3 convolution's weight: `[panels, 36, in, panel width]`.
  func transformedForWinograd() -> Tensor {
    let input = k / 9
    let out = Tensor(uninitialized: [Panels.count(n), 36, input, Panels.width])
    let target = out.storage.pointer
    parallel(Panels.count(n), grain: max(1, 4096 / (input * Panels.width))) { range in
      for p in range { kernels.winograd_weights(panel(p), input, 0, input, target + p * 36 * input * Panels.width) }
    }
    return out
  }
}
