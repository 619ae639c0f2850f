/// What `--dry-run` says of a training: what it would take.
struct TrainingPlan: Encodable {
  /// Numbers that move.
  let trained: Int
  /// Of a training on a fixed set of examples.
  var examples: Int?
  let steps: Int
  let secondsPerStep: Double
  let seconds: Double
  /// Of the checkpoints that are kept; nil where they are small.
  let diskBytes: Double?
  /// How many those are.
  let checkpoints: Int?

  init(trained: Int, examples: Int? = nil, steps: Int, secondsPerStep: Double, disk: (bytes: Double, checkpoints: Int)? = nil) {
    (self.trained, self.examples, self.steps, self.secondsPerStep) = (trained, examples, steps, secondsPerStep)
    (diskBytes, checkpoints) = (disk?.bytes, disk?.checkpoints)
    seconds = secondsPerStep * Double(steps)
  }

  /// - Parameter data: in words.
  func print(data: String, _ report: ReportOptions) throws {
    if report.json { return try StandardOutput.json(self) }
    var rows = [
      ["trained", "\(grouped(trained)) parameters on \(data)"],
      ["time", "\(duration(seconds)): \(grouped(steps)) steps of \(duration(secondsPerStep))"],
    ]
    if let diskBytes, let checkpoints {
      rows.append(["disk", "\(bytes(diskBytes)) for \(checkpoints) \(checkpoints == 1 ? "checkpoint" : "checkpoints")"])
    }
    try StandardOutput.line(table(rows))
  }
}
