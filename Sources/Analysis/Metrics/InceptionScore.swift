import Engine
import Foundation

/// `exp(mean KL(p(class | picture) || p(class)))`: high when single pictures are surely of a class and together of many classes.
///
/// Salimans et al., "Improved techniques for training GANs", NeurIPS 2016. As torch-fidelity's without shuffling: rows are cut into equal parts in their
/// order, and the scores of the parts have a mean and a deviation.
public enum InceptionScore {
  public struct Score: Sendable, Equatable {
    /// The mean over the parts.
    public let estimate: MetricEstimate
    /// The deviation of the parts (divided by their number); 0 for one part.
    public let deviation: Double
  }

  /// What a row of the file holds.
  public enum Rows: String, Sendable, CaseIterable {
    /// Before the softmax.
    case logits
    /// Not negative, summing to 1.
    case probabilities
  }

  /// - Parameters:
  ///   - rows: a picture a row, a class a column.
  ///   - parts: 1 to the number of rows.
  ///   - replicates: resamplings for the interval, which only the score of one part has.
  /// - Throws: `InputError` `.badData` when rows are no probabilities, `.usage` for a wrong number of parts.
  public static func of(_ rows: Points, as kind: Rows, parts: Int = 10, replicates: Int = 0, seed: UInt64 = 0) throws -> Score {
    guard rows.count >= 2, rows.dimension >= 2 else {
      throw InputError(.badData, "\(rows.count) pictures and \(rows.dimension) classes, expected at least 2 of each")
    }
    guard (1...rows.count).contains(parts) else {
      throw InputError(.usage, "\(parts) parts of \(rows.count) pictures, expected 1 to \(rows.count)")
    }
    let logs = try logarithms(rows, kind)
    let scores = split(logs, rows.dimension, parts, Array(0..<rows.count))
    let mean = scores.reduce(0, +) / Double(parts)
    let variance = scores.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(parts)
    // Copies would stand on both sides of a cut: only the score of all has an interval.
    let drawn = Bootstrap.replicates(parts == 1 ? replicates : 0) { i in
      let weights = Bootstrap.weights(rows.count, replicate: i, seed: seed)
      let order = weights.indices.flatMap { Array(repeating: $0, count: Int(weights[$0])) }
      return split(logs, rows.dimension, 1, order)[0]
    }
    return Score(estimate: Bootstrap.estimate(mean, drawn), deviation: variance.squareRoot())
  }

  private static func logarithms(_ rows: Points, _ kind: Rows) throws -> [Double] {
    let d = rows.dimension
    var out = [Double](repeating: 0, count: rows.count * d)
    for i in 0..<rows.count {
      let row = rows[i].map(Double.init)
      switch kind {
      case .logits:
        let top = row.max() ?? 0
        let sum = log(row.reduce(0) { $0 + exp($1 - top) }) + top
        for c in 0..<d { out[i * d + c] = row[c] - sum }
      case .probabilities:
        let sum = row.reduce(0, +)
        guard row.allSatisfy({ $0 >= 0 }), abs(sum - 1) < 1e-3 else {
          throw InputError(
            .badData, "row \(i) is no distribution: it sums to \(sum), its smallest value is \(row.min() ?? 0)",
            hint: "are these logits? then leave --probabilities out")
        }
        for c in 0..<d { out[i * d + c] = log(row[c]) }
      }
    }
    return out
  }

  private static func split(_ logs: [Double], _ d: Int, _ parts: Int, _ order: [Int]) -> [Double] {
    (0..<parts).map { part in
      let members = order[part * order.count / parts..<(part + 1) * order.count / parts]
      var mean = [Double](repeating: 0, count: d)
      var own = 0.0
      for i in members {
        for c in 0..<d {
          let p = exp(logs[i * d + c])
          mean[c] += p
          if p > 0 { own += p * logs[i * d + c] }
        }
      }
      let n = Double(members.count)
      let all = mean.reduce(0) { $0 + ($1 > 0 ? $1 / n * log($1 / n) : 0) }
      return exp(own / n - all)
    }
  }
}
