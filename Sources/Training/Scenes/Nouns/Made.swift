/// House, boat, balloon and car.
extension Canvas {
  func drawHouse(_ inks: Inks) {
    rectangle(-0.72, -0.12, 0.72, 0.95)
    fill(inks.body, line: inks.line)
    polygon((-1, -0.1), (0, -0.98), (1, -0.1))
    fill(inks.dark, line: inks.line)
    rectangle(-0.5, 0.3, -0.05, 0.95)
    fill(Ink(0.36, 0.24, 0.18))
    rectangle(0.16, 0.2, 0.54, 0.56)
    fill(Ink(1, 0.95, 0.62), line: inks.line, width: 0.8)
  }

  func drawBoat(_ inks: Inks) {
    move(0, 0.3)
    line(0, -0.95)
    stroke(Ink(0.42, 0.28, 0.2), 1.6)
    polygon((0.06, -0.9), (0.78, 0.2), (0.06, 0.2))
    fill(inks.light, line: inks.line)
    polygon((-0.08, -0.6), (-0.58, 0.2), (-0.08, 0.2))
    fill(inks.light, line: inks.line)
    move(-0.98, 0.36)
    line(0.98, 0.36)
    curve(0.85, 0.7, 0.7, 0.88, 0.5, 0.9)
    line(-0.5, 0.9)
    curve(-0.7, 0.88, -0.85, 0.7, -0.98, 0.36)
    close()
    fill(inks.body, line: inks.line)
  }

  func drawBalloon(_ inks: Inks) {
    move(0, 0.45)
    curve(0.25, 0.65, -0.25, 0.8, 0.04, 1)
    stroke(Ink(0.45, 0.45, 0.5), 1.1)
    polygon((0, 0.36), (0.13, 0.56), (-0.13, 0.56))
    fill(inks.dark, line: inks.line)
    move(0, 0.42)
    curve(-0.45, 0.2, -0.72, -0.1, -0.72, -0.38)
    curve(-0.72, -1.18, 0.72, -1.18, 0.72, -0.38)
    curve(0.72, -0.1, 0.45, 0.2, 0, 0.42)
    close()
    fill(inks.body, line: inks.line)
    ellipse(-0.3, -0.55, 0.11, 0.21, turned: 0.5)
    fill(inks.body.mixed(.white, 0.75))
  }

  func drawCar(_ inks: Inks) {
    let glass = Ink(0.80, 0.92, 0.98)
    polygon((-0.62, 0.02), (-0.4, -0.55), (0.36, -0.55), (0.66, 0.02))
    fill(inks.body, line: inks.line)
    polygon((-0.46, 0), (-0.3, -0.4), (-0.04, -0.4), (-0.04, 0))
    fill(glass)
    polygon((0.08, 0), (0.08, -0.4), (0.28, -0.4), (0.5, 0))
    fill(glass)
    move(-1, 0.45)
    line(-1, 0.12)
    curve(-1, 0, -0.9, 0, -0.8, 0)
    line(0.72, 0)
    curve(0.95, 0.04, 1, 0.12, 1, 0.26)
    line(1, 0.45)
    close()
    fill(inks.body, line: inks.line)
    for x in [-0.52, 0.52] {
      ellipse(x, 0.45, 0.25, 0.25)
      fill(Ink(0.18, 0.18, 0.22))
      ellipse(x, 0.45, 0.1, 0.1)
      fill(Ink(0.8, 0.8, 0.84))
    }
  }
}
