import Foundation

/// Circle, square, triangle, star and heart.
extension Canvas {
  func drawCircle(_ inks: Inks) {
    circle(0, 0, 0.92)
    fill(inks.body, line: inks.line)
  }

  func drawSquare(_ inks: Inks) {
    rectangle(-0.84, -0.84, 0.84, 0.84)
    fill(inks.body, line: inks.line)
  }

  func drawTriangle(_ inks: Inks) {
    polygon((0, -0.95), (0.98, 0.78), (-0.98, 0.78))
    fill(inks.body, line: inks.line)
  }

  func drawStar(_ inks: Inks) {
    polygon(
      (0..<10).map { k in
        let r = k % 2 == 0 ? 1.02 : 0.46
        let angle = (Double(k) / 5 - 0.5) * .pi
        return (r * cos(angle), r * sin(angle) + 0.05)
      })
    fill(inks.body, line: inks.line)
  }

  func drawHeart(_ inks: Inks) {
    move(0, 0.92)
    curve(-0.55, 0.5, -1, 0.15, -1, -0.33)
    curve(-1, -0.98, -0.2, -1.02, 0, -0.42)
    curve(0.2, -1.02, 1, -0.98, 1, -0.33)
    curve(1, 0.15, 0.55, 0.5, 0, 0.92)
    close()
    fill(inks.body, line: inks.line)
  }
}
