import Foundation

/// Tree, flower and mushroom.
extension Canvas {
  func drawTree(_ inks: Inks) {
    let bark = Ink(0.48, 0.31, 0.20)
    polygon((-0.14, 0.2), (0.14, 0.2), (0.2, 1), (-0.2, 1))
    fill(bark, line: bark.mixed(.black, 0.4))
    blob(
      [(-0.42, 0.02, 0.43), (0.42, 0.02, 0.43), (0, -0.12, 0.5), (-0.22, -0.48, 0.4), (0.24, -0.48, 0.4)], inks.body, line: inks.line)
    ellipse(-0.2, -0.5, 0.16, 0.13)
    fill(inks.light)
  }

  func drawFlower(_ inks: Inks) {
    let leaf = Ink(0.20, 0.52, 0.24)
    move(0, 0)
    line(0, 1)
    stroke(leaf, 1.8)
    move(0, 0.85)
    curve(0.1, 0.45, 0.4, 0.4, 0.55, 0.4)
    curve(0.5, 0.7, 0.3, 0.85, 0, 0.85)
    close()
    fill(leaf)
    let petals = (0..<6).map { k -> (x: Double, y: Double, r: Double) in
      let angle = Double(k) * .pi / 3
      return (0.44 * cos(angle), -0.3 + 0.44 * sin(angle), 0.27)
    }
    blob(petals, inks.body, line: inks.line)
    // Yellow in the middle, but not between yellow petals.
    let body = inks.body
    let isYellow = max(abs(body.red - 0.99), abs(body.green - 0.85), abs(body.blue - 0.2)) <= 0.2
    ellipse(0, -0.3, 0.26, 0.26)
    fill(isYellow ? Ink(0.60, 0.36, 0.18) : Ink(0.98, 0.85, 0.25))
  }

  func drawMushroom(_ inks: Inks) {
    move(-0.3, 0)
    line(0.3, 0)
    curve(0.26, 0.4, 0.36, 0.7, 0.42, 0.95)
    line(-0.42, 0.95)
    curve(-0.36, 0.7, -0.26, 0.4, -0.3, 0)
    close()
    fill(Ink(0.97, 0.91, 0.79), line: Ink(0.62, 0.52, 0.40))
    move(-0.98, 0.12)
    curve(-0.95, -1.18, 0.95, -1.18, 0.98, 0.12)
    curve(0.5, 0.3, -0.5, 0.3, -0.98, 0.12)
    close()
    fill(inks.body, line: inks.line)
    for (x, y, r) in [(-0.45, -0.2, 0.17), (0.08, -0.5, 0.19), (0.5, -0.1, 0.15)] {
      ellipse(x, y, r, 0.9 * r)
      fill(inks.isWhite ? Ink(0.74, 0.78, 0.86) : .white)
    }
  }
}
