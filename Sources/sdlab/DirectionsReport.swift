import Analysis
import Engine
import Foundation

/// What `directions` says: a table, or one line of JSON.
struct DirectionsReport: Encodable {
  struct Direction: Encodable {
    let name: String
    /// Share of each step's variance; for principal components.
    let explainedVarianceRatio: [Double]?
    /// What strength 1 adds to h at each step, Euclidean length.
    let lengths: [Double]
    /// With the step before; one less than steps.
    let cosines: [Double?]
    /// From the unchanged picture, for each strength.
    let pictureDistances: [Double]
    let runs: [String]
  }

  struct Probe: Encodable {
    let timestep: Double
    let accuracy: Double
    let shuffledMean: Double
    let shuffledHighest: Double
  }

  let figure: String
  let curves: String?
  let arrays: String?
  let kind: String
  let prompt: String
  let rule: String
  let rows: String
  /// Pictures that the directions were made of.
  let pictures: Int
  let timesteps: [Double]
  let strengths: [Double]
  let directions: [Direction]
  let chance: Double?
  let folds: Int?
  let shuffles: Int?
  let probes: [Probe]?

  init(_ verb: Directions, _ plan: DirectionsPlan, _ found: DirectionsFound, _ strip: DirectionsStrip, _ files: DirectionsFiles) {
    (figure, curves, arrays) = (files.strip.url.relativePath, files.curves?.url.relativePath, files.arrays?.relativePath)
    (kind, prompt, rule, rows) = (plan.kind, plan.prompt, verb.rule.rawValue, verb.rows.rawValue)
    (pictures, timesteps, strengths) = (found.count, found.directions.timesteps, plan.strengths)
    directions = (0..<found.directions.count).map { k in
      Direction(
        name: found.directions.names[k], explainedVarianceRatio: found.explained.isEmpty ? nil : found.explained[k],
        lengths: found.directions.lengths(k), cosines: found.directions.continuity(k).map { $0.isFinite ? $0 : nil },
        pictureDistances: strip.distances[k], runs: strip.folders[k].map(\.url.relativePath))
    }
    (chance, folds, shuffles) = (found.probes.first?.chance, found.probes.first?.folds, found.probes.first?.shuffles)
    probes =
      found.probes.isEmpty
      ? nil
      : zip(found.directions.timesteps, found.probes).map {
        Probe(timestep: $0, accuracy: $1.accuracy, shuffledMean: $1.shuffledMean, shuffledHighest: $1.shuffledHighest)
      }
  }

  func print(_ verb: Directions) throws {
    if verb.report.json { return try StandardOutput.json(self) }
    var rows: [[String]] = []
    if let probes, let chance, let folds, let shuffles {
      rows = [["timestep", "length", "told apart", "shuffled labels"]]
      rows += zip(probes, directions[0].lengths).map { probe, length in
        [
          decimal(probe.timestep, 0), decimal(length, 2), "\(decimal(100 * probe.accuracy, 1)) %",
          "\(decimal(100 * probe.shuffledMean, 1)) %, highest \(decimal(100 * probe.shuffledHighest, 1)) %",
        ]
      }
      rows.append(["\(pictures) pictures", "\(folds) folds", "chance \(decimal(100 * chance, 1)) %", "\(shuffles) shuffles"])
    } else if directions.first?.explainedVarianceRatio != nil {
      rows = [["direction", "variance, first step", "middle", "last", "lowest cosine between steps"]]
      rows += directions.map { d in
        let v = d.explainedVarianceRatio ?? []
        return [d.name] + [v.first, v.isEmpty ? nil : v[v.count / 2], v.last].map { $0.map { "\(decimal(100 * $0, 1)) %" } ?? "" }
          + [d.cosines.compactMap { $0 }.map(abs).min().map { decimal($0, 2) } ?? ""]
      }
    }
    let distances =
      [["distance from strength 0"] + strengths.map { decimal($0, 1) }]
      + directions.map { d in [d.name] + d.pictureDistances.map { decimal($0, 1) } }
    if !rows.isEmpty { try StandardOutput.line(table(rows)) }
    try StandardOutput.line(table(distances))
    for file in [arrays, curves, figure].compactMap({ $0 }) { try StandardOutput.line(file) }
  }
}
