extension Report {
  /// Pictures in rows and columns whose labels stay in view; several modes one beneath the other (lerp, slerp, adaptive).
  public struct ImageGrid: Part {
    public struct Cell: Sendable {
      public var picture: Picture
      /// Such as “t 0.25” or a score; may be empty.
      public var value: String
      /// Wall time in seconds; nil when it was not measured.
      public var seconds: Double?

      public init(_ picture: Picture, value: String = "", seconds: Double? = nil) {
        self.picture = picture
        self.value = value
        self.seconds = seconds
      }
    }

    public struct Mode: Sendable {
      /// Empty when there is only one.
      public var title: String
      public var note: String
      public var columnLabels: [String]
      public var rowLabels: [String]
      /// A row of cells for each row label, a cell for each column label; nil leaves a place empty.
      public var rows: [[Cell?]]
      /// The distance between neighbours, say.
      public var figure: Figure?

      public init(
        title: String = "", note: String = "", columnLabels: [String], rowLabels: [String], rows: [[Cell?]], figure: Figure? = nil
      ) {
        self.title = title
        self.note = note
        self.columnLabels = columnLabels
        self.rowLabels = rowLabels
        self.rows = rows
        self.figure = figure
      }
    }

    /// Names the grid for those who hear it.
    public var title: String
    /// What the columns and the rows are.
    public var columnAxis: String
    public var rowAxis: String
    public var modes: [Mode]

    public init(title: String, columnAxis: String, rowAxis: String, modes: [Mode]) {
      self.title = title
      self.columnAxis = columnAxis
      self.rowAxis = rowAxis
      self.modes = modes
    }

    public var template: String { "imagegrid" }

    public func content(_ scope: inout Scope) throws -> [String: Any] {
      var shownModes: [[String: Any]] = []
      for (index, mode) in modes.enumerated() {
        guard mode.rows.count == mode.rowLabels.count, mode.rows.allSatisfy({ $0.count == mode.columnLabels.count }) else {
          throw PlotError(
            "report: the grid “\(title)” has labels for \(mode.rowLabels.count) rows of \(mode.columnLabels.count) pictures, "
              + "but \(mode.rows.count) rows of \(mode.rows.map { String($0.count) }.joined(separator: ", "))")
        }
        shownModes.append([
          "gridTitle": title, "modeTitle": shown(mode.title), "modeNote": shown(mode.note),
          "region": mode.title.isEmpty ? title : "\(title), \(mode.title)",
          "figure": shown(try mode.figure.map { try scope.nested($0, "f\(index + 1)") }),
          "columns": mode.columnLabels.map { ["column": $0] },
          "rows": zip(mode.rowLabels, mode.rows).map { label, row in
            ["rowLabel": label, "cells": row.enumerated().map { cell($1, row: label, column: mode.columnLabels[$0]) }] as [String: Any]
          },
        ])
      }
      return ["modes": shownModes, "columnAxis": shown(columnAxis), "rowAxis": shown(rowAxis)]
    }

    private func cell(_ cell: Cell?, row: String, column: String) -> [String: Any] {
      guard let cell else { return ["picture": false, "empty": true] }
      let time = cell.seconds.map { Reproduction.seconds($0) }
      return [
        "picture": cell.picture.content, "empty": false, "cellValue": shown(cell.value), "time": shown(time),
        "place": [row, column, cell.value].filter { !$0.isEmpty }.joined(separator: " · "),
      ]
    }
  }
}
