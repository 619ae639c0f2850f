import Foundation

/// The colour of a mark.
public enum Ink: Sendable, Equatable {
  /// The next colour for categories that the panel has not used yet.
  case automatic
  /// The i-th colour for categories (from 0), the same in all panels.
  case category(Int)
  /// As quiet text.
  case quiet
  /// As text.
  case strong
  /// As it is, on any background.
  case fixed(Colour)
}

extension Colour {
  /// Okabe and Ito, "Color Universal Design" (2008), told apart by most readers; the strongest on white first. The last is the text's own
  /// colour instead of black.
  static let okabeIto: [UInt32] = [0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9, 0xf0e442]

  /// The same hue, mixed with black or white until its contrast with `background` is at least `ratio`.
  public func readable(on background: Colour, ratio: Double = 3) -> Colour {
    if contrast(with: background) >= ratio { return self }
    let black = Colour(0)
    let white = Colour(0xffffff)
    let goal = black.contrast(with: background) > white.contrast(with: background) ? black : white
    var (near, far) = (0.0, 1.0)
    for _ in 0..<24 {
      let middle = (near + far) / 2
      if mixed(with: goal, middle).contrast(with: background) >= ratio { far = middle } else { near = middle }
    }
    return mixed(with: goal, far)
  }

  func mixed(with other: Colour, _ part: Double) -> Colour {
    Colour(
      red: red + (other.red - red) * part, green: green + (other.green - green) * part, blue: blue + (other.blue - blue) * part,
      alpha: alpha + (other.alpha - alpha) * part)
  }

  func with(alpha: Double) -> Colour { Colour(red: red, green: green, blue: blue, alpha: alpha) }
}

extension Theme {
  /// Colours for categories; the ninth is the first again (marks then change their shape or dashes). Each has a contrast of at least 3:1 with
  /// the background.
  public var categories: [Colour] {
    // Light on dark looks thinner than it measures.
    let ratio = Colour(0xffffff).contrast(with: background) > Colour(0).contrast(with: background) ? 4.5 : 3
    return Colour.okabeIto.map { Colour($0).readable(on: background, ratio: ratio) } + [text]
  }

  func category(_ i: Int) -> Colour {
    let colours = categories
    return colours[((i % colours.count) + colours.count) % colours.count]
  }

  func colour(_ ink: Ink, automatic: Int) -> Colour {
    switch ink {
    case .automatic: category(automatic)
    case .category(let i): category(i)
    case .quiet: quietText
    case .strong: text
    case .fixed(let colour): colour
    }
  }
}
