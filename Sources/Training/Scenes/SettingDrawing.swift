/// Backgrounds, in world units. What is random in them follows from the scene's `bgseed`; numbers are drawn in the order in which they stand here.
extension Canvas {
  func draw(_ scene: Scene) {
    var random = NumPyRandom(seed: scene.bgseed)
    let h = scene.horizon
    switch scene.setting {
    case .plain: paint(scene.plain?.ink ?? .white)
    case .meadow: drawMeadow(h, &random)
    case .night: drawNight(h, &random)
    case .sea: drawSea(h, &random)
    case .snow: drawSnow(h, &random)
    case .desert: drawDesert(h, &random)
    }
  }

  /// The ground below a curve through the heights `left` and `right`, pulled towards `middle`.
  private func hill(_ left: Double, _ middle: Double, _ right: Double, _ ink: Ink) {
    move(0, left)
    curve(20, middle, 44, middle, Scene.side, right)
    line(Scene.side, Scene.side)
    line(0, Scene.side)
    close()
    fill(ink)
  }

  /// The specification's dots go a little further round than once, which makes their edges a little darker; so do ours.
  private func dot(_ x: Double, _ y: Double, _ r: Double, _ ink: Ink) {
    arc(x, y, r, from: 0, to: 6.3)
    fill(ink)
  }

  private func drawMeadow(_ h: Double, _ random: inout NumPyRandom) {
    paint(Ink(0.745, 0.900, 0.980))
    hill(h - 1, h - 8 + random.uniform(-2, 2), h + random.uniform(-2, 4), Ink(0.690, 0.860, 0.500))
    hill(h + 6, h + 2 + random.uniform(-2, 4), h + 5 + random.uniform(-3, 3), Ink(0.560, 0.780, 0.400))
  }

  private func drawNight(_ h: Double, _ random: inout NumPyRandom) {
    paint(Ink(0.105, 0.130, 0.320))
    for _ in 0..<9 {
      let (x, y) = (random.uniform(2, 62), random.uniform(2, h - 6))
      dot(x, y, random.pick([0.6, 0.85]), Ink(0.98, 0.96, 0.80))
    }
    hill(h + 2, h - 4 + random.uniform(-2, 2), h + random.uniform(-2, 4), Ink(0.165, 0.235, 0.400))
    hill(h + 9, h + 6 + random.uniform(-2, 3), h + 8 + random.uniform(-3, 3), Ink(0.130, 0.195, 0.330))
  }

  private func drawSea(_ h: Double, _ random: inout NumPyRandom) {
    paint(Ink(0.800, 0.930, 0.985))
    rectangle(0, h - 6, Scene.side, Scene.side)
    fill(Ink(0.270, 0.660, 0.840))
    for _ in 0..<4 {
      let (x, y) = (random.uniform(2, 56), random.uniform(h - 3, h + 8))
      move(x, y)
      curve(x + 2, y - 1.5, x + 3, y - 1.5, x + 5, y)
      stroke(Ink(0.520, 0.800, 0.920), 1, isBlunt: true)
    }
    // A line of foam, and the beach below it.
    let shore = h + 13 + random.uniform(-1, 2)
    hill(shore - 0.8, shore - 3.2, shore + 0.8, Ink(0.93, 0.97, 0.98))
    hill(shore + 0.8, shore - 1.5, shore + 2.4, Ink(0.965, 0.865, 0.650))
  }

  private func drawSnow(_ h: Double, _ random: inout NumPyRandom) {
    paint(Ink(0.730, 0.830, 0.920))
    hill(h, h - 6 + random.uniform(-2, 2), h + 1, Ink(0.880, 0.925, 0.965))
    hill(h + 7, h + 3, h + 6 + random.uniform(-3, 3), Ink(0.960, 0.975, 0.990))
    for _ in 0..<9 {
      let (x, y) = (random.uniform(2, 62), random.uniform(2, h - 4))
      dot(x, y, 0.95, Ink(0.985, 0.99, 1))
    }
  }

  private func drawDesert(_ h: Double, _ random: inout NumPyRandom) {
    paint(Ink(0.990, 0.880, 0.690))
    hill(h, h - 9 + random.uniform(-2, 2), h + 3 + random.uniform(-2, 2), Ink(0.930, 0.720, 0.430))
    hill(h + 10, h + 8, h + 2 + random.uniform(-2, 3), Ink(0.860, 0.610, 0.330))
  }
}
