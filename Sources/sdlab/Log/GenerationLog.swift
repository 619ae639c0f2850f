import Analysis
import Engine
import Foundation

/// What was generated on this machine: a line of JSON for each picture that `generate` and `rerun` write and each run that is made. Lines are only added.
///
/// Every line carries the SHA-256 of the line before it, and a small file beside the log (`.head`) the number and digest of the last one. So a line that was
/// changed, taken out or put in is found, and so are lines cut off at the end. Who may write both files can make a whole new chain: this is evidence of
/// accidents and of carelessness, no signature.
struct GenerationLog {
  /// A line. The keys are sorted in the file.
  struct Entry: Codable, Equatable {
    /// From 1.
    var number: Int
    /// SHA-256 of the line before, without its newline; 64 zeros for the first.
    var previous: String
    /// ISO 8601, UTC.
    var time: String
    var sdlab: String
    /// The picture or the run, as it was named, from the folder below.
    var output: String
    var folder: String
    /// SHA-256 of the picture's file, or of the run's manifest, which holds those of its files.
    var outputSha256: String
    var model: String
    var modelSha256: String?
    var prompt: String
    var negativePrompt: String
    var sampler: String
    var steps: Int
    var guidance: Double
    var seed: UInt64
    var width: Int
    var height: Int
  }

  private struct Head: Codable {
    let number: Int
    let sha256: String
  }

  let url: URL
  private var head: URL { url.appendingPathExtension("head") }
  private static let first = String(repeating: "0", count: 64)

  init(_ url: URL) { self.url = url }

  /// Where SDLAB_LOG says, else `$XDG_STATE_HOME/sdlab/log.jsonl` (`~/.local/state`); nil when SDLAB_LOG is `off`.
  static func usual(environment: [String: String] = ProcessInfo.processInfo.environment) -> GenerationLog? {
    if let given = environment["SDLAB_LOG"], !given.isEmpty {
      return given == "off" ? nil : GenerationLog(URL(fileURLWithPath: given))
    }
    let state = environment["XDG_STATE_HOME"].flatMap { $0.hasPrefix("/") ? URL(fileURLWithPath: $0) : nil }
    let home = FileManager.default.homeDirectoryForCurrentUser.appendingPathComponent(".local/state")
    return GenerationLog((state ?? home).appendingPathComponent("sdlab/log.jsonl"))
  }

  /// Adds a line; one process after another.
  /// - Parameter entry: its number and its predecessor's digest are filled in here.
  /// - Throws: `InputError` (cannotWrite); (badData) when the end of the log is not as it was left: nothing is added to a log that was tampered with.
  func append(_ entry: Entry) throws {
    func fail(_ what: String) -> InputError {
      InputError(.cannotWrite, "\(url.path): the log cannot be written: \(what)", hint: "SDLAB_LOG names another file, or off")
    }
    do { try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true) } catch {
      throw fail(error.localizedDescription)
    }
    let descriptor = open(url.path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw fail(String(cString: strerror(errno))) }
    defer { close(descriptor) }
    while flock(descriptor, LOCK_EX) != 0 { if errno != EINTR { throw fail(String(cString: strerror(errno))) } }
    let (lines, whole) = try Self.tail(descriptor, url)
    // What a killed process began was never a line.
    if ftruncate(descriptor, off_t(whole)) != 0 { throw fail(String(cString: strerror(errno))) }
    var entry = entry
    let last = lines.last
    entry.number = 1
    entry.previous = Self.first
    if let last {
      let old = try Self.entry(last, url, "the last line")
      entry.number = old.number + 1
      entry.previous = Digest.of(last)
    }
    if let known = try readHead() {
      // Killed between the line and the head: the head is that of the line before.
      let isBehind =
        last != nil && known.number == entry.number - 2
        && lines.dropLast().last.map { Digest.of($0) == known.sha256 } ?? (known.number == 0)
      guard known.number == entry.number - 1 && known.sha256 == entry.previous || isBehind else {
        throw InputError(
          .badData, "\(url.path): the end of the log is not as it was left (line \(known.number))",
          hint: "`sdlab log verify` says where; SDLAB_LOG names another file")
      }
    } else if last != nil {
      throw InputError(
        .badData, "\(head.path): is missing, but the log has lines", hint: "`sdlab log verify`; SDLAB_LOG names another file")
    }
    let line = try Self.encoded(entry)
    try (line + Data("\n".utf8)).withUnsafeBytes { bytes in
      var at = 0
      while at < bytes.count {
        let n = write(descriptor, bytes.baseAddress! + at, bytes.count - at)
        if n < 0, errno == EINTR { continue }
        guard n > 0 else { throw fail(String(cString: strerror(errno))) }
        at += n
      }
    }
    fsync(descriptor)
    try AtomicFile.write(JSONEncoder().encode(Head(number: entry.number, sha256: Digest.of(line))), to: head)
  }

  /// What is wrong with a log; nothing when it is as it was written.
  struct Verdict: Equatable {
    let lines: Int
    /// Number of the first line that is not as it was written, and why; nil when there is none.
    let fault: Fault?
    /// The last line was begun and never finished: a process was killed. No fault.
    let isTorn: Bool

    struct Fault: Equatable {
      let line: Int
      let reason: String
    }
  }

  /// - Throws: `InputError` (missing) when there is no log.
  func verify() throws -> Verdict {
    guard let data = try? Data(contentsOf: url) else { throw InputError(.missing, "\(url.path): no log is there") }
    let isTorn = !data.isEmpty && data.last != 0x0a
    var lines = data.split(separator: 0x0a, omittingEmptySubsequences: false)
    // Behind the last newline there is nothing, or what is torn.
    lines.removeLast()
    func verdict(_ line: Int, _ reason: String) -> Verdict {
      Verdict(lines: lines.count, fault: .init(line: line, reason: reason), isTorn: isTorn)
    }
    var digests = [Self.first]
    for (i, line) in lines.enumerated() {
      guard let entry = try? JSONDecoder().decode(Entry.self, from: line) else { return verdict(i + 1, "is no entry") }
      guard entry.number == i + 1 else { return verdict(i + 1, "calls itself line \(entry.number): lines are missing, or were put in") }
      guard entry.previous == digests[i] else {
        return i == 0 ? verdict(1, "does not begin a chain: lines before it are missing") : verdict(i, "was changed after it was written")
      }
      digests.append(Digest.of(Data(line)))
    }
    guard let known = try readHead() else {
      return lines.isEmpty
        ? Verdict(lines: 0, fault: nil, isTorn: isTorn) : verdict(lines.count, "is not vouched for: \(head.lastPathComponent) is missing")
    }
    if known.number > lines.count { return verdict(lines.count + 1, "and what follows is missing: there were \(known.number) lines") }
    guard known.number >= lines.count - 1 else { return verdict(known.number + 1, "was not written by sdlab: \(known.number) lines were") }
    guard digests[known.number] == known.sha256 else { return verdict(known.number, "was changed after it was written") }
    return Verdict(lines: lines.count, fault: nil, isTorn: isTorn)
  }

  /// The last entries, oldest first.
  /// - Throws: `InputError` when there is no log or a line is no entry.
  func entries(last count: Int) throws -> [Entry] {
    guard let data = try? Data(contentsOf: url) else { throw InputError(.missing, "\(url.path): no log is there") }
    let end = data.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
    return try data.prefix(end).split(separator: 0x0a).suffix(count).map { try Self.entry(Data($0), url, "a line") }
  }

  private func readHead() throws -> Head? {
    guard let data = try? Data(contentsOf: head) else { return nil }
    do { return try JSONDecoder().decode(Head.self, from: data) } catch {
      throw InputError(.badData, "\(head.path): is damaged", hint: "`sdlab log verify`; SDLAB_LOG names another file")
    }
  }

  private static func encoded(_ entry: Entry) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(entry)
  }

  private static func entry(_ line: Data, _ url: URL, _ which: String) throws -> Entry {
    do { return try JSONDecoder().decode(Entry.self, from: line) } catch {
      throw InputError(
        .badData, "\(url.path): \(which) is no entry of a log", hint: "`sdlab log verify` says where; SDLAB_LOG names another file")
    }
  }

  /// The last two whole lines of an open log, and the number of bytes up to its last newline. Lines are at most a few kilobytes: the end is enough.
  private static func tail(_ descriptor: Int32, _ url: URL) throws -> (lines: [Data], whole: Int) {
    let size = Int(lseek(descriptor, 0, SEEK_END))
    let length = min(size, 1 << 20)
    var buffer = [UInt8](repeating: 0, count: length)
    guard length == 0 || pread(descriptor, &buffer, length, off_t(size - length)) == length else {
      throw InputError(.cannotWrite, "\(url.path): the log cannot be read")
    }
    guard let end = buffer.lastIndex(of: 0x0a) else { return ([], 0) }
    let lines = buffer[..<end].split(separator: 0x0a).suffix(2).map { Data($0) }
    return (lines, size - length + end + 1)
  }
}

extension GenerationLog {
  /// Adds what was just made to the usual log. A log that cannot be written is a warning: the picture is there.
  static func record(_ output: URL, digest: () throws -> String, _ p: GenerationParameters, _ report: ReportOptions) {
    guard let log = usual() else { return }
    do {
      let time = Date().formatted(.iso8601)
      try log.append(
        Entry(
          number: 0, previous: "", time: time, sdlab: Sdlab.version, output: output.relativePath,
          folder: FileManager.default.currentDirectoryPath, outputSha256: try digest(), model: p.model.name, modelSha256: p.model.sha256,
          prompt: p.prompt, negativePrompt: p.negativePrompt, sampler: p.sampler, steps: p.steps, guidance: p.guidance,
          seed: p.seed &+ UInt64(p.index), width: p.width, height: p.height))
    } catch { report.warn((error as? InputError)?.description ?? "\(error)") }
  }
}
