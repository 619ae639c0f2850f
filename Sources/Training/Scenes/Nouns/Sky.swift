/// Moon and cloud.
extension Canvas {
  func drawMoon(_ inks: Inks) {
    let degree = Double.pi / 180
    // The outer edge the long way round, then back along the inner one.
    arc(0, 0, 0.95, from: -50 * degree, to: (50 - 360) * degree)
    arc(0.42, 0, 0.75, from: 76 * degree, to: (360 - 76) * degree)
    close()
    fill(inks.body, line: inks.line)
  }

  func drawCloud(_ inks: Inks) {
    move(-0.55, 0.53)
    line(0.55, 0.53)
    stroke(inks.line, 2 * Canvas.outline)
    blob([(-0.55, 0.15, 0.38), (0.55, 0.15, 0.38), (-0.18, -0.16, 0.46), (0.28, -0.08, 0.42)], inks.body, line: inks.line)
    rectangle(-0.55, 0.05, 0.55, 0.53)
    fill(inks.body)
  }
}
