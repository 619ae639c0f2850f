/// What `--dry-run` says of a training: what it would take.
struct TrainingPlan: Encodable {
  /// Numbers that move.
  let trained: Int
  /// Of a training on a fixed set of examples.
  var examples: Int?
  let secondsPerStep: Double
  let seconds: Double
  /// Of the checkpoints that are kept; nil where they are small.
  var diskBytes: Double?

  init(trained: Int, examples: Int? = nil, steps: Int, secondsPerStep: Double, diskBytes: Double? = nil) {
    (self.trained, self.examples, self.secondsPerStep, self.diskBytes) = (trained, examples, secondsPerStep, diskBytes)
    seconds = secondsPerStep * Double(steps)
  }

  /// - Parameters:
  ///   - data: in words.
  ///   - kept: checkpoints.
  func print(data: String, steps: Int, kept: Int, _ report: ReportOptions) throws {
    if report.json { return try StandardOutput.json(self) }
    var rows = [
      ["trained", "\(grouped(trained)) parameters on \(data)"],
      ["time", "\(duration(seconds)): \(grouped(steps)) steps of \(duration(secondsPerStep))"],
    ]
    if let diskBytes { rows.append(["disk", "\(bytes(diskBytes)) for \(kept) \(kept == 1 ? "checkpoint" : "checkpoints")"]) }
    try StandardOutput.line(table(rows))
  }
}
