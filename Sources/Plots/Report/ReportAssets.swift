import Crypto
import Foundation
import Mustache

/// The report's style, script and templates, read from a folder when a report is made: `report.css`, `report.js`, `*.mustache`.
public struct ReportAssets: Sendable {
  let style: String
  let script: String
  /// The content-security policy: nothing is loaded, and only this style and this script, known by their SHA-256, are obeyed.
  let policy: String
  private let library: MustacheLibrary
  private let names: Set<String>

  /// Style and script together stay below this many bytes.
  public static let limit = 150_000

  /// - Throws: `PlotError` that names the file when one is absent, is not UTF-8, is too large or is no template.
  public init(folder: URL) throws {
    MustacheContentTypes.register(Markup(), named: Markup.name)
    style = try Self.read("report.css", in: folder)
    script = try Self.read("report.js", in: folder)
    guard style.utf8.count + script.utf8.count <= Self.limit else {
      throw PlotError("report: report.css and report.js have \(style.utf8.count + script.utf8.count) bytes, at most \(Self.limit) allowed")
    }
    policy =
      "default-src 'none'; img-src data:; style-src '\(Self.digest(style))'; script-src '\(Self.digest(script))'; "
      + "base-uri 'none'; form-action 'none'"
    var library = MustacheLibrary()
    var names: Set<String> = []
    let files = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { $0.hasSuffix(".mustache") }
    for file in files {
      let name = String(file.dropLast(".mustache".count))
      // The library falls back to its own escaping in every template, partial ones too, unless the template says otherwise itself.
      let text = "{{% CONTENT_TYPE:\(Markup.name)}}" + (try Self.read(file, in: folder))
      do { try library.register(text, named: name) } catch {
        throw PlotError("report: \(folder.appendingPathComponent(file).path) is no template: \(error)")
      }
      names.insert(name)
    }
    guard names.contains("page") else { throw PlotError("report: there is no page.mustache in \(folder.path)") }
    self.library = library
    self.names = names
  }

  func render(_ content: [String: Any], template: String) throws -> String {
    guard names.contains(template), let html = library.render(content, withTemplate: template) else {
      throw PlotError("report: there is no template \(template).mustache among the assets")
    }
    return html
  }

  private static func read(_ name: String, in folder: URL) throws -> String {
    let url = folder.appendingPathComponent(name)
    guard let data = try? Data(contentsOf: url) else { throw PlotError("report: cannot read \(url.path)") }
    guard let text = String(validating: data, as: UTF8.self) else { throw PlotError("report: \(url.path) is not UTF-8") }
    return text
  }

  /// As a content-security policy names a text between its tags.
  private static func digest(_ text: String) -> String {
    "sha256-" + Data(SHA256.hash(data: Data(text.utf8))).base64EncodedString()
  }
}

/// Escaping for HTML, in text and in quoted attributes.
///
/// The library's own escaping goes by grapheme clusters, so that a quotation mark followed by a combining accent passes and ends an
/// attribute; a browser goes by code points, and so does this.
struct Markup: MustacheContentType {
  static let name = "SDLAB"

  func escapeText(_ text: String) -> String {
    var out = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar {
      case "<": out.append(contentsOf: "&lt;".unicodeScalars)
      case ">": out.append(contentsOf: "&gt;".unicodeScalars)
      case "&": out.append(contentsOf: "&amp;".unicodeScalars)
      case "\"": out.append(contentsOf: "&quot;".unicodeScalars)
      case "'": out.append(contentsOf: "&#39;".unicodeScalars)
      case "\t", "\n", "\r": out.append(scalar)
      // Control characters are not allowed in HTML; a direction override could make a line say what it does not.
      case "\0"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{202a}"..."\u{202e}", "\u{2066}"..."\u{2069}": out.append("\u{fffd}")
      default: out.append(scalar)
      }
    }
    return String(out)
  }
}
