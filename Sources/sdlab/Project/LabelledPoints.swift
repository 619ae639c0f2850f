import Analysis
import Engine
import Foundation

/// Points and where each came from: what `project` maps, colours and exports.
struct LabelledPoints {
  /// One property of all points: `step`, `prompt`, `file`.
  struct Column {
    let name: String
    /// One text a point.
    var values: [String]
    /// Different values in the order of their first points.
    var distinct: [String] {
      var seen: Set<String> = []
      return values.filter { seen.insert($0).inserted }
    }
  }

  let points: Points
  var columns: [Column]
  /// One a point where all points belong to pictures.
  let pictures: [Picture]?

  /// Points of several sources, stacked: they share one map.
  /// - Throws: `InputError` when they have different numbers of coordinates.
  static func stacked(_ parts: [(name: String, part: LabelledPoints)]) throws -> LabelledPoints {
    guard let first = parts.first else { throw InputError(.usage, "expected a file with a matrix, or a run") }
    for (name, part) in parts where part.points.dimension != first.part.points.dimension {
      throw InputError(
        .badData, "\(name): \(part.points.dimension) coordinates, expected \(first.part.points.dimension) as in \(first.name)")
    }
    if parts.count == 1 { return first.part }
    var names: [String] = []
    for (_, part) in parts { for column in part.columns where !names.contains(column.name) { names.append(column.name) } }
    let columns = names.map { name in
      Column(
        name: name,
        values: parts.flatMap { _, part in
          part.columns.first { $0.name == name }?.values ?? Array(repeating: "", count: part.points.count)
        })
    }
    let pictures = parts.allSatisfy { $0.part.pictures != nil } ? parts.flatMap { $0.part.pictures ?? [] } : nil
    return LabelledPoints(
      points: try Points(
        parts.flatMap(\.part.points.values), count: parts.reduce(0) { $0 + $1.part.points.count }, dimension: first.part.points.dimension),
      columns: columns, pictures: pictures)
  }

  /// The property that colours the figure: the one asked for, else labels, else the first that tells points apart but not every single one.
  func colour(_ asked: String?) throws -> Column? {
    if let asked {
      guard let found = columns.first(where: { $0.name == asked }) else {
        let names = columns.map(\.name)
        let near = EditDistance.nearest(to: asked, among: names, count: 1)
        throw InputError(
          .usage, "--colour: the points have no '\(asked)'",
          hint: (near.first.map { "did you mean \($0)? " } ?? "") + "they have \(names.joined(separator: ", "))")
      }
      return found
    }
    return columns.first { (2..<points.count).contains($0.distinct.count) }
  }
}

extension LabelledPoints {
  /// A matrix of a file.
  init(file argument: String) throws {
    let read = try PointsFile(argument).read()
    points = read
    columns = [
      .init(name: "file", values: Array(repeating: argument, count: read.count)),
      .init(name: "row", values: (0..<read.count).map(String.init)),
    ]
    pictures = nil
  }

  /// Adds a column of labels: a text file with one label a line, or an .npy file with one number a point.
  mutating func add(labels path: String) throws {
    let url = URL(fileURLWithPath: path)
    let labels: [String]
    if url.pathExtension.lowercased() == "npy" {
      let array = try Npy.read(url)
      labels = try array.float32().map { $0 == $0.rounded() && abs($0) < 1e9 ? String(Int($0)) : String($0) }
    } else {
      guard let text = try? String(contentsOf: url, encoding: .utf8) else {
        throw InputError(.missing, "\(path): cannot be read as text", hint: "one label a line, or an .npy file with one number a point")
      }
      var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
      if lines.last == "" { lines.removeLast() }
      labels = lines
    }
    guard labels.count == points.count else {
      throw InputError(.badData, "\(path): \(labels.count) labels, expected \(points.count), one a point")
    }
    columns.insert(.init(name: "label", values: labels), at: 0)
  }
}
