import Kernels

/// 3x3 convolutions with a quarter of the multiplications or a fifth: Winograd's F(4x4, 3x3) and F(6x6, 3x3) (Lavin and Gray 2016).
///
/// Tiles of 6x6 pixels are transformed, multiplied by the transformed weights, 36 matrix products over the channels, and transformed back to 4x4 results
/// each. A thread does a panel of output channels from its weights to its results, so that neither the products nor, where they are large, the transformed
/// weights of all channels ever exist. Single precision loses about two more bits than in the direct sum (see winograd_points.inc).
///
/// Large pictures, which are a decoder's, are taken in tiles of 8x8 pixels: 64 products for 6x6 results, and another two bits.
///
/// Behind a doubling by nearest neighbours it is four convolutions of 2x2 weights over the small picture, by F(4x4, 2x2): 25 products for 4x4 results, and
/// the large picture never exists (see winograd_doubled.inc).
enum Winograd {
  /// The size of tiles.
  enum Tile {
    /// 6x6 pixels for 4x4 results.
    case small
    /// 8x8 pixels for 6x6 results.
    case wide

    /// The edge of what comes out of it.
    var results: Int { self == .small ? 4 : 6 }
    /// Numbers of a transformed tile, and so products.
    var matrices: Int { (results + 2) * (results + 2) }

    /// Wide ones where the picture is large: the weights, transformed anew for some tiles at a time, then cost little, and few results lie beyond the edge.
    init(height: Int, width: Int) { self = min(height, width) >= 96 ? .wide : .small }
  }

  /// Tiles in a picture.
  static func tiles(_ height: Int, _ width: Int, _ tile: Tile = .small) -> Int {
    (height + tile.results - 1) / tile.results * ((width + tile.results - 1) / tile.results)
  }

  /// Whether it computes this kind of convolution.
  static func isFor(_ kernel: (height: Int, width: Int), _ stride: Int, _ padding: Padding) -> Bool {
    stride == 1 && padding == Padding(1) && kernel == (3, 3)
  }

  /// Whether it is faster than patches: where a transformed weight meets enough tiles.
  /// - Parameter inBFloat16: patches would be multiplied in bfloat16: at twice the rate, where there is an instruction for it.
  static func pays(height: Int, width: Int, input: Int, output: Int, inBFloat16: Bool = false) -> Bool {
    guard input % 16 == 0, output % 16 == 0 else { return false }
    return tiles(height, width) >= (inBFloat16 && Kernel.hasBFloat16 ? 64 : keeps(.small, input, output) ? 4 : 16)
  }

  /// Whether it is faster to convolve a picture of this size, doubled, without doubling it.
  static func paysDoubled(height: Int, width: Int, input: Int, output: Int) -> Bool {
    input % 16 == 0 && output % 16 == 0 && tiles(height, width) >= 16
  }

  /// Whether it is faster in a training, forwards and backwards: weights are transformed anew in each step, for all pictures of the batch.
  static func paysInTraining(_ picture: Shape, output: Int) -> Bool {
    picture[3] % 16 == 0 && output % 16 == 0 && picture[0] * tiles(picture[1], picture[2]) >= 16
  }

  /// Whether the transformed weights are kept: they are small, and meet few tiles in each pass.
  static func keeps(_ tile: Tile, _ input: Int, _ output: Int) -> Bool { tile == .small && input * output <= 1 << 16 }

  /// Tiles transformed at a time: at most 6 MiB of them, which the last-level cache holds beside the weights and what else runs on the machine; but as many as
  /// the transforms of their weights are worth.
  fileprivate static func block(_ input: Int, _ matrices: Int) -> Int {
    let (least, most) = matrices == Tile.wide.matrices ? (48, 64) : (64, 128)
    return max(least, min(most, (3 << 19) / (matrices * input)))
  }
}

extension Tensor {
  /// `[n, h, w, cout]` for self `[n, h, w, cin]`; stride 1, one pixel of zeros around.
  /// - Parameter bias: `[cout]`, or `[n, cout]` for one an image.
  func winograd(_ weight: ConvolutionWeight, _ bias: Tensor?, adding residual: consuming Tensor? = nil) -> Tensor {
    let (n, h, w, cin, cout) = (shape[0], shape[1], shape[2], shape[3], weight.output)
    let (kernel, width, panels) = (Kernel.table, Panels.width, weight.plainPanels)
    let perImage = bias?.shape.rank == 2
    let adds: Int32 = residual != nil ? 1 : 0
    var out = residual ?? Tensor(uninitialized: [n, h, w, cout])
    precondition(out.shape == [n, h, w, cout], "conv2d: residual \(out.shape), result [\(n), \(h), \(w), \(cout)]")
    let (source, target) = (data, out.mutableData())
    let tile = Winograd.Tile(height: h, width: w)
    let kept = Winograd.keeps(tile, cin, cout) ? weight.winograd : nil
    let transforms = tile == .small ? kernel.small_tiles : kernel.wide_tiles
    inTiles(
      images: n, tiles: Winograd.tiles(h, w, tile), panels, input: cin, matrices: tile.matrices, kept: kept
    ) { image, tiles, zeros, v, matrix in
      transforms.input(source + image * h * w * cin, h, w, cin, tiles.lowerBound, tiles.upperBound, zeros, v, matrix)
    } weights: { panel, channels, u, matrix in
      switch tile {
      case .small: panels.kernels.winograd_weights(panel, cin, channels.lowerBound, channels.upperBound, u, matrix)
      case .wide: panels.kernels.wide_weights(panel, cin, channels.lowerBound, channels.upperBound, u, matrix)
      }
    } output: { image, tiles, panel, m, matrix in
      transforms.output(
        m, matrix, width, h, w, min(width, cout - panel * width), tiles.lowerBound, tiles.upperBound,
        bias.map { $0.data + (perImage ? image * cout : 0) + panel * width }, adds, target + image * h * w * cout + panel * width, cout)
    }
    withExtendedLifetime((self, panels, kept, bias)) {}
    return out
  }

  /// `[n, 2h, 2w, cout]` for self `[n, h, w, cin]`, which is doubled by nearest neighbours and then convolved; stride 1, one pixel of zeros around.
  /// - Parameter bias: `[cout]`
  func winogradDoubled(_ weight: ConvolutionWeight, _ bias: Tensor?) -> Tensor {
    let (n, h, w, cin, cout) = (shape[0], shape[1], shape[2], shape[3], weight.output)
    let (kernel, width, panels) = (Kernel.table, Panels.width, weight.plainPanels)
    let out = Tensor(uninitialized: [n, 2 * h, 2 * w, cout])
    let (source, target) = (data, out.storage.pointer)
    // Each position within a pair of lines and a pair of columns is a convolution of its own.
    for (down, right) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
      inTiles(images: n, tiles: Winograd.tiles(h, w), panels, input: cin, matrices: 25, kept: nil) { image, tiles, zeros, v, matrix in
        kernel.doubled_input(
          source + image * h * w * cin, h, w, cin, down, right, tiles.lowerBound, tiles.upperBound, zeros, v, matrix)
      } weights: { panel, channels, u, matrix in
        panels.kernels.doubled_weights(panel, cin, down, right, channels.lowerBound, channels.upperBound, u, matrix)
      } output: { image, tiles, panel, m, matrix in
        kernel.doubled_output(
          m, matrix, width, h, w, min(width, cout - panel * width), down, right, tiles.lowerBound, tiles.upperBound,
          bias.map { $0.data + panel * width }, target + image * 4 * h * w * cout + panel * width, cout)
      }
    }
    withExtendedLifetime((self, panels, bias)) {}
    return out
  }
}

/// Transforms, multiplies and transforms back the tiles of `n` pictures, some hundred at a time.
/// - Parameters:
///   - tiles: in a picture.
///   - cin: input channels.
///   - matrices: numbers, and so products, of a transformed tile.
///   - kept: transformed weights `[panels, matrices, cin, panel width]`; nil for such as are made anew.
///   - input: transforms the tiles of an image into `matrices` matrices `[tiles, cin]`, `matrix` floats apart.
///   - weights: transforms the weight of some input channels of a panel into matrices `[channels, panel width]`.
///   - output: transforms the products of an image's tiles, matrices `[tiles, panel width]`, back to the results of a panel.
private func inTiles(
  images n: Int, tiles: Int, _ panels: Panels, input cin: Int, matrices: Int, kept: Tensor?,
  input: (
    _ image: Int, _ tiles: Range<Int>, _ zeros: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, _ matrix: Int
  ) -> Void,
  weights: (_ panel: UnsafeRawPointer, _ channels: Range<Int>, _ target: UnsafeMutablePointer<Float>, _ matrix: Int) -> Void,
  output: (_ image: Int, _ tiles: Range<Int>, _ panel: Int, _ products: UnsafePointer<Float>, _ matrix: Int) -> Void
) {
  let (kernel, width) = (Kernel.table, Panels.width)
  let block = min(Winograd.block(cin, matrices), n * tiles)
  // Input channels whose transformed weights, for one panel of output channels, stay in the second-level cache; with fewer the products lose more.
  let depth = kept == nil ? min(cin, max(128, (96 << 10) / (matrices * width))) : cin
  // From one matrix to the next. They are written and read side by side, and sizes are mostly powers of two: a cache line more keeps them from all falling
  // on the same few places of the first-level cache.
  let (tileMatrix, weightMatrix, productMatrix) = (block * cin + 16, depth * width + 16, block * width + 16)
  let transformed = Storage(count: matrices * tileMatrix + cin)
  let (v, zeros) = (transformed.pointer, transformed.pointer + matrices * tileMatrix)
  zeros.update(repeating: 0, count: cin)
  var first = 0
  while first < n * tiles {
    let (begin, count) = (first, min(block, n * tiles - first))
    func pieces(_ range: Range<Int>, _ body: (_ row: Int, _ image: Int, _ tiles: Range<Int>) -> Void) {
      Winograd.pieces(begin, range, tiles: tiles, body)
    }
    parallel(count, grain: max(1, 8192 / (matrices * cin))) { range in
      pieces(range) { row, image, part in input(image, part, zeros, v + row * cin, tileMatrix) }
    }
    parallel(
      Panels.count(panels.n), grain: max(1, 131_072 / (matrices * count * cin * width)),
      scratch: matrices * (productMatrix + (kept == nil ? weightMatrix : 0))
    ) { range, scratch in
      let (m, u) = (scratch, scratch + matrices * productMatrix)
      for p in range {
        for from in stride(from: 0, to: cin, by: depth) {
          let to = min(from + depth, cin)
          if kept == nil { weights(panels.panel(p), from..<to, u, weightMatrix) }
          let (transformed, apart) = kept.map { ($0.data + p * matrices * cin * width, cin * width) } ?? (UnsafePointer(u), weightMatrix)
          for matrix in 0..<matrices {
            kernel.single.panel_product(
              count, width, to - from, 0, 1, v + matrix * tileMatrix + from, cin, transformed + matrix * apart, nil, from > 0 ? 1 : 0,
              m + matrix * productMatrix, width)
          }
        }
        pieces(0..<count) { row, image, part in output(image, part, p, m + row * width, productMatrix) }
      }
    }
    first += count
  }
  withExtendedLifetime(transformed) {}
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
    // From one matrix to the next: apart by a cache line more, as in `inTiles`.
    let (before, behind) = (block * cin + 16, block * cout + 16)
    let transformed = Storage(count: 36 * (before + behind) + cin)
    let sums = Storage(count: 36 * cout * cin)
    let (v, m) = (transformed.pointer, transformed.pointer + 36 * before)
    let zeros = m + 36 * behind
    zeros.update(repeating: 0, count: cin)
    for first in stride(from: 0, to: n * tiles, by: block) {
      let count = min(block, n * tiles - first)
      parallel(count, grain: max(1, 8192 / (36 * (cin + cout)))) { range in
        pieces(first, range, tiles: tiles) { row, image, part in
          kernel.small_tiles.input(x.data + image * h * w * cin, h, w, cin, part.lowerBound, part.upperBound, zeros, v + row * cin, before)
          kernel.winograd_result_gradient(
            g.data + image * h * w * cout, h, w, cout, part.lowerBound, part.upperBound, m + row * cout, behind)
        }
      }
      parallel(36) { matrices in
        for i in matrices {
          product(
            cout, cin, count, Matrix(pointer: m + i * behind, stride: cout, transposed: true),
            Matrix(pointer: v + i * before, stride: cin), beta: first == 0 ? 0 : 1, sums.pointer + i * cout * cin, cin)
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
      for p in range {
        kernels.winograd_weights(panel(p), input, 0, input, target + p * 36 * input * Panels.width, input * Panels.width)
      }
    }
    return out
  }
}
