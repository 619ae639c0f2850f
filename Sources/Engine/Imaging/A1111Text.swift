import Foundation

/// The text that A1111's web UI writes under `parameters` and that many programs read (modules/processing.py `create_infotext`,
/// modules/infotext_utils.py).
///
///     prompt, over one or more lines
///     Negative prompt: also over one or more lines
///     Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model: "a, b"
struct A1111Text: Equatable {
  var prompt = ""
  var negativePrompt = ""
  /// In the order of the text.
  var settings: [(key: String, value: String)] = []

  static func == (a: Self, b: Self) -> Bool {
    a.prompt == b.prompt && a.negativePrompt == b.negativePrompt && a.settings.elementsEqual(b.settings) { $0 == $1 }
  }

  subscript(_ key: String) -> String? { settings.last { $0.key == key }?.value }

  /// The text as A1111 writes it: no line for an empty negative prompt, values quoted where they hold a comma, a colon or a line break.
  var text: String {
    let last = settings.map { "\($0.key): \(Self.quoted($0.value))" }.joined(separator: ", ")
    let middle = negativePrompt.isEmpty ? "" : "\nNegative prompt: \(negativePrompt)"
    return "\(prompt)\(middle)\n\(last)".trimmingCharacters(in: .whitespacesAndNewlines)
  }

  init() {}

  /// As `parse_generation_parameters` reads it; a last line with fewer than three settings belongs to the prompt.
  init(_ text: String) {
    var lines = text.trimmingCharacters(in: .whitespacesAndNewlines).split(separator: "\n", omittingEmptySubsequences: false).map(
      String.init)
    if let last = lines.last {
      let found = Self.settings(of: last)
      if found.count >= 3 {
        settings = found
        lines.removeLast()
      }
    }
    var parts: [[String]] = [[], []]
    var part = 0
    for line in lines {
      var line = line.trimmingCharacters(in: .whitespaces)
      if line.hasPrefix("Negative prompt:") {
        part = 1
        line = line.dropFirst("Negative prompt:".count).trimmingCharacters(in: .whitespaces)
      }
      parts[part].append(line)
    }
    prompt = parts[0].joined(separator: "\n")
    negativePrompt = parts[1].joined(separator: "\n")
  }

  /// Python's `json.dumps(value, ensure_ascii=False)` where a comma, a colon or a line break would end the value.
  static func quoted(_ value: String) -> String {
    guard value.unicodeScalars.contains(where: { $0 == "," || $0 == ":" || $0 == "\n" }) else { return value }
    var out = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case _ where scalar.value < 0x20:
        out += "\\u" + String(repeating: "0", count: scalar.value < 16 ? 3 : 2) + String(scalar.value, radix: 16)
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }

  /// All `key: value` pairs of a line, as A1111's regular expression `\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)` finds them, in
  /// one pass.
  static func settings(of line: String) -> [(key: String, value: String)] {
    let s = Array(line.unicodeScalars)
    var out: [(key: String, value: String)] = []
    var at = 0
    while at < s.count, out.count < 10_000 {
      // The key: from here to the next colon; a comma before it means that this was no pair.
      var end = at
      while end < s.count, s[end] != ":", s[end] != "," { end += 1 }
      guard end < s.count else { break }
      let key = string(s[at..<end]).trimmingCharacters(in: .whitespaces)
      guard s[end] == ":", isKey(key) else {
        at = end + 1
        continue
      }
      at = end + 1
      while at < s.count, s[at] == " " { at += 1 }
      if let (value, after) = quotedValue(s, at) {
        out.append((key, value))
        at = after
      } else {
        let start = at
        while at < s.count, s[at] != "," { at += 1 }
        out.append((key, string(s[start..<at]).trimmingCharacters(in: .whitespaces)))
        at += 1
      }
    }
    return out
  }

  private static func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
    var out = ""
    out.unicodeScalars.append(contentsOf: scalars)
    return out
  }

  private static func isKey(_ key: String) -> Bool {
    guard key.unicodeScalars.count >= 2, let first = key.unicodeScalars.first else { return false }
    func word(_ c: Unicode.Scalar) -> Bool { c == "_" || c.properties.isAlphabetic || c.properties.numericType != nil }
    return word(first) && key.unicodeScalars.allSatisfy { word($0) || $0 == " " || $0 == "-" || $0 == "/" }
  }

  /// A JSON string at `at` that a comma or the end follows, and where the next pair begins.
  private static func quotedValue(_ s: [Unicode.Scalar], _ at: Int) -> (value: String, after: Int)? {
    guard at < s.count, s[at] == "\"" else { return nil }
    var end = at + 1
    while end < s.count, s[end] != "\"" { end += s[end] == "\\" ? 2 : 1 }
    guard end < s.count, end + 1 == s.count || s[end + 1] == "," else { return nil }
    let literal = string(s[at...end])
    // A1111's unquote: what is no JSON string stays as it is.
    let decoded = try? JSONDecoder().decode(String.self, from: Data(literal.utf8))
    return (decoded ?? literal, end + 2)
  }
}

extension GenerationParameters {
  /// A1111's `parameters` text for this picture. It tells people and programs most of what matters; `json()` alone tells everything.
  public var a1111: String {
    var out = A1111Text()
    out.prompt = prompt
    out.negativePrompt = negativePrompt
    func add(_ key: String, _ value: String?) { if let value { out.settings.append((key, value)) } }
    let names = SamplerNames.a1111(sampler, karras: karras)
    add("Steps", "\(steps)")
    add("Sampler", names.sampler)
    add("Schedule type", names.schedule)
    add("CFG scale", Self.number(guidance))
    add("Seed", "\(seed &+ UInt64(max(index, 0)))")
    add("Size", "\(width)x\(height)")
    // A1111's hash is the beginning of the file's SHA-256.
    add("Model hash", model.sha256.map { String($0.prefix(10)) })
    add("Model", Self.plainName(model.name))
    add("VAE", vae.map { Self.plainName($0.name) })
    add("VAE hash", vae?.sha256.map { String($0.prefix(10)) })
    add("Lora", loras.map { $0.map { "\(Self.plainName($0.name)): \(Self.number($0.weight))" }.joined(separator: ", ") })
    add("TI", embeddings.map { $0.map(\.token).joined(separator: ", ") })
    add("Denoising strength", initImage == nil ? nil : strength.map(Self.number))
    add("Clip skip", clipSkip > 0 ? "\(clipSkip + 1)" : nil)
    add(sampler == "ddim" ? "Eta DDIM" : "Eta", eta == 0 ? nil : Self.number(eta))
    // A1111 reads brackets as weights unless it is told not to.
    add("Emphasis", emphasis == "none" && (prompt + negativePrompt).contains(where: { "()[]".contains($0) }) ? "None" : nil)
    add("RNG", rng == "cuda" ? "NV" : "CPU")
    add("Version", "sdlab \(sdlabVersion)")
    return out.text
  }

  /// 7 for 7.0, 7.5 for 7.5.
  private static func number(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
  }

  /// As A1111 names models: the file's name without its folder, commas and colons.
  private static func plainName(_ name: String) -> String {
    let last = name.split(separator: "/").last.map(String.init) ?? name
    return last.filter { $0 != "," && $0 != ":" }
  }
}
