import Foundation
import Testing

@testable import Plots

/// A drawing beside the one that was looked at and found good. Fonts are drawn a little differently by other versions of FreeType: single
/// pixels may differ, but not those of a whole label. What fails is kept beside the expected picture.
enum Pictures {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(
    "Goldens/plots")

  struct Difference {
    /// Pixels that differ by more than 64 of 255.
    var far = 0
    /// The most of them in any square of 24 x 24 pixels: a label that moved, a mark that is missing.
    var worst = 0
    /// Mean of the largest difference of a pixel's components.
    var mean = 0.0
    var sizesAgree = true
    var isSmall: Bool { sizesAgree && worst <= 12 && mean < 0.5 }
  }

  static func difference(_ a: Decoded, _ b: Decoded) -> Difference {
    var out = Difference()
    guard a.width == b.width, a.height == b.height else {
      out.sizesAgree = false
      return out
    }
    var squares: [Int: Int] = [:]
    var sum = 0
    for (i, (p, q)) in zip(a.pixels, b.pixels).enumerated() where p != q {
      var d = 0
      for shift: UInt32 in [16, 8, 0] { d = max(d, abs(Int(p >> shift & 255) - Int(q >> shift & 255))) }
      sum += d
      if d > 64 {
        out.far += 1
        squares[i / a.width / 24 * 10_000 + i % a.width / 24, default: 0] += 1
      }
    }
    out.worst = squares.values.max() ?? 0
    out.mean = Double(sum) / Double(max(a.pixels.count, 1))
    return out
  }

  static func expect(_ png: [UInt8], _ name: String) throws {
    let expected = folder.appendingPathComponent("\(name).png")
    let failed = folder.appendingPathComponent("\(name).failed.png")
    if ProcessInfo.processInfo.environment["SDLAB_UPDATE_PICTURES"] != nil { try Data(png).write(to: expected) }
    let d = difference(try Decoded(png), try Decoded([UInt8](Data(contentsOf: expected))))
    if d.isSmall { try? FileManager.default.removeItem(at: failed) } else { try Data(png).write(to: failed) }
    #expect(d.isSmall, "\(d): see \(failed.lastPathComponent)")
  }
}
