import Engine
import Foundation

/// A direction of h-space added to h while a picture is made.
public struct HEdit: Sendable {
  public enum Rule: String, CaseIterable, Sendable {
    /// Kwon et al. 2023: the network is asked twice, and only the predicted x0 comes from the changed h. For ddim.
    case asyrp
    /// Haas et al. 2024: h is changed for the whole prediction.
    case symmetric
  }

  /// Which rows of the batch are changed.
  public enum Rows: String, CaseIterable, Sendable {
    /// With and without the prompt, as in the sources, which have no guidance.
    case all
    /// Those that carry the prompt: guidance then strengthens the change.
    case cond
  }

  public let directions: HDirections
  public let direction: Int
  public let strength: Double
  public let rule: Rule
  public let rows: Rows
  /// Steps in which h is changed; nil for all.
  public let steps: [Int]?

  public init(_ directions: HDirections, _ direction: Int, strength: Double, rule: Rule, rows: Rows = .all, steps: [Int]? = nil) {
    (self.directions, self.direction, self.strength) = (directions, direction, strength)
    (self.rule, self.rows, self.steps) = (rule, rows, steps)
  }

  /// Adds `strength` times the direction to h.
  /// - Throws: `InputError` (usage) when h is not of the directions' shape or the run is at another timestep.
  public func handle(_ site: Site, _ moment: Moment, _ h: Tensor) throws -> Tensor? {
    // Probes of others share the handler: a recorder's sites pass through here too.
    guard site.path == HSpace.site, steps?.contains(moment.step) ?? true else { return nil }
    let shape = Array(h.shape.dimensions.dropFirst())
    guard shape == directions.shape else {
      throw InputError(
        .usage, "directions of h [\(text(directions.shape))] for a run whose h is [\(text(shape))]",
        hint: "make them in this size, with this model")
    }
    guard let at = directions.timesteps.indices.first(where: { abs(directions.timesteps[$0] - moment.timestep) < 0.5 }) else {
      throw InputError(
        .usage, "the directions have no timestep \(moment.timestep)",
        hint: "take the sampler and the number of steps that they were made with")
    }
    let (values, factor, size) = (directions.values[direction][at], Float(strength), directions.values[direction][at].count)
    var out = h
    out.withUnsafeMutableBuffer { o in
      for (row, label) in moment.rows.enumerated() where rows == .all || label.half == .cond {
        for i in 0..<size { o[row * size + i] += factor * values[i] }
      }
    }
    return out
  }

  /// What a tracer needs; the name states everything that the change depends on.
  public func intervention() -> Tracer.Intervention {
    var name = [
      "h_edit": rule.rawValue, "direction": directions.digest(direction), "strength": "\(strength)", "rows": rows.rawValue,
    ]
    if let steps { name["edited_steps"] = steps.map(String.init).joined(separator: ",") }
    switch rule {
    case .asyrp: return Tracer.Intervention(name, original: ([HSpace.site], handle))
    case .symmetric: return Tracer.Intervention(name, patterns: [HSpace.site], handler: handle)
    }
  }

  private func text(_ shape: [Int]) -> String { shape.map(String.init).joined(separator: ", ") }
}

extension HDirections {
  /// SHA-256 over a direction's values and timesteps.
  public func digest(_ direction: Int) -> String {
    let steps = values[direction].reduce(into: Data()) { data, step in step.withUnsafeBytes { data.append(contentsOf: $0) } }
    return Digest.of(timesteps.withUnsafeBytes { Data($0) } + steps)
  }
}
