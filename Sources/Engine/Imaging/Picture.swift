/// An 8-bit RGB picture: `pixels` holds `height` rows of `width` pixels of red, green, blue (sRGB, 0...255).
public struct Picture: Sendable, Equatable {
  public let width: Int
  public let height: Int
  /// `[height, width, 3]` in row-major order.
  public internal(set) var pixels: [UInt8]

  /// No side is longer than this many pixels, and no picture holds more than `maximumPixels`: larger ones are refused before memory is
  /// taken.
  public static let maximumSide = 65535
  public static let maximumPixels = 1 << 28

  /// `pixels` must hold `3 * width * height` bytes.
  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0 && pixels.count == 3 * width * height, "\(pixels.count) bytes for \(width) x \(height) RGB")
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// One colour everywhere.
  public init(width: Int, height: Int, colour: (red: UInt8, green: UInt8, blue: UInt8)) {
    precondition(width > 0 && height > 0, "\(width) x \(height)")
    self.width = width
    self.height = height
    pixels = [UInt8](unsafeUninitializedCapacity: 3 * width * height) { p, count in
      for i in stride(from: 0, to: p.count, by: 3) {
        p[i] = colour.red
        p[i + 1] = colour.green
        p[i + 2] = colour.blue
      }
      count = p.count
    }
  }

  /// Red, green and blue at column `x`, row `y`.
  public subscript(x: Int, y: Int) -> (red: UInt8, green: UInt8, blue: UInt8) {
    let i = 3 * (y * width + x)
    return (pixels[i], pixels[i + 1], pixels[i + 2])
  }

  /// Throws unless a picture of this size is one that we hold: sides 1 to 65535, at most 2^28 pixels.
  static func check(width: Int, height: Int, file: String) throws {
    guard (1...maximumSide).contains(width), (1...maximumSide).contains(height) else {
      throw InputError(.badData, "\(file): expected sides of 1 to \(maximumSide) pixels, found \(width) x \(height)")
    }
    guard width * height <= maximumPixels else {
      throw InputError(
        .badData, "\(file): expected at most \(maximumPixels) pixels, found \(width) x \(height)", hint: "make it smaller first")
    }
  }
}

// MARK: - Grey

extension Picture {
  /// `[height, width]` grey values by PIL's formula for mode L (ITU-R 601-2 luma in 16-bit fixed point).
  public var grey: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: width * height) { out, count in
      for i in 0..<out.count {
        let r = Int(pixels[3 * i])
        let g = Int(pixels[3 * i + 1])
        let b = Int(pixels[3 * i + 2])
        out[i] = UInt8((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16)
      }
      count = out.count
    }
  }
}

// MARK: - Orientation

extension Picture {
  /// The picture as it is to be seen when its EXIF orientation is `orientation` (1 to 8; other values mean 1), as PIL's `exif_transpose`.
  func oriented(_ orientation: Int) -> Picture {
    guard (2...8).contains(orientation) else { return self }
    let swap = orientation >= 5
    let (w, h) = swap ? (height, width) : (width, height)
    let out = [UInt8](unsafeUninitializedCapacity: pixels.count) { out, count in
      for y in 0..<h {
        for x in 0..<w {
          // Where the pixel (x, y) of the upright picture lies in the stored one.
          let (sx, sy) =
            switch orientation {
            case 2: (width - 1 - x, y)
            case 3: (width - 1 - x, height - 1 - y)
            case 4: (x, height - 1 - y)
            case 5: (y, x)
            case 6: (y, height - 1 - x)
            case 7: (width - 1 - y, height - 1 - x)
            default: (width - 1 - y, x)
            }
          let s = 3 * (sy * width + sx)
          let t = 3 * (y * w + x)
          out[t] = pixels[s]
          out[t + 1] = pixels[s + 1]
          out[t + 2] = pixels[s + 2]
        }
      }
      count = out.count
    }
    return Picture(width: w, height: h, pixels: out)
  }
}
