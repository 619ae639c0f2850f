import Foundation
import Testing

@testable import Plots

/// What must hold of every figure, by numbers.
@Suite struct LayoutTests {
  /// All texts inside the figure; no two over each other; nothing cut unless allowed.
  static func check(_ figure: Figure, mayCut: Bool = false, overlapping: Bool = false, _ comment: String) throws {
    let ruler = Canvas(try Surface(.png, size: Size(width: 1, height: 1), scale: 1), .light)
    let size = try FigureLayout(figure, ruler).size
    let texts = try figure.drawn(.png, scale: 1, theme: .light).texts
    for t in texts {
      let b = t.box
      let inside = b.x >= -0.01 && b.y >= -0.01 && b.x + b.width <= size.width + 0.01 && b.y + b.height <= size.height + 0.01
      #expect(inside, "\(comment): '\(t.string.prefix(40))' at \(b) is outside of \(size)")
      if !mayCut { #expect(!t.cut, "\(comment): '\(t.string.prefix(60))' is cut") }
    }
    // Of slanted labels the lines are compared, not the boxes around them.
    for panel in 0..<figure.panels.count {
      let slanted = texts.filter { $0.panel == panel && $0.slantedHeight > 0 }.sorted { $0.box.x + $0.box.width < $1.box.x + $1.box.width }
      for (a, b) in zip(slanted, slanted.dropFirst()) {
        let distance = (b.box.x + b.box.width - a.box.x - a.box.width) * sin(AxisLayout.angle)
        #expect(distance >= a.slantedHeight - 1.5, "\(comment): '\(a.string)' and '\(b.string)'")
      }
    }
    // Texts inside a plot are the caller's.
    let upright = texts.filter { $0.role != .mark && $0.slantedHeight == 0 }
    for i in upright.indices {
      for j in upright.indices where j > i {
        var (a, b) = (upright[i].box, upright[j].box)
        // Lines of text have room above and below their letters.
        (a.height, b.height) = (a.height - 1, b.height - 1)
        if a.touches(b) {
          Issue.record("\(comment): '\(upright[i].string.prefix(40))' and '\(upright[j].string.prefix(40))' overlap: \(a), \(b)")
        }
      }
    }
  }

  @Test(arguments: FigureTests.names) func labelsHaveTheirRoom(_ name: String) throws {
    let figure = try #require(try Example.all().first { $0.name == name }?.figure)
    try Self.check(figure, name)
  }

  /// Any range, any size: tick labels keep apart and there are at least two of them where there is room.
  @Test func ticksOfAnyRangeKeepApart() throws {
    var noise = Example.Noise(state: 3)
    for i in 0..<60 {
      let centre = noise.normal() * pow(10, noise.uniform() * 12 - 6)
      let spread = pow(10, noise.uniform() * 14 - 7)
      let ys = (0..<5).map { _ in centre + spread * noise.uniform() }
      let positive = ys.map { exp(abs($0).truncatingRemainder(dividingBy: 60)) }
      let width = 260 + 500 * noise.uniform()
      for axis in [Axis.linear("value", unit: "m"), .log("value")] {
        let values = axis.kind == .log ? positive : ys
        let figure = Figure(title: "t", width: width, panels: [Panel(x: axis, y: axis, marks: [.points(values, values)])])
        try Self.check(figure, mayCut: true, "\(i): \(values)")
        let texts = try figure.drawn(.png, scale: 1, theme: .light).texts
        for role in [DrawnText.Role.xTick, .yTick] {
          let labels = texts.filter { $0.role == role }.map(\.string)
          #expect(labels.count >= 2 && Set(labels).count == labels.count, "\(values): \(labels)")
        }
      }
    }
  }

  @Test(arguments: [2, 5, 12, 40, 300]) func namesFitUnderTheirPlaces(_ count: Int) throws {
    for word in ["a", "attention", "a name of several words", "Donaudampfschifffahrtsgesellschaft"] {
      let names = (0..<count).map { "\(word) \($0)" }
      let values = (0..<count).map { Double($0 % 7) }
      for width in [320.0, 640] {
        let figure = Figure(
          width: width, panels: [Panel(x: .categorical("name", names), y: .categorical("name", names), marks: [.points(values, values)])])
        try Self.check(figure, mayCut: true, "\(count) x \(word) at \(width)")
      }
    }
  }

  @Test func manyPanelsStandInAGrid() throws {
    for columns in 1...4 {
      let panels = (0..<7).map { i in
        Panel(
          "panel \(i)", x: .linear("x"), y: .linear("y", unit: "s"), marks: [.line([0, 1, 2], [0, pow(10, Double(i)), 3], label: "line")])
      }
      let figure = Figure(title: "Seven", note: "a note", columns: columns, width: 900, panels: panels)
      try Self.check(figure, "\(columns) columns")
      let ruler = Canvas(try Surface(.png, size: Size(width: 1, height: 1), scale: 1), .light)
      let frames = try FigureLayout(figure, ruler).plots.map(\.frame)
      // Plots of a column and of a row are flush.
      for (i, f) in frames.enumerated() {
        #expect(f.x == frames[i % columns].x && f.width == frames[i % columns].width)
        #expect(f.y == frames[i / columns * columns].y)
      }
    }
  }

  /// The labels of a plot below or above take no room from a picture.
  @Test func picturesAreAsWideAsEachOther() throws {
    let ruler = Canvas(try Surface(.png, size: Size(width: 1, height: 1), scale: 1), .light)
    let picture = Panel.picture("a picture", marks: [.image(try scene(1, width: 64, height: 64))])
    let plot = Panel(x: .linear("steps"), y: .linear("distance", unit: "dB"), aspect: 1, marks: [.line([5, 50, 100], [20, 30, 35.5])])
    let figure = Figure(columns: 3, width: 630, panels: [picture, picture, picture, picture, plot])
    try Self.check(figure, "pictures and a plot")
    let frames = try FigureLayout(figure, ruler).plots.map(\.frame)
    #expect(Set(frames[..<4].map(\.width)).count == 1 && Set(frames[..<4].map(\.height)).count == 1)
    #expect(frames[4].width < frames[1].width && frames[4].x > frames[1].x)
  }

  /// One unit is as long on both axes, and a picture keeps its shape, whatever room there is.
  @Test func shapesAreKept() throws {
    let ruler = Canvas(try Surface(.png, size: Size(width: 1, height: 1), scale: 1), .light)
    let image = try scene(1, width: 96, height: 32)
    for height: Double? in [nil, 200, 700] {
      let figure = Figure(
        height: height,
        panels: [
          Panel(x: .linear("x"), y: .linear("y"), equalUnits: true, marks: [.points([0, 10], [0, 1])]),
          .picture(marks: [.overlay(image, [0, 1], rows: 1, columns: 2)]),
        ])
      let plots = try FigureLayout(figure, ruler).plots
      #expect(abs(plots[0].x.scale.pointsPerUnit - plots[0].y.scale.pointsPerUnit) < 1e-9)
      #expect(abs(plots[1].frame.width / plots[1].frame.height - 3) < 1e-6)
    }
  }

  @Test func whatIsNotShownIsSaid() throws {
    func note(_ figure: Figure) throws -> String {
      try figure.drawn(.png, scale: 1, theme: .light).texts.filter { $0.role == .note }.map(\.string).joined()
    }
    let line = Panel(x: .linear(), y: .log(), marks: [.line([0, 1, 2, 3, .nan], [1, -1, 0, 4, 4])])
    #expect(
      try note(Figure(note: "Mine.", panels: [line]))
        == "Mine. 3 values are not finite, or not above 0 on a logarithmic axis, and are not drawn.")
    #expect(try note(Figure(panels: [Panel(marks: [.points([0, 1], [0, 1])])])) == "")
    #expect(
      try note(Figure(panels: [Panel(marks: [.heatmap([0, .nan], rows: 1, columns: 2)])])) == "1 value is not finite, and is not drawn.")
    let image = try scene(0)
    let all = [Double](repeating: 1, count: 9)
    #expect(
      try note(Figure(panels: [Panel(marks: [.thumbnails(all, all, [RGBImage](repeating: image, count: 9))])]))
        == "1 of 9 pictures are shown; the others would cover them and are dots.")
  }
}
