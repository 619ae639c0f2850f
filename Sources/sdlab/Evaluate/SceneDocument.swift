import Analysis
import Engine
import Foundation
import Plots
import Training

extension SceneStudy {
  /// A panel a group: how often pictures answer each question, and how often drawn scenes do after the autoencoder.
  var figure: Figure {
    Figure(
      title: "Do the pictures show what they were asked for?",
      subtitle:
        "\(name): share of \(grouped(verb.prompts)) prompts, with 95 % intervals, beside the judge's own on drawn scenes after the autoencoder",
      columns: 2, width: 760,
      panels: SceneTable.Group.allCases.map { group in
        let own = rows.filter { $0.model.group == group && $0.model.total > 0 }
        let values = own.map { $0.model.proportion.value ?? 0 }
        let ends = own.map { $0.model.proportion.interval ?? 0...0 }
        // One legend for all.
        let isFirst = group == SceneTable.Group.allCases[0]
        return Panel(
          group.words, x: .linear("share", domain: 0...1.04), y: .categorical("", own.map(\.model.question.rawValue)),
          marks: [
            .bars(values, interval: (ends.map(\.lowerBound), ends.map(\.upperBound)), label: isFirst ? "the model" : "", horizontal: true),
            .points(
              own.map { $0.decoded.proportion.value ?? .nan }, own.indices.map(Double.init),
              label: isFirst ? "the judge on drawn scenes" : "", radius: 3.5
            ),
          ])
      })
  }

  func document(seconds: Double) throws -> Report {
    Report(
      title: "What pictures of scenes show",
      lead: "\(grouped(verb.prompts)) prompts of the scenes' grammar, drawn by \(name) and judged by a network that knows the scenes.",
      sections: [try scoreSection(), try pictureSection(), try wrongSection(), try againSection(seconds)].compactMap { $0 })
  }

  private func scoreSection() throws -> Report.Section {
    let table = Report.Table(
      caption: "Shares in percent, with 95 % intervals (Wilson's score)",
      header: ["prompts", "question", "model", "n", "judge, drawn scenes", "judge, through the autoencoder"],
      rows: rows.map { model, drawn, decoded in
        [model.group.words, model.question.rawValue, model.text, grouped(model.total), drawn.text, decoded.text]
      }, numeric: [2, 3, 4, 5],
      note:
        "noun, colour, size: right for every object. Relation: left, right, above, below, of two different nouns. Exactly: the named nouns as often as they are named, and no other. Count: as many things as are named. A picture is not asked for what its prompt leaves open."
    )
    return Report.Section(
      title: "How often pictures are right",
      shows: "How often the judge finds what the prompt names, apart for one and two objects and for combinations seen and held out.",
      limits:
        "The judge sees only what it was trained to tell apart: a right answer says that shape and colour are there, not that the drawing is flawless. Where its own accuracy is below one, so is what any model can reach.",
      parts: [
        try Report.figure(
          figure, caption: "Bars: the model. Dots: the judge on the same scenes, drawn.", alt: "A bar for each question, in four groups."),
        table,
      ])
  }

  private func pictureSection() throws -> Report.Section {
    Report.Section(
      title: "The first pictures", shows: "The first pictures of each group, with their prompts and what the judge reads off them.",
      limits: "They are the first, neither the best nor the worst.", parts: [try grid(shown)])
  }

  /// Nil when every picture is as it was asked for.
  private func wrongSection() throws -> Report.Section? {
    guard !wrong.isEmpty else { return nil }
    return Report.Section(
      title: "Where pictures go wrong",
      shows: "The first pictures of each group that are not as they were asked for, with what the judge reads off them and what is wrong.",
      limits: "Some of the mistakes are the judge's own: look at the picture before you believe either.", parts: [try grid(wrong)])
  }

  private func grid(_ groups: [(group: SceneTable.Group, pictures: [Shown])]) throws -> Report.ImageGrid {
    let columns = groups.map(\.pictures.count).max() ?? 0
    let cells = try groups.map { group, pictures -> [Report.ImageGrid.Cell?] in
      try (0..<columns).map { i in
        guard i < pictures.count else { return nil }
        let one = pictures[i]
        let wrong = one.wrong.isEmpty ? "" : "; wrong: \(one.wrong.map(\.rawValue).joined(separator: ", "))"
        return .init(
          try Report.Picture(RGBImage(one.picture), alt: "made of “\(one.prompt)”, judged as \(one.judged.words)\(wrong)"),
          value: "\(one.prompt) → \(one.judged.words)\(wrong)")
      }
    }
    return Report.ImageGrid(
      title: "Pictures", columnAxis: "", rowAxis: "prompts",
      modes: [.init(columnLabels: (1...max(1, columns)).map { "\($0)" }, rowLabels: groups.map(\.group.words), rows: cells)])
  }

  private func againSection(_ seconds: Double) throws -> Report.Section {
    Report.Section(
      title: "How to make it again", shows: "The command, the prompts and the model.",
      limits: "Bit for bit the same needs the same build, processor, number of threads and batch; otherwise results agree to rounding.",
      parts: [
        Report.Reproduction(
          command: CommandLine.commandLine,
          plan: [
            ("prompts", "seed \(verb.seed), \(grouped(verb.prompts)), a quarter of each group"), ("sampler", verb.sampler.rawValue),
            ("steps", "\(verb.steps)"), ("guidance", decimal(verb.guidance, 1)), ("noise", "picture i has seed \(verb.seed) + i"),
            ("judge", verb.judge ?? "the one that comes with sdlab"),
          ],
          digests: [("weights of \(source.displayName)", try ModelDigest.of(source, quiet: verb.report.quiet))],
          versions: [("sdlab", Sdlab.version)], timings: [("pictures and judgements", seconds)])
      ])
  }
}

extension Judgement {
  /// `red house, blue cat x 2, night`.
  var words: String {
    let things = parts.map { "\($0.colour.rawValue) \($0.noun.rawValue)\($0.pieces.count > 1 ? " × \($0.pieces.count)" : "")" }
    return ((things.isEmpty ? ["nothing"] : things) + [backdrop.name]).joined(separator: ", ")
  }
}
