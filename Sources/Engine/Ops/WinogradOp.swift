import Kernels

/// 3x3 convolutions with a quarter of the multiplications: Winograd's F(4x4, 3x3) (Lavin and Gray 2016).
///
/// Tiles of 6x6 pixels are transformed, multiplied by the transformed weights, 36 matrix products over the channels, and transformed back to 4x4 results
/// each. Single precision loses about two more bits than in the direct sum (see winograd.inc).
enum Winograd {
  /// Tiles of 4x4 results in a picture.
  static func tiles(_ height: Int, _ width: Int) -> Int { (height + 3) / 4 * ((width + 3) / 4) }

  /// Whether it is faster than patches and worth its memory: the transformed weights are four times as large, which only pays where they meet many tiles,
  /// or where they are small.
  static func pays(height: Int, width: Int, input: Int, output: Int) -> Bool {
    guard input % 16 == 0, output % 16 == 0 else { return false }
    let tiles = tiles(height, width)
    return tiles >= 64 || tiles >= 4 && input * output <= 1 << 16
  }

  /// Tiles transformed at a time: many where the weights are large, so that they are read seldom; few where the tiles are what the cache has to hold.
  fileprivate static func block(_ input: Int, _ output: Int) -> Int {
    input * output <= 1 << 15 ? 96 : max(64, min(256, (6 << 20) / (36 * (input + output))))
  }
}

extension Tensor {
  /// `[n, h, w, cout]` for self `[n, h, w, cin]`; stride 1, one pixel of zeros around.
  /// - Parameters:
  ///   - weight: of `packedForWinograd`.
  ///   - bias: `[cout]`, or `[n, cout]` for one an image.
  func winograd(_ weight: Tensor, _ cout: Int, _ bias: Tensor?, adding residual: consuming Tensor? = nil) -> Tensor {
    let (n, h, w, cin) = (shape[0], shape[1], shape[2], shape[3])
    let kernel = Kernel.table
    let width = kernel.panel_width
    let panels = (cout + width - 1) / width
    let perImage = bias?.shape.rank == 2
    let adds = residual != nil
    var out = residual ?? Tensor(uninitialized: [n, h, w, cout])
    precondition(out.shape == [n, h, w, cout], "conv2d: residual \(out.shape), result [\(n), \(h), \(w), \(cout)]")
    let target = out.mutableData()
    let tiles = Winograd.tiles(h, w)
    let block = min(Winograd.block(cin, cout), n * tiles)
    let columns = panels * width
    let scratch = Storage(count: 36 * block * (cin + columns) + cin)
    let (v, m, zeros) = (scratch.pointer, scratch.pointer + 36 * block * cin, scratch.pointer + 36 * block * (cin + columns))
    zeros.update(repeating: 0, count: cin)
    let (source, u) = (data, weight.data)
    var first = 0
    while first < n * tiles {
      let (begin, count) = (first, min(block, n * tiles - first))
      // Rows of the block within one image, and the image's tiles.
      func pieces(_ range: Range<Int>, _ body: (_ row: Int, _ image: Int, _ tiles: Range<Int>) -> Void) {
        var tile = begin + range.lowerBound
        while tile < begin + range.upperBound {
          let image = tile / tiles
          let end = min(begin + range.upperBound, (image + 1) * tiles)
          body(tile - begin, image, tile - image * tiles..<end - image * tiles)
          tile = end
        }
      }
      parallel(count, grain: max(1, 8192 / (36 * cin))) { range in
        pieces(range) { row, image, part in
          kernel.winograd_input(source + image * h * w * cin, h, w, cin, part.lowerBound, part.upperBound, zeros, v + row * cin, block)
        }
      }
      parallel(36 * panels, grain: max(1, 131_072 / (count * cin * width))) { items in
        var item = items.lowerBound
        while item < items.upperBound {
          let matrix = item / panels
          let end = min(items.upperBound, (matrix + 1) * panels)
          kernel.panel_product(
            count, cin, item - matrix * panels, end - matrix * panels, v + matrix * block * cin, cin, u + matrix * panels * cin * width,
            m + matrix * block * columns, columns)
          item = end
        }
      }
      parallel(count, grain: max(1, 8192 / (36 * cout))) { range in
        pieces(range) { row, image, part in
          kernel.winograd_output(
            m + row * columns, block, columns, h, w, cout, part.lowerBound, part.upperBound,
            bias.map { $0.data + (perImage ? image * cout : 0) }, adds ? 1 : 0, target + image * h * w * cout)
        }
      }
      first += count
    }
    withExtendedLifetime((self, weight, bias, scratch)) {}
    return out
  }

  /// PyTorch's `[out, in, 3, 3]` transformed: 36 matrices `[panels, in, panel width]`.
  func packedForWinograd() -> Tensor {
    let (out, input) = (shape[0], shape[1])
    let width = Kernel.table.panel_width
    let panels = (out + width - 1) / width
    let packed = Tensor(uninitialized: [36, panels, input, width])
    let (source, target) = (data, packed.storage.pointer)
    parallel(panels, grain: max(1, 4096 / (input * width))) { range in
      Kernel.table.winograd_weights(source, input, out, range.lowerBound, range.upperBound, target)
    }
    withExtendedLifetime(self) {}
    return packed
  }
}
