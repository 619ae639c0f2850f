import Engine
import Foundation

/// What is kept of a site while a run is made.
public struct CaptureSpec: Codable, Sendable, Equatable {
  /// How a tensor becomes smaller before it is stored. A 64x64 self-attention map of one layer is 512 MiB: reduce where the tensor is.
  public enum Reduction: String, Codable, Sendable, CaseIterable {
    /// All of it.
    case none
    /// Attention probabilities: the mean over the heads, `[rows, 1, pixels, tokens]`.
    case heads
    /// Attention probabilities: Shannon's entropy in nats over the tokens, averaged over the pixels, `[rows, heads]`.
    case entropy
    /// The mean over all positions, `[rows, channels]`: of feature maps and sequences.
    case pixels
  }

  /// Which rows of the batch are kept.
  public enum Rows: String, Codable, Sendable, CaseIterable {
    /// Those that carry the prompt.
    case cond
    /// Those without it, under guidance.
    case uncond
    case all
  }

  /// How numbers are stored. Float16 halves the file and keeps three digits.
  public enum Precision: String, Codable, Sendable, CaseIterable {
    case float32 = "f32"
    case float16 = "f16"
  }

  /// Pattern over site paths, `*` standing for any run of characters.
  public var sites: String
  public var reduction: Reduction
  public var rows: Rows
  /// Steps of the run that are kept, from 0, ascending; nil for all.
  public var steps: [Int]?
  public var precision: Precision

  public init(
    _ sites: String, reduce reduction: Reduction = .none, rows: Rows = .cond, steps: [Int]? = nil, precision: Precision = .float32
  ) {
    self.sites = sites
    self.reduction = reduction
    self.rows = rows
    self.steps = steps
    self.precision = precision
  }

  func wants(_ step: Int) -> Bool { steps?.contains(step) ?? true }

  func wants(_ label: RowLabel) -> Bool {
    switch rows {
    case .all: true
    case .cond: label.half == .cond
    case .uncond: label.half == .uncond
    }
  }

  /// The shape of what is kept of a tensor of this shape, without its rows.
  /// - Throws: `InputError` (usage) when the reduction does not fit the site.
  func reducedShape(_ shape: Shape, site: Site) throws -> [Int] {
    let inner = Array(shape.dimensions.dropFirst())
    switch reduction {
    case .none: return inner
    case .heads where site.isProbabilities: return [1] + inner.dropFirst()
    case .entropy where site.isProbabilities: return [inner[0]]
    case .pixels where !site.isProbabilities && inner.count >= 2: return [inner[inner.count - 1]]
    default:
      throw InputError(
        .usage, "\(site.path): --reduce \(reduction.rawValue) does not fit \(site.axes)",
        hint: site.isProbabilities ? "none, heads and entropy do" : "none and pixels do")
    }
  }

  /// Row `row` of a tensor, reduced.
  func reduced(_ tensor: Tensor, row: Int) -> [Float] {
    let shape = tensor.shape
    let size = tensor.count / max(1, shape[0])
    return tensor.withUnsafeBuffer { all in
      let x = UnsafeBufferPointer(rebasing: all[row * size..<(row + 1) * size])
      switch reduction {
      case .none: return Array(x)
      case .heads:
        let (heads, plane) = (shape[1], size / max(1, shape[1]))
        var out = [Float](repeating: 0, count: plane)
        for h in 0..<heads { for i in 0..<plane { out[i] += x[h * plane + i] } }
        return out.map { $0 / Float(heads) }
      case .entropy:
        let (heads, pixels, tokens) = (shape[1], shape[2], shape[3])
        return (0..<heads).map { h in
          var sum = 0.0
          for i in h * pixels * tokens..<(h + 1) * pixels * tokens where x[i] > 0 { sum -= Double(x[i] * log(x[i])) }
          return Float(sum / Double(pixels))
        }
      case .pixels:
        let channels = shape[-1]
        var out = [Double](repeating: 0, count: channels)
        for i in 0..<size { out[i % channels] += Double(x[i]) }
        return out.map { Float($0 / Double(size / channels)) }
      }
    }
  }
}

extension Site {
  /// True for attention probabilities, `[rows, heads, pixels, tokens]`.
  public var isProbabilities: Bool { path.hasSuffix(".probs") }
}
