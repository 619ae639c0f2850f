import Foundation

/// An axis set in type: which places are labelled, with what, and how much room that takes. Labels never touch each other.
struct AxisLayout {
  let axis: Axis
  let scale: Scale
  private(set) var labels: [(at: Double, label: Canvas.Label)] = []
  private(set) var minor: [Double] = []
  private(set) var name: Canvas.Label?
  /// Labels rise to the right, because they would touch lying.
  private(set) var slanted = false
  /// Points that the labels take across the axis, their distance included; 0 without.
  private(set) var depth = 0.0

  static let angle = 40 * Double.pi / 180
  static func gap(_ em: Double) -> Double { em * 0.5 }

  /// - Parameters:
  ///   - sharesLine: the names of both axes stand over the plot, side by side.
  ///   - cell: the room of the whole panel.
  init(_ axis: Axis, _ scale: Scale, horizontal: Bool, sharesLine: Bool, cell: Size, _ canvas: Canvas) throws {
    self.axis = axis
    self.scale = scale
    guard axis.visible else { return }
    let em = canvas.em
    var exponent = 0
    if case .categorical(let names) = axis.kind {
      if horizontal { try setNames(names, canvas) } else { try stackNames(names, cell, canvas) }
    } else {
      exponent = try setNumbers(horizontal: horizontal, cell, canvas)
    }
    if horizontal, !slanted {
      depth = labels.map(\.label.size.height).max().map { $0 + Self.gap(em) } ?? 0
    } else if slanted {
      let most = labels.map { $0.label.size.width * sin(Self.angle) + $0.label.size.height * cos(Self.angle) }.max()
      depth = (most ?? 0) + Self.gap(em)
    } else {
      depth = labels.map(\.label.size.width).max().map { $0 + Self.gap(em) * 1.2 } ?? 0
    }
    let caption = axis.caption(exponent: exponent)
    if !caption.isEmpty {
      // Arrows say which way values grow; names of categories have no such way.
      let isCategorical = if case .categorical = axis.kind { true } else { false }
      let text =
        isCategorical ? caption : horizontal ? (axis.reversed ? "← \(caption)" : "\(caption) →") : "\(axis.reversed ? "↓" : "↑") \(caption)"
      name = try canvas.label(text, canvas.theme.quietText, width: cell.width * (sharesLine ? 0.47 : 1), lines: 2)
    }
  }

  private var length: Double { abs(scale.end - scale.start) }

  private mutating func setNumbers(horizontal: Bool, _ cell: Size, _ canvas: Canvas) throws -> Int {
    let em = canvas.em
    let most = max(2, Int(length / (horizontal ? em * 6.5 : em * 3.6)) + 1)
    var found = Ticks()
    func set(_ count: Int) throws {
      found = scale.ticks(count: count)
      labels = try zip(found.values, found.labels).prefix(200).compactMap { value, text in
        try scale(value).map { ($0, try canvas.label(text, width: cell.width * 0.4)) }
      }
    }
    for count in stride(from: most, through: 2, by: -1) {
      try set(count)
      if labels.count >= 2, fits(horizontal: horizontal, em) { break }
    }
    if labels.count < 2 || !fits(horizontal: horizontal, em) {
      // Long numbers: those of dense ticks that do not touch the one before.
      try set(max(most, 6))
      var kept: [(at: Double, label: Canvas.Label)] = []
      let all = labels.sorted { $0.at < $1.at }
      for candidate in all {
        labels = kept.suffix(1) + [candidate]
        if fits(horizontal: horizontal, em) { kept.append(candidate) }
      }
      labels = kept
    }
    minor = found.minor.compactMap { scale($0) }
    return found.exponent
  }

  private func fits(horizontal: Bool, _ em: Double) -> Bool {
    let sorted = labels.sorted { $0.at < $1.at }
    return zip(sorted, sorted.dropFirst()).allSatisfy { a, b in
      let sum = horizontal ? a.label.size.width + b.label.size.width : a.label.size.height + b.label.size.height
      return b.at - a.at >= sum / 2 + (horizontal ? em * 0.7 : em * 0.15)
    }
  }

  /// Beside a y axis: one line each; where lines are too dense, every k-th.
  private mutating func stackNames(_ names: [String], _ cell: Size, _ canvas: Canvas) throws {
    let band = length / Double(max(names.count, 1))
    let line = try canvas.label("Äg").size.height
    let step = max(1, Int((line / max(band, 1e-9)).rounded(.up)))
    for i in stride(from: 0, to: names.count, by: step) {
      guard let at = scale(Double(i)) else { continue }
      labels.append((at, try canvas.label(names[i], width: cell.width * 0.36)))
    }
  }

  /// Under an x axis: lying, in up to three lines, or slanted; numbers rather every k-th than slanted.
  private mutating func setNames(_ names: [String], _ canvas: Canvas) throws {
    let em = canvas.em
    let band = length / Double(max(names.count, 1))
    func set(every step: Int, width: Double = 4000, lines: Int = 1, _ alignment: Text.Alignment = .left) throws -> [(Double, Canvas.Label)]
    {
      try stride(from: 0, to: names.count, by: step).compactMap { i in
        try scale(Double(i)).map { ($0, try canvas.label(names[i], width: width, lines: lines, alignment: alignment)) }
      }
    }
    let densest = max(1, Int((em * 0.7 / max(band, 1e-9)).rounded(.up)))
    let lying = try set(every: densest)
    let widest = lying.map(\.1.size.width).max() ?? 0
    let areNumbers = names.allSatisfy { Double($0) != nil }
    let step = Int(((widest + em * 0.5) / max(band, 1e-9)).rounded(.up))
    if step <= 1 || areNumbers {
      labels = try set(every: max(step, 1))
      return
    }
    let words = names.count <= 200 ? names.flatMap { $0.split(separator: " ") } : []
    let room = band - em * 0.5
    if !words.isEmpty, try words.allSatisfy({ try canvas.label(String($0)).size.width <= room }) {
      let wrapped = try set(every: 1, width: room, lines: 3, .centre)
      if wrapped.allSatisfy({ !$0.1.text.isCut }) {
        labels = wrapped
        return
      }
    }
    // Over a plot there is no room for them.
    if axis.onTop {
      labels = try set(every: step < 3 ? 1 : densest, width: max(room, em), lines: 3, .centre)
      if !fits(horizontal: true, em * 0.5) { labels = try set(every: step) }
      return
    }
    slanted = true
    let line = (lying.first?.1.size.height ?? em) / sin(Self.angle)
    labels = try set(every: max(1, Int((line / max(band, 1e-9)).rounded(.up))), width: em * 11)
  }

  /// How far labels reach beyond the two ends of an x axis, in points.
  var overhang: (left: Double, right: Double) {
    let (from, to) = (min(scale.start, scale.end), max(scale.start, scale.end))
    var out = (left: 0.0, right: 0.0)
    for (at, label) in labels {
      let half = slanted ? label.size.height / 2 * sin(Self.angle) : label.size.width / 2
      let reach = slanted ? label.size.width * cos(Self.angle) + half : half
      out.left = max(out.left, reach - (at - from))
      out.right = max(out.right, half - (to - at))
    }
    return out
  }
}
