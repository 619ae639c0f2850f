extension Scene {
  /// Scene `index` of the endless series `seed`: a function of the two numbers, of nothing else.
  ///
  /// - Parameters:
  ///   - objects: 1 or 2; nil draws it (one in 60 %).
  ///   - heldOut: which combinations of noun and colour may appear.
  public static func sample(seed: UInt64, index: Int, objects: Int? = nil, heldOut: HeldOut.Rule = .never) -> Scene {
    precondition(index >= 0, "index \(index)")
    var random = NumPyRandom(seed: seed, UInt64(index))
    return Scene(&random, objects: objects, heldOut: heldOut)
  }

  /// A scene with these nouns and colours, all else drawn.
  public static func sample(seed: UInt64, index: Int, showing pairs: [(noun: Noun, colour: ObjectColour)]) -> Scene {
    precondition(index >= 0 && (1...2).contains(pairs.count), "index \(index), \(pairs.count) objects")
    var random = NumPyRandom(seed: seed, UInt64(index))
    return Scene(&random, pairs: { _ in pairs.map { Pair(noun: $0.noun, colour: $0.colour) } })
  }

  /// A noun and its colour.
  fileprivate struct Pair: Equatable {
    let noun: Noun
    let colour: ObjectColour
  }

  init(_ random: inout NumPyRandom, objects: Int?, heldOut: HeldOut.Rule) {
    precondition(objects.map { (1...2).contains($0) } ?? true, "\(objects ?? 0) objects")
    self.init(&random) { random in
      let count = objects ?? (random.isTrue(0.6) ? 1 : 2)
      var pairs: [Pair] = []
      while pairs.count < count {
        let pair = Pair.draw(&random, heldOut)
        // Two of the same noun are fine, two of the same noun and colour could not be told apart.
        if pairs.first != pair { pairs.append(pair) }
      }
      return pairs
    }
  }

  private init(_ random: inout NumPyRandom, pairs: (inout NumPyRandom) -> [Pair]) {
    setting = random.pick([
      (Setting.meadow, 0.16), (.night, 0.15), (.sea, 0.16), (.snow, 0.15), (.desert, 0.13), (.plain, 0.25),
    ])
    plain = setting == .plain ? random.pick(PlainColour.allCases) : nil
    horizon = random.uniform(35, 46)
    bgseed = UInt64(random.below(1 << 30))
    let pairs = pairs(&random)
    objects = pairs.map { pair in
      let size = random.pick([(ObjectSize.small, 0.25), (.medium, 0.5), (.large, 0.25)])
      let radii = size.radii(alone: pairs.count == 1)
      return Object(
        noun: pair.noun, colour: pair.colour, size: size, r: random.uniform(radii.lowerBound, radii.upperBound),
        rot: random.uniform(-0.13, 0.13), flip: random.isTrue(0.5), jit: (0..<3).map { _ in random.uniform(-0.03, 0.03) }, x: 0, y: 0)
    }
    place(&random)
  }
}

extension Scene.Pair {
  fileprivate static func draw(_ random: inout NumPyRandom, _ heldOut: HeldOut.Rule) -> Self {
    while true {
      let noun = random.pick(Noun.allCases)
      switch heldOut {
      case .only: return Self(noun: noun, colour: HeldOut.colour(of: noun))
      case .allowed: return Self(noun: noun, colour: random.pick(ObjectColour.allCases))
      case .never:
        let colour = random.pick(ObjectColour.allCases)
        if !HeldOut.contains(noun, colour) { return Self(noun: noun, colour: colour) }
      }
    }
  }
}
