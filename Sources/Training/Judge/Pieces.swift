/// The things that the cells of one noun make up.
///
/// Cells that share a side belong to one piece, but for two things of one noun that touch and differ in colour. Pieces of one colour with a single cell between them are one thing: a
/// boat's sail and hull, whose mast is too thin to be seen.
enum Pieces {
  /// Two colours in a piece are two things when each has this share of its cells and
  private static let smallestShare = 0.25
  /// lies together in this share of them: shades are scattered, and more than two.
  private static let largestPart = 0.9
  /// Rows and columns to the furthest cell that still belongs to the same thing.
  private static let reach = 2

  /// - Parameters:
  ///   - own: the noun's cells, of a picture with `width` cells a row.
  ///   - colours: logits `[colours][cells]`, without the background.
  ///   - smallest: of a thing, in cells; smaller ones are left out.
  /// - Returns: how many cells each thing has, the largest first.
  static func sizes(of own: [Int], colours: [[Float]], width: Int, smallest: Double) -> [Int] {
    let all = Array(colours.indices)
    let pieces = connected(own, width: width, reach: 1).flatMap { parted($0, colours, width: width) }
    var byColour: [Int: [Int]] = [:]
    for piece in pieces { byColour[commonest(counts(all, colours, piece)), default: []] += piece }
    return byColour.values.flatMap { connected($0, width: width, reach: reach).map(\.count) }
      .filter { Double($0) >= smallest }.sorted(by: >)
  }

  /// One piece, or two of different colours.
  private static func parted(_ piece: [Int], _ colours: [[Float]], width: Int) -> [[Int]] {
    let all = Array(colours.indices)
    let counts = counts(all, colours, piece)
    let choice = all.filter { Double(counts[$0, default: 0]) >= smallestShare * Double(piece.count) }
    guard choice.count == 2 else { return [piece] }
    let two = choice.map { colour in piece.filter { likeliest(choice, colours, $0) == colour } }
    let areWhole = two.allSatisfy { part in
      let largest = connected(part, width: width, reach: 1).map(\.count).max() ?? 0
      return Double(largest) >= largestPart * Double(part.count)
    }
    return areWhole ? two : [piece]
  }

  private static func likeliest(_ choice: [Int], _ colours: [[Float]], _ cell: Int) -> Int {
    choice.max { colours[$0][cell] < colours[$1][cell] } ?? 0
  }

  /// How many cells are likeliest of each colour.
  private static func counts(_ choice: [Int], _ colours: [[Float]], _ cells: [Int]) -> [Int: Int] {
    Dictionary(cells.map { (likeliest(choice, colours, $0), 1) }, uniquingKeysWith: +)
  }

  /// The first of the commonest.
  private static func commonest(_ counts: [Int: Int]) -> Int {
    counts.min { ($1.value, $0.key) < ($0.value, $1.key) }?.key ?? 0
  }

  /// - Parameter reach: rows and columns to the furthest cell that is a neighbour; 1 takes those that share a side.
  private static func connected(_ cells: [Int], width: Int, reach: Int) -> [[Int]] {
    var left = Set(cells)
    return cells.compactMap { start in
      guard left.remove(start) != nil else { return nil }
      var piece = [start]
      var next = 0
      while next < piece.count {
        let (x, y) = (piece[next] % width, piece[next] / width)
        next += 1
        for nearY in y - reach...y + reach {
          for nearX in max(0, x - reach)...min(width - 1, x + reach) where reach > 1 || nearX == x || nearY == y {
            if left.remove(nearY * width + nearX) != nil { piece.append(nearY * width + nearX) }
          }
        }
      }
      return piece
    }
  }
}
