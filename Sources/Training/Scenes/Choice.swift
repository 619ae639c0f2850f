/// Who decides in a grammar: chance, or an enumeration of everything that chance could do.
protocol Choice {
  mutating func isTrue(_ probability: Double) -> Bool
  mutating func pick<T>(_ values: [T]) -> T
}

extension NumPyRandom: Choice {}

/// Walks through all decisions: every call of `next` leads to a walk that differs in the last decision that still can.
struct EveryChoice: Choice {
  private struct Decision {
    var taken: Int
    let probabilities: [Double]
  }
  private var decisions: [Decision] = []
  private var at = 0

  /// Probability of the walk that was just made.
  var probability: Double { decisions[..<at].reduce(1) { $0 * $1.probabilities[$1.taken] } }

  mutating func isTrue(_ probability: Double) -> Bool { decide([probability, 1 - probability]) == 0 }

  mutating func pick<T>(_ values: [T]) -> T {
    values[decide(Array(repeating: 1 / Double(values.count), count: values.count))]
  }

  private mutating func decide(_ probabilities: [Double]) -> Int {
    if at == decisions.count { decisions.append(Decision(taken: 0, probabilities: probabilities)) }
    at += 1
    return decisions[at - 1].taken
  }

  /// - Returns: false when every walk was made.
  mutating func next() -> Bool {
    decisions.removeSubrange(at...)
    at = 0
    while var last = decisions.popLast() {
      last.taken += 1
      if last.taken < last.probabilities.count {
        decisions.append(last)
        return true
      }
    }
    return false
  }
}
