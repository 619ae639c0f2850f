import Foundation
import Testing

@testable import Plots

/// Whatever comes in, a sensible picture or one line of text comes out.
@Suite struct HostileFigureTests {
  static let series: [[Double]] = [
    [], [0], [7, 7, 7], [.nan, .nan], [.infinity, 1, -.infinity], [1, .nan, 3], [-1, -2, -3], [1e-300, 2e-300], [1e300, -1e300],
    [.leastNonzeroMagnitude, 1], [.greatestFiniteMagnitude, 0], [1e15, 1e15 + 0.125], [0, -0.0], [1e-12, 1e12], [1, 1 + 1e-13],
  ]
  static let long = String(repeating: "Donaudampfschifffahrt ", count: 15) + "שלום مرحبا 你好 👩‍👩‍👧 \0 \n \u{202e}x\u{2066}"

  /// The figure is drawn or refused; drawn, its labels are inside.
  private func survives(_ figure: Figure, _ comment: String, vectors: Bool = true) throws {
    do {
      try LayoutTests.check(figure, mayCut: true, comment)
      if vectors { for format in [FileFormat.svg, .pdf] { _ = try figure.render(format) } }
    } catch let error as PlotError {
      #expect(!error.description.contains("\n") && error.description.count < 400)
    }
  }

  @Test func anyNumbersOnAnyAxis() throws {
    let axes: [Axis] = [.linear("x"), .log("x"), .time("x"), .categorical("x", ["a", "b"]), .categorical("x", []), .hidden]
    for (i, a) in Self.series.enumerated() {
      for (k, axis) in axes.enumerated() {
        let other = axes[(k + i) % axes.count]
        let b = a.reversed().map { $0 }
        let n = a.count
        let marks: [Mark] = [
          .points(a, b), .line(a, b, band: (b, a), label: "line", dots: true), .bars(a, at: b, interval: (a, b), values: true),
          .bars(b, horizontal: true, values: true), .text(a, b, a.map { "\($0)" }), .trajectory(a, b), .arrows(a, b, dx: b, dy: a),
          .points(a, b, values: a, colours: ColourScale(.redBlue, "v")),
          .points(a, b, categories: [Int](repeating: -5, count: n), names: ["n"]),
        ]
        for (m, mark) in marks.enumerated() {
          try survives(
            Figure(width: 300, panels: [Panel(x: axis, y: other, marks: [mark])]), "series \(i), axes \(k), mark \(m)", vectors: false)
        }
        try survives(Figure(panels: [Panel(x: axis, y: axis, equalUnits: true, marks: marks)]), "series \(i), axes \(k)")
        for v in a {
          try survives(
            Figure(panels: [Panel(x: axis, y: other, marks: [.reference(x: v, label: "r"), .reference(y: v)])]), "reference \(v)",
            vectors: false)
        }
      }
      for columns in 1...3 where a.count % columns == 0 {
        try survives(
          Figure(panels: [
            Panel(
              marks: [
                .heatmap(a, rows: a.count / columns, columns: columns, written: true),
                .contours(a, rows: a.count / columns, columns: columns, levels: a),
              ]),
            .picture(marks: [.overlay(try scene(0), a, rows: a.count / columns, columns: columns, contours: a)]),
          ]), "matrix \(i)")
      }
    }
  }

  @Test func anyText() throws {
    for text in [Self.long, "", " ", "\n\n\n", "e\u{301}\u{301}\u{301}", "مرحبا بالعالم", "夕焼け空", "👩‍👩‍👧👍🏽", String(repeating: "W", count: 300)]
    {
      let names = [text, text, text]
      let figure = Figure(
        title: text, subtitle: text, note: text, columns: 2,
        panels: [
          Panel(
            text, x: .categorical(text, names), y: .linear(text, unit: text),
            marks: [
              .line([0, 1, 2], [1, 2, 3], label: text), .text([0, 1, 2], [1, 2, 3], names), .bars([1, 2, 3], label: text),
              .reference(y: 2, label: text),
            ]),
          Panel(
            x: .linear(text), y: .categorical(text, names),
            marks: [.heatmap([1, 2, 3], rows: 3, columns: 1, colours: ColourScale(.magma, text))]),
          .pictures(text, images: [[try scene(0)]], captions: [[text]], columnName: text, columns: [text], rowName: text, rows: [text]),
        ])
      try survives(figure, "text '\(text.prefix(20))'")
      _ = try figure.render(.png, scale: 1)
      _ = try figure.svg(id: "a", alternative: text)
    }
  }

  @Test func aMillionPoints() throws {
    var noise = Example.Noise(state: 5)
    let xs = (0..<1_000_000).map { _ in noise.uniform() }
    let ys = (0..<1_000_000).map { _ in noise.uniform() }
    let figure = Figure(panels: [Panel(marks: [.points(xs, ys, radius: 0.5)])])
    for format in FileFormat.allCases { #expect(try figure.render(format, scale: 1).count < 12_000_000, "\(format)") }
    let names = (0..<1_000_000).map(String.init)
    _ = try Figure(panels: [Panel(x: .categorical("", names), marks: [.line(xs, ys)])]).render(.png, scale: 1)
    _ = try Figure(panels: [Panel(marks: [.heatmap(xs, rows: 1000, columns: 1000)])]).render(.png, scale: 1)
  }

  @Test func manyThingsAtOnce() throws {
    let many = (0..<300).map { i in Mark.line([0, 1], [0, Double(i)], label: "line \(i)") }
    try survives(Figure(panels: [Panel(marks: many)]), "300 lines")
    try survives(Figure(columns: 30, width: 20_000, panels: (0..<90).map { _ in Panel(marks: []) }), "90 panels")
    let names = (0..<100).map { "category \($0)" }
    let v = names.indices.map(Double.init)
    try survives(Figure(panels: [Panel(marks: [.points(v, v, categories: Array(names.indices), names: names)])]), "100 categories")
  }

  @Test func whatCannotBeDrawnIsRefused() throws {
    let good = Panel(marks: [.points([1], [1])])
    let bad: [Figure] = [
      Figure(panels: []), Figure(width: .nan, panels: [good]), Figure(width: 10, panels: [good]), Figure(height: .nan, panels: [good]),
      Figure(height: 50, panels: [good]), Figure(columns: 90, panels: [Panel](repeating: good, count: 90)),
      Figure(panels: [Panel](repeating: good, count: 500)), Figure(panels: [Panel(aspect: .nan, marks: [])]),
      Figure(panels: [Panel(x: .linear(domain: 1...1), marks: [])]), Figure(panels: [Panel(x: .log(domain: 0...1), marks: [])]),
      Figure(panels: [Panel(x: .linear(domain: 0...(.infinity)), marks: [])]),
    ]
    for (i, figure) in bad.enumerated() { #expect(throws: PlotError.self, "\(i)") { try figure.render(.png, scale: 1) } }
    let image = try scene(0)
    let marks: [Mark] = [
      .points([1], []), .points([1], [1], radius: .nan), .points([1], [1], opacity: 2), .points([1], [1], categories: [], names: []),
      .points([1], [1], values: [1, 2], colours: ColourScale()), .line([1], [1, 2]), .line([1], [1], band: ([], [1])),
      .line([1], [1], width: -1), .bars([1], at: []), .bars([1], interval: ([], [])), .heatmap([1, 2], rows: 1, columns: 1),
      .heatmap([], rows: 0, columns: 0), .heatmap([1], rows: -1, columns: -1), .heatmap([1], rows: .max, columns: 2),
      .heatmap([1], rows: 1, columns: 1, x: 0...0), .contours([1], rows: 2, columns: 2, levels: []),
      .overlay(image, [1], rows: 1, columns: 2), .overlay(image, [1], rows: 1, columns: 1, opacity: .nan), .image(image, x: 0...0),
      .pictures([]), .pictures([[nil]]), .pictures([[image]]), .text([1], [1], []), .text([1], [1], [""], size: .nan),
      .trajectory([1], []), .trajectory([1], [1], arrows: -1), .arrows([1], [1], dx: [], dy: [1]), .thumbnails([1], [1], []),
      .thumbnails([1], [1], [image], side: .nan),
    ]
    for (i, mark) in marks.enumerated() {
      #expect(throws: PlotError.self, "mark \(i)") { try Figure(panels: [Panel(marks: [mark])]).render(.png, scale: 1) }
    }
    for scale in [0, -1, .nan, .infinity, 1e6] { #expect(throws: PlotError.self) { try Figure(panels: [good]).render(.png, scale: scale) } }
  }
}
