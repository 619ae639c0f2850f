import Analysis
import Engine
import Foundation
import Plots

/// `heatmap --method neglect`: how far each word is overlooked, step by step.
struct NeglectReport {
  /// For each word its largest smoothed attention anywhere at each network call, 0 to 1; of a word with several tokens the largest of them.
  private let maxima: [(word: String, values: [Double])]
  private let subject: HeatmapSubject

  init(_ subject: HeatmapSubject, _ words: [String], image: Int) throws {
    self.subject = subject
    let recorder = try subject.attention(averaged: true)
    guard recorder.levelMaps.first.map({ $0.indices.contains(image) }) ?? false else {
      throw InputError(.usage, "--index \(image): the run has \(recorder.levelMaps.first?.count ?? 0) images")
    }
    let calls = Neglect.maxima(recorder, image: image)
    maxima = try words.map { word in
      // The first entry of a call is the token behind BOS.
      let places = try subject.prompt.places(of: word).map { $0 - 1 }
      return (word, calls.map { call in places.compactMap { call.indices.contains($0) ? Double(call[$0]) : nil }.max() ?? 0 })
    }
  }

  func write(_ figure: FigureOptions, _ target: (url: URL, format: FileFormat), _ report: ReportOptions) throws {
    let steps = maxima.first.map { $0.values.indices.map(Double.init) } ?? []
    let drawn = Figure(
      title: "\"\(subject.prompt.text)\"", subtitle: "Attend-and-Excite's statistic, \(subject.about)",
      note:
        "1: somewhere the word holds all attention among the words; near 0: it is overlooked everywhere. A low word need not be missing from the picture.",
      panels: [
        Panel(
          x: .linear("network call", whole: true), y: .linear("largest attention of a word", domain: 0...1),
          marks: maxima.map { .line(steps, $0.values, label: $0.word) })
      ])
    try figure.write(drawn, to: target.url, target.format)
    if report.json {
      try StandardOutput.json(
        Report(
          figure: target.url.relativePath, run: subject.folder?.url.relativePath,
          words: maxima.map { .init(word: $0.word, maxima: $0.values, neglect: 1 - ($0.values.min() ?? 0)) },
          neglect: 1 - (maxima.compactMap { $0.values.last }.min() ?? 0)))
    } else {
      try StandardOutput.line(target.url.relativePath)
    }
  }

  private struct Report: Encodable {
    struct Word: Encodable {
      let word: String
      let maxima: [Double]
      /// 1 minus the smallest of its maxima over the steps.
      let neglect: Double
    }
    let figure: String
    let run: String?
    let words: [Word]
    /// 1 minus the smallest maximum of all words at the last step.
    let neglect: Double
  }
}
