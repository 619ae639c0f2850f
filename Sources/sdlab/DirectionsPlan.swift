import Analysis
import Engine
import Foundation

/// What `directions` was asked for, checked before anything is computed.
struct DirectionsPlan {
  enum Source {
    case principal(prompt: String)
    case runs([String])
    case pair(from: String, to: String)
    case labelled([(label: String, prompt: String, seed: UInt64)])
    case file(String)
  }

  let source: Source
  /// Of the strip's pictures.
  let prompt: String
  let strengths: [Double]
  /// Names of the two sets, where there are two.
  let sets: (String, String)?
  let samples: Int

  init(_ verb: Directions) throws {
    let store = verb.runs.store
    strengths = try Self.numbers(verb.strengths)
    samples = verb.samples
    guard (2...4096).contains(verb.samples) else { throw InputError(.usage, "--samples \(verb.samples): expected 2 to 4096") }
    guard (1...64).contains(verb.components) else { throw InputError(.usage, "--components \(verb.components): expected 1 to 64") }
    guard (verb.from == nil) == (verb.to == nil) else { throw InputError(.usage, "--from and --to: both are needed") }
    let kinds = [verb.from == nil ? nil : "--from", verb.labels == nil ? nil : "--labels", verb.direction == nil ? nil : "--direction"]
    let given = kinds.compactMap { $0 }
    guard given.count <= 1 else {
      throw InputError(.usage, "\(given.joined(separator: " and ")): one way to directions at a time", hint: "choose one")
    }
    let subject = verb.subjects.first
    let isRun = subject.map(store.names) ?? false
    guard isRun || verb.subjects.count <= 1 else {
      throw InputError(.usage, "\(verb.subjects.count) prompts: expected one, or runs", hint: "put the prompt in quotes")
    }
    guard !isRun || given.isEmpty else {
      throw InputError(.usage, "\(given[0]): makes runs of its own; give a prompt for the strip, or nothing")
    }
    if let from = verb.from, let to = verb.to {
      (source, prompt, sets) = (.pair(from: from, to: to), subject ?? from, (from, to))
    } else if let path = verb.labels {
      let lines = try Self.labelled(path, seed: verb.sampling.seed)
      let names = lines.reduce(into: [String]()) { if !$0.contains($1.label) { $0.append($1.label) } }
      guard names.count == 2 else {
        throw InputError(.badData, "\(path): \(names.count) labels (\(names.prefix(4).joined(separator: ", "))), expected two")
      }
      (source, prompt, sets) = (.labelled(lines), subject ?? lines[0].prompt, (names[0], names[1]))
    } else if let path = verb.direction {
      guard let subject else {
        throw InputError(.usage, "--direction: a prompt is missing", hint: "sdlab directions \"PROMPT\" --direction \(path)")
      }
      (source, prompt, sets) = (.file(path), subject, nil)
    } else if let subject {
      if isRun {
        source = .runs(verb.subjects)
        prompt = try store.open(subject).manifest.spec.parameters.prompt
      } else {
        (source, prompt) = (.principal(prompt: subject), subject)
      }
      sets = nil
    } else {
      throw InputError(.usage, "expected a prompt, runs, --from and --to, or --labels", hint: "sdlab directions \"a red house\"")
    }
  }

  /// Recorded beside the directions.
  var kind: String {
    switch source {
    case .principal, .runs: "principal components"
    case .pair(let from, let to): "difference of means: \(from) → \(to)"
    case .labelled: "difference of means: \(sets?.0 ?? "") → \(sets?.1 ?? "")"
    case .file: "file"
    }
  }

  /// Pictures that the directions are made of, if none is there.
  var pictures: Int {
    switch source {
    case .principal: samples
    case .pair: 2 * samples
    case .labelled(let lines): lines.count
    case .runs, .file: 0
    }
  }

  func expectedDirections(_ verb: Directions) -> Int {
    switch source {
    case .principal, .runs: verb.components
    case .pair, .labelled, .file: 1
    }
  }

  private static func numbers(_ text: String) throws -> [Double] {
    let parts = try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
      guard let x = Double(part.filter { $0 != " " }), x.isFinite, abs(x) <= 1e6 else {
        throw InputError(.usage, "--strengths: expected numbers, found '\(part)'", hint: "for example --strengths=-1,0,1")
      }
      return x
    }
    guard parts.count <= 64 else { throw InputError(.usage, "--strengths: \(parts.count) numbers, expected at most 64") }
    return parts
  }

  private static func labelled(_ path: String, seed: UInt64) throws -> [(label: String, prompt: String, seed: UInt64)] {
    guard let text = try? String(contentsOf: URL(fileURLWithPath: path), encoding: .utf8) else {
      throw InputError(.missing, "\(path): cannot be read")
    }
    var seen: [String: UInt64] = [:]
    return try text.split(whereSeparator: \.isNewline).enumerated().map { i, line in
      let parts = line.split(separator: "\t", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
      guard parts.count == 2, !parts[0].isEmpty else {
        throw InputError(.badData, "\(path): line \(i + 1): expected LABEL, a tab and PROMPT, found '\(line)'")
      }
      let k = seen[parts[0], default: 0]
      seen[parts[0]] = k + 1
      return (parts[0], parts[1], seed &+ k)
    }
  }
}
