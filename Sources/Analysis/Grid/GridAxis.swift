import Engine
import Foundation

/// One axis of a grid: a parameter and what it takes.
public struct GridAxis: Sendable {
  /// What can be varied, by its name on the command line.
  public enum Parameter: String, CaseIterable, Sendable {
    /// Search and replace in the prompt: the first value is sought, and stands for itself; the others take its place.
    case prompt
    /// The same in the negative prompt.
    case negative
    case seed, steps, guidance, sampler, strength, eta
    case clipSkip = "clip-skip"
    case width, height
  }

  enum Value: Sendable {
    case text(String), whole(Int), decimal(Double), seed(UInt64), sampler(SamplerName)
  }

  public let parameter: Parameter
  /// The values as they are shown: `steps 20`, `a boat`.
  public let labels: [String]
  let values: [Value]

  public var count: Int { values.count }

  /// - Parameters:
  ///   - parameter: what is varied.
  ///   - text: its values, see `AxisValues`; for prompts `house, boat, "tree, at night"`.
  /// - Throws: `InputError` (usage) that names the part that is wrong.
  public init(_ parameter: Parameter, _ text: String) throws {
    self.parameter = parameter
    do {
      values =
        switch parameter {
        case .prompt, .negative: try AxisValues.strings(text).map(Value.text)
        case .seed: try AxisValues.seeds(text).map(Value.seed)
        case .steps: try Self.whole(text, 1...100_000)
        case .clipSkip: try Self.whole(text, 0...100)
        case .width, .height: try Self.whole(text, 1...16384)
        case .guidance: try Self.decimal(text, -1000...1000)
        case .strength, .eta: try Self.decimal(text, 0...1)
        case .sampler: try AxisValues.strings(text).map { Value.sampler(try Self.sampler($0)) }
        }
    } catch let error as InputError {
      throw InputError(error.kind, "axis \(parameter.rawValue): \(error.message)", hint: error.hint)
    }
    if case .text(let sought)? = values.first, sought.isEmpty {
      throw InputError(.usage, "axis \(parameter.rawValue): the first value is what is sought and cannot be empty")
    }
    labels = values.map { value in
      switch value {
      case .text(let text): text.isEmpty ? "(nothing)" : text
      case .whole(let n): "\(parameter.rawValue) \(n)"
      case .decimal(let x): "\(parameter.rawValue) \(x == x.rounded() && abs(x) < 1e15 ? String(Int(x)) : String(x))"
      case .seed(let seed): "seed \(seed)"
      case .sampler(let name): name.rawValue
      }
    }
  }

  /// `steps: 1-5` or `steps=1-5`, `prompt: house, boat`.
  /// - Throws: `InputError` (usage) for unknown parameters.
  public init(argument: String) throws {
    guard let sign = argument.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
      throw InputError(.usage, "axis '\(argument)': expected a parameter, : or =, and values", hint: "for example steps=10-30 (+10)")
    }
    let name = argument[..<sign].trimmingCharacters(in: .whitespaces).lowercased()
    guard let parameter = Parameter(rawValue: name) else {
      let all = Parameter.allCases.map(\.rawValue).joined(separator: ", ")
      throw InputError(.usage, "axis '\(name)': there is no such parameter", hint: "known: \(all)")
    }
    try self.init(parameter, String(argument[argument.index(after: sign)...]))
  }

  private static func whole(_ text: String, _ range: ClosedRange<Int>) throws -> [Value] {
    try AxisValues.integers(text).map { n in
      guard range.contains(n) else { throw InputError(.usage, "\(n): expected \(range.lowerBound) to \(range.upperBound)") }
      return .whole(n)
    }
  }

  private static func decimal(_ text: String, _ range: ClosedRange<Double>) throws -> [Value] {
    try AxisValues.decimals(text).map { x in
      guard range.contains(x) else { throw InputError(.usage, "\(x): expected \(range.lowerBound) to \(range.upperBound)") }
      return .decimal(x)
    }
  }

  private static func sampler(_ name: String) throws -> SamplerName {
    if let found = SamplerName(rawValue: name.lowercased()) { return found }
    let known = SamplerName.allCases.map(\.rawValue)
    throw InputError(.usage, "'\(name)' is no sampler", hint: "known: \(known.joined(separator: ", "))")
  }
}
