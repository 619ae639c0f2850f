import Analysis
import ArgumentParser
import Engine

extension Evaluate {
  struct PrecisionRecallVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "precision-recall",
      abstract: "How many generated pictures lie among real ones, and how many real ones among generated ones.",
      discussion: """
        A set lies where balls about its pictures are, each as far as the picture's k-th nearest neighbour. Precision falls when pictures are unlike real ones, recall when \
        much of what is real is never made.

        Example:
          sdlab evaluate precision-recall --real a.npy --fake b.npy
        """)

    @OptionGroup var pair: FeaturePair

    @Option(name: [.long, .customLong("neighbors")], help: ArgumentHelp("k: the neighbour that bounds a picture's ball.", valueName: "k"))
    var neighbours = 3

    @OptionGroup var options: EvaluationOptions
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      try options.check()
      guard (1...100).contains(neighbours) else { throw InputError(.usage, "--neighbours \(neighbours): expected 1 to 100") }
      let (real, fake) = try pair.read(quiet: report.quiet)
      let score = try PrecisionRecall.between(real, fake, neighbours: neighbours, replicates: options.bootstrap, seed: options.seed)
      if report.json {
        return try StandardOutput.json(
          Report(
            precision: .init(score.precision), recall: .init(score.recall), bootstrap: score.precision.replicates, neighbours: neighbours,
            real: real.count, fake: fake.count, columns: real.dimension))
      }
      func row(_ name: String, _ e: MetricEstimate) -> [String] {
        [name, decimal(e.value, 4), e.interval.map { "95 % interval \(decimal($0.lowerBound, 4)) to \(decimal($0.upperBound, 4))" } ?? ""]
      }
      try StandardOutput.line(
        table([
          row("precision", score.precision), row("recall", score.recall), ["neighbours", "\(neighbours)"],
          ["real", "\(grouped(real.count)) pictures"], ["fake", "\(grouped(fake.count)) pictures"], ["features", grouped(real.dimension)],
        ]))
    }

    private struct Report: Encodable {
      struct Share: Encodable {
        let value: Double
        let low: Double?
        let high: Double?
        init(_ e: MetricEstimate) { (value, low, high) = (e.value, e.interval?.lowerBound, e.interval?.upperBound) }
      }
      let precision: Share
      let recall: Share
      let bootstrap: Int
      let neighbours: Int
      let real: Int
      let fake: Int
      let columns: Int
    }
  }
}
