import Foundation

extension Report {
  /// Everything that is needed to make the same again.
  public struct Reproduction: Part {
    public var command: String
    /// The plan: sampler, steps, guidance, seeds, generator, sizes.
    public var plan: [(name: String, value: String)]
    /// SHA-256 of weights and outputs.
    public var digests: [(name: String, sha256: String)]
    /// sdlab, Swift, BLAS, processor, threads, licence of the model.
    public var versions: [(name: String, value: String)]
    /// Wall time of each part in seconds.
    public var timings: [(part: String, seconds: Double)]

    public init(
      command: String, plan: [(name: String, value: String)], digests: [(name: String, sha256: String)],
      versions: [(name: String, value: String)], timings: [(part: String, seconds: Double)]
    ) {
      self.command = command
      self.plan = plan
      self.digests = digests
      self.versions = versions
      self.timings = timings
    }

    public var template: String { "reproduction" }

    public func content(_ scope: inout Scope) throws -> [String: Any] {
      if let wrong = timings.first(where: { !$0.seconds.isFinite || $0.seconds < 0 }) {
        throw PlotError("report: “\(wrong.part)” took \(wrong.seconds) seconds")
      }
      let total = timings.reduce(0) { $0 + $1.seconds }
      func pairs(_ list: [(name: String, value: String)]) -> [[String: Any]] { list.map { ["name": $0.name, "value": $0.value] } }
      return [
        "code": try scope.nested(Code(command, label: "Command"), "command"), "plan": pairs(plan), "hasPlan": !plan.isEmpty,
        "versions": pairs(versions), "hasVersions": !versions.isEmpty,
        "digests": digests.map { ["name": $0.name, "sha256": $0.sha256] }, "hasDigests": !digests.isEmpty,
        "timings": timings.map {
          ["part": $0.part, "seconds": Self.seconds($0.seconds), "bar": String(format: "%.2f", total > 0 ? 100 * $0.seconds / total : 0)]
        }, "hasTimings": !timings.isEmpty, "total": Self.seconds(total),
      ]
    }

    static func seconds(_ s: Double) -> String {
      s >= 100 ? String(format: "%.0f s", s) : s >= 1 ? String(format: "%.1f s", s) : String(format: "%.0f ms", s * 1000)
    }
  }
}
