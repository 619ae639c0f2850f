import Engine
import Foundation

/// A grid of pictures: up to three axes, and the parameters of every cell.
public struct GridPlan: Sendable {
  public struct Cell: Sendable {
    /// Column, row, sheet.
    public let x: Int
    public let y: Int
    public let z: Int
    public let parameters: GenerationParameters
    /// What the axes put there, those that there are.
    public let labels: [String]
  }

  public let x: GridAxis
  public let y: GridAxis?
  public let z: GridAxis?
  /// z slowest, then y, then x.
  public let cells: [Cell]

  public var columns: Int { x.count }
  public var rows: Int { y?.count ?? 1 }
  public var sheets: Int { z?.count ?? 1 }

  /// More pictures are a mistake.
  public static let limit = 10_000

  /// Search and replace always looks for the first value in the base's own prompt, whatever another axis put there: two axes over one prompt do not
  /// find what the other inserted. Every cell is one picture, its noise that of its own seed.
  /// - Throws: `InputError` (usage) when two axes vary the same number, a sought text is not in the prompt, strength has no picture to act on, or the grid
  ///   is too large.
  public init(_ base: GenerationParameters, x: GridAxis, y: GridAxis? = nil, z: GridAxis? = nil) throws {
    (self.x, self.y, self.z) = (x, y, z)
    let axes = [x, y, z].compactMap { $0 }
    let numbers = axes.map(\.parameter).filter { $0 != .prompt && $0 != .negative }
    if let twice = numbers.first(where: { name in numbers.count { $0 == name } > 1 }) {
      throw InputError(.usage, "two axes vary \(twice.rawValue)", hint: "join their values into one axis")
    }
    for (i, a) in axes.enumerated() {
      guard case .text(let sought)? = a.values.first else { continue }
      for b in axes.dropFirst(i + 1) where b.parameter == a.parameter {
        if case .text(sought)? = b.values.first {
          throw InputError(.usage, "two axes replace '\(sought)' in the \(a.parameter.rawValue)", hint: "join their values into one axis")
        }
      }
    }
    let count = axes.reduce(1) { $0 * $1.count }
    guard count <= Self.limit else { throw InputError(.usage, "a grid of \(count) pictures: expected at most \(Self.limit)") }
    for axis in axes { try Self.check(axis, base) }
    var cells: [Cell] = []
    for k in 0..<(z?.count ?? 1) {
      for j in 0..<(y?.count ?? 1) {
        for i in 0..<x.count {
          let chosen = [(x, i)] + (y.map { [($0, j)] } ?? []) + (z.map { [($0, k)] } ?? [])
          cells.append(Cell(x: i, y: j, z: k, parameters: Self.applied(chosen, to: base), labels: chosen.map { $0.labels[$1] }))
        }
      }
    }
    self.cells = cells
  }

  private static func check(_ axis: GridAxis, _ base: GenerationParameters) throws {
    if axis.parameter == .strength, base.initImage == nil {
      throw InputError(.usage, "axis strength: there is no picture to start from", hint: "give --init-image")
    }
    guard case .text(let sought)? = axis.values.first else { return }
    let text = axis.parameter == .prompt ? base.prompt : base.negativePrompt
    if !text.contains(sought) {
      let name = axis.parameter == .prompt ? "prompt" : "negative prompt"
      throw InputError(
        .usage, "axis \(axis.parameter.rawValue): '\(sought)' is not in the \(name) '\(text)'", hint: "the first value is replaced")
    }
  }

  private static func applied(_ chosen: [(axis: GridAxis, index: Int)], to base: GenerationParameters) -> GenerationParameters {
    var p = base
    (p.count, p.index) = (1, 0)
    var replacements: [GridAxis.Parameter: [(sought: String, by: String)]] = [:]
    for (axis, index) in chosen {
      switch axis.values[index] {
      case .text(let text):
        if case .text(let sought)? = axis.values.first { replacements[axis.parameter, default: []].append((sought, text)) }
      case .seed(let seed): p.seed = seed
      case .sampler(let name): p.sampler = name.rawValue
      case .decimal(let value):
        switch axis.parameter {
        case .strength: p.strength = value
        case .eta: p.eta = value
        default: p.guidance = value
        }
      case .whole(let value):
        switch axis.parameter {
        case .steps: p.steps = value
        case .clipSkip: p.clipSkip = value
        case .width: p.width = value
        default: p.height = value
        }
      }
    }
    p.prompt = replaced(p.prompt, replacements[.prompt] ?? [])
    p.negativePrompt = replaced(p.negativePrompt, replacements[.negative] ?? [])
    return p
  }

  /// Every occurrence, all texts at once from left to right, so that what was inserted is not searched again; of several that fit the longest.
  private static func replaced(_ text: String, _ pairs: [(sought: String, by: String)]) -> String {
    let pairs = pairs.sorted { $0.sought.count > $1.sought.count }
    var out = ""
    var rest = text[...]
    while let first = rest.first {
      if let pair = pairs.first(where: { rest.hasPrefix($0.sought) }) {
        out += pair.by
        rest = rest.dropFirst(pair.sought.count)
      } else {
        out.append(first)
        rest = rest.dropFirst()
      }
    }
    return out
  }
}
