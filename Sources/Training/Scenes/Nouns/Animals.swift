/// Fish and cat.
extension Canvas {
  func drawFish(_ inks: Inks) {
    polygon((-0.42, 0), (-0.98, -0.5), (-0.86, 0), (-0.98, 0.5))
    fill(inks.dark, line: inks.line)
    move(-0.2, -0.45)
    curve(0, -0.85, 0.25, -0.8, 0.4, -0.45)
    close()
    fill(inks.dark, line: inks.line)
    ellipse(0.2, 0, 0.76, 0.52)
    fill(inks.body, line: inks.line)
    ellipse(0.58, -0.12, 0.15, 0.15)
    fill(inks.isWhite ? Ink(0.85, 0.9, 1) : .white)
    ellipse(0.6, -0.12, 0.08, 0.08)
    fill(.dark)
  }

  func drawCat(_ inks: Inks) {
    for side in [-1.0, 1] {
      polygon((side * 0.82, -0.1), (side * 0.78, -0.98), (side * 0.18, -0.5))
      fill(inks.body, line: inks.line)
      polygon((side * 0.68, -0.4), (side * 0.68, -0.76), (side * 0.38, -0.52))
      fill(inks.body.mixed(Ink(0.98, 0.55, 0.62), 0.6))
    }
    ellipse(0, 0.16, 0.9, 0.76)
    fill(inks.body, line: inks.line)
    for side in [-1.0, 1] {
      ellipse(side * 0.36, 0.02, 0.13, 0.19)
      fill(.dark)
      move(side * 0.5, 0.42)
      line(side * 1.02, 0.32)
      stroke(inks.line, 0.9)
      move(side * 0.5, 0.5)
      line(side, 0.58)
      stroke(inks.line, 0.9)
    }
    polygon((-0.13, 0.3), (0.13, 0.3), (0, 0.45))
    fill(Ink(0.93, 0.42, 0.50))
  }
}
