extension Report {
  /// A piece of a paragraph.
  public enum Span: Sendable, ExpressibleByStringLiteral {
    case text(String)
    case strong(String)
    case emphasis(String)
    case code(String)

    public init(stringLiteral value: String) { self = .text(value) }

    var content: [String: Any] {
      switch self {
      case .text(let s): ["text": s]
      case .strong(let s): ["strong": s]
      case .emphasis(let s): ["emphasis": s]
      case .code(let s): ["code": s]
      }
    }
  }

  /// Paragraphs of running text, or a list.
  public struct Prose: Part {
    public var paragraphs: [[Span]]
    /// The paragraphs become points of a list.
    public var list: Bool

    public init(_ paragraphs: [[Span]], list: Bool = false) {
      self.paragraphs = paragraphs
      self.list = list
    }
    public init(_ paragraphs: String..., list: Bool = false) { self.init(paragraphs.map { [.text($0)] }, list: list) }

    public var template: String { "prose" }
    public func content(_ scope: inout Scope) -> [String: Any] {
      ["paragraphs": paragraphs.map { ["spans": $0.map(\.content)] }, "list": list]
    }
  }

  /// A heading between parts of a section.
  public struct Heading: Part {
    public var text: String
    public init(_ text: String) { self.text = text }
    public var template: String { "heading" }
    public func content(_ scope: inout Scope) -> [String: Any] { ["text": text] }
  }

  /// Something to keep in mind, set apart.
  public struct Callout: Part {
    public enum Kind: String, Sendable { case note, warning }
    public var kind: Kind
    public var title: String
    public var text: String

    public init(_ kind: Kind, title: String, text: String) {
      self.kind = kind
      self.title = title
      self.text = text
    }

    public var template: String { "callout" }
    public func content(_ scope: inout Scope) -> [String: Any] { ["kind": kind.rawValue, "calloutTitle": title, "text": text] }
  }

  /// Text to be typed elsewhere, with a button that copies it.
  public struct Code: Part {
    public var text: String
    /// What it is: “The command”, “Ten lines of Swift”.
    public var label: String

    public init(_ text: String, label: String) {
      self.text = text
      self.label = label
    }

    public var template: String { "code" }
    public func content(_ scope: inout Scope) -> [String: Any] { ["text": text, "label": label] }
  }

  /// Rows and columns of text. The first column names the rows.
  public struct Table: Part {
    public var caption: String
    public var header: [String]
    public var rows: [[String]]
    /// Columns of numbers, set flush right.
    public var numeric: Set<Int>
    /// Under the table.
    public var note: String

    public init(caption: String, header: [String], rows: [[String]], numeric: Set<Int> = [], note: String = "") {
      self.caption = caption
      self.header = header
      self.rows = rows
      self.numeric = numeric
      self.note = note
    }

    public var template: String { "table" }

    public func content(_ scope: inout Scope) throws -> [String: Any] {
      if let row = rows.firstIndex(where: { $0.count != header.count }) {
        throw PlotError("report: row \(row + 1) of the table “\(caption)” has \(rows[row].count) cells, the header has \(header.count)")
      }
      func cells(_ row: some Sequence<String>, from first: Int) -> [[String: Any]] {
        row.enumerated().map { ["cell": $1, "number": numeric.contains($0 + first)] }
      }
      return [
        "caption": caption, "header": cells(header, from: 0), "note": shown(note),
        "rows": rows.map { ["name": $0.first ?? "", "nameIsNumber": numeric.contains(0), "cells": cells($0.dropFirst(), from: 1)] },
      ]
    }
  }
}
