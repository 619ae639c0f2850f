/// The inks of an object.
struct Inks {
  let body: Ink
  let line: Ink
  /// Parts in the shade and parts in the light.
  let dark: Ink
  let light: Ink
  /// White things need other shades to be seen.
  let isWhite: Bool

  init(_ colour: ObjectColour, jitter: [Double]) {
    let base = colour.ink
    isWhite = colour == .white
    if isWhite {
      body = base
      line = Ink(0.50, 0.55, 0.66)
      dark = Ink(0.78, 0.82, 0.88)
      light = Ink(0.93, 0.95, 0.98)
      return
    }
    func shifted(_ value: Double, _ i: Int) -> Double { min(max(value + (i < jitter.count ? jitter[i] : 0), 0), 1) }
    body = Ink(shifted(base.red, 0), shifted(base.green, 1), shifted(base.blue, 2))
    line = body.mixed(Ink(0.05, 0.03, 0.10), 0.52)
    dark = body.mixed(.black, 0.28)
    light = body.mixed(.white, 0.55)
  }
}

extension Canvas {
  /// A noun of radius 1 around the origin of the frame.
  func draw(_ noun: Noun, _ inks: Inks) {
    switch noun {
    case .circle: drawCircle(inks)
    case .square: drawSquare(inks)
    case .triangle: drawTriangle(inks)
    case .star: drawStar(inks)
    case .heart: drawHeart(inks)
    case .tree: drawTree(inks)
    case .house: drawHouse(inks)
    case .flower: drawFlower(inks)
    case .boat: drawBoat(inks)
    case .fish: drawFish(inks)
    case .balloon: drawBalloon(inks)
    case .mushroom: drawMushroom(inks)
    case .car: drawCar(inks)
    case .moon: drawMoon(inks)
    case .cloud: drawCloud(inks)
    case .cat: drawCat(inks)
    }
  }
}
