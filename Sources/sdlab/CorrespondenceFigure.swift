import Analysis
import Engine
import Plots

/// Both pictures with numbered places, and for each place asked about its similarity to the second picture.
struct CorrespondenceFigure {
  let pictures: [Picture]
  let names: [String]
  let matches: [Correspondence.Match]
  /// `[height, width]` of the second picture, one for each match; empty when no place was asked about.
  let maps: [[Float]]
  let about: String
  /// Share of the first picture's places that have a mutual partner.
  let share: Double
  /// Numbers stand on a disc of the theme's ground, since text has a rim of that colour.
  let dark: Bool

  func figure() throws -> Figure {
    let images = try pictures.map { try RGBImage($0) }
    var panels = [
      Panel.picture(names[0], marks: [.image(images[0])] + numbers(matches.map(\.from), pictures[0])),
      Panel.picture(names[1], marks: [.image(images[1])] + numbers(matches.map(\.to), pictures[1])),
    ]
    let lowest = maps.joined().min() ?? 0
    let scale = ColourScale(.inferno, "cosine similarity", domain: Double(min(lowest, 0.99))...1)
    for (i, (match, map)) in zip(matches, maps).enumerated() {
      panels.append(
        .picture(
          "place \(i + 1): \(decimal(match.similarity, 3))",
          marks: [
            .overlay(images[1], map.map(Double.init), rows: pictures[1].height, columns: pictures[1].width, colours: scale, opacity: 0.75)
          ] + numbers([match.to], pictures[1], from: i)))
    }
    let columns = maps.isEmpty ? 2 : (panels.count + (panels.count + 4) / 5 - 1) / ((panels.count + 4) / 5)
    let kind =
      maps.isEmpty
      ? "places that are each other's most similar, one of each square; \(decimal(100 * share, 1)) % of all places have such a partner"
      : "similarity of each place of the first picture to the second, one scale"
    return Figure(
      title: "\(names[0]) → \(names[1])", subtitle: "\(kind); \(about)",
      note:
        "The most similar place need not be the right one: every place is found somewhere. One that leads back to where it began deserves more trust.",
      columns: columns, width: maps.isEmpty ? 640 : Double(columns) * 190, commonColours: !maps.isEmpty, panels: panels)
  }

  /// A dot with a light rim and its number beside it, on the side where there is room.
  private func numbers(_ places: [Correspondence.Pixel], _ picture: Picture, from first: Int = 0) -> [Mark] {
    let (x, y) = (places.map { Double($0.x) + 0.5 }, places.map { Double($0.y) + 0.5 })
    let labels = places.indices.map { "\($0 + first + 1)" }
    let (ground, ink) = dark ? (Colour(0x15181b), Colour(0xffffff)) : (Colour(0xffffff), Colour(0))
    return [
      .points(x, y, colour: .fixed(ink), radius: 8.5, opacity: 0.85), .points(x, y, colour: .fixed(ground), radius: 7.2, opacity: 1),
      .text(x, y, labels, colour: .fixed(ink), size: 0.72),
    ]
  }
}
