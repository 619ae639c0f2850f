import Engine

/// Steps by their numbers: `0-9`, `0,5,10-`, `-4` (up to step 4).
public struct StepSelection: Sendable, Equatable {
  /// Ascending, without repetition.
  public let steps: [Int]

  /// - Parameters:
  ///   - total: number of steps of the run; numbers go from 0 to `total - 1`.
  ///   - what: what is numbered, for errors.
  /// - Throws: `InputError` (usage) naming the part that is no number or lies outside.
  public init(_ text: String, total: Int, of what: String = "steps") throws {
    var found: Set<Int> = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false).map({ $0.filter { $0 != " " } }) {
      let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
      func number(_ text: Substring, _ absent: Int) throws -> Int {
        if text.isEmpty, ends.count == 2, part.count > 1 { return absent }
        guard let n = Int(text), (0..<total).contains(n) else {
          throw InputError(
            .usage, "\(what) '\(text.isEmpty ? part : String(text))': expected 0 to \(total - 1)", hint: "for example 0-9 or 0,5,10-")
        }
        return n
      }
      let first = try number(ends[0], 0)
      let last = ends.count == 2 ? try number(ends[1], total - 1) : first
      guard first <= last else { throw InputError(.usage, "\(what) '\(part)': the first is behind the last") }
      found.formUnion(first...last)
    }
    steps = found.sorted()
  }
}
