import Engine
import Foundation
import Testing

@testable import sdlab

@Suite struct LogTests {
  private func entry(_ prompt: String) -> GenerationLog.Entry {
    GenerationLog.Entry(
      number: 0, previous: "", time: "2026-01-01T00:00:00Z", sdlab: "0", output: "a.png", folder: "/", outputSha256: "00",
      model: "embedded",
      modelSha256: nil, prompt: prompt, negativePrompt: "", sampler: "ddim", steps: 1, guidance: 1, seed: 1, width: 8, height: 8)
  }

  private func log(_ place: borrowing Workplace, lines: Int) throws -> GenerationLog {
    let log = GenerationLog(place.url("log.jsonl"))
    for i in 1...lines { try log.append(entry("picture \(i)\nwith two lines")) }
    return log
  }

  /// Each line changed in turn is the one that is named; so are lines taken out, put in, and cut off.
  @Test func everyTamperedLineIsNamed() throws {
    let place = try Workplace()
    let log = try log(place, lines: 5)
    #expect(try log.verify() == .init(lines: 5, fault: nil, isTorn: false))
    let text = try String(contentsOf: log.url, encoding: .utf8)
    let lines = text.split(separator: "\n").map(String.init)
    func written(_ lines: [String]) throws -> GenerationLog.Verdict {
      try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: log.url)
      return try log.verify()
    }
    for i in lines.indices {
      var changed = lines
      changed[i] = changed[i].replacingOccurrences(of: "picture \(i + 1)", with: "another")
      #expect(changed != lines)
      #expect(try written(changed).fault?.line == i + 1, "line \(i + 1)")
      var without = lines
      without.remove(at: i)
      #expect(try written(without).fault != nil, "without \(i + 1)")
      var broken = lines
      broken[i] = "{"
      #expect(try written(broken).fault?.line == i + 1, "broken \(i + 1)")
    }
    #expect(try written(Array(lines.prefix(3))).fault?.line == 4)
    #expect(try written(lines + [lines[4]]).fault?.line == 6)
    #expect(try written([lines[1], lines[0]] + lines[2...]).fault?.line == 1)
    // A log whose end was changed takes nothing more.
    _ = try written(Array(lines.prefix(3)))
    #expect(throws: InputError.self) { try log.append(entry("x")) }
    #expect(try written(lines).fault == nil)
    try log.append(entry("goes on"))
    #expect(try log.verify().lines == 6)
  }

  /// A process that was killed in the middle of a line, or between the line and the head, leaves a log that verifies and goes on.
  @Test func killedProcesses() throws {
    let place = try Workplace()
    let log = try log(place, lines: 3)
    let head = log.url.appendingPathExtension("head")
    let before = try Data(contentsOf: head)
    var data = try Data(contentsOf: log.url)
    let whole = data
    data.append(Data("{\"folder\":\"/ho".utf8))
    try data.write(to: log.url)
    #expect(try log.verify() == .init(lines: 3, fault: nil, isTorn: true))
    try log.append(entry("after"))
    #expect(try log.verify() == .init(lines: 4, fault: nil, isTorn: false))
    // The head of three lines beside four: the process died between the two.
    try before.write(to: head)
    #expect(try log.verify().fault == nil)
    try log.append(entry("after that"))
    #expect(try log.verify() == .init(lines: 5, fault: nil, isTorn: false))
    #expect(try Data(contentsOf: log.url).starts(with: whole))
    try FileManager.default.removeItem(at: head)
    #expect(try log.verify().fault != nil)
  }

  /// Many processes at once: no line is lost or torn.
  @Test func severalProcesses() throws {
    let place = try Workplace()
    let processes = try (0..<4).map { i in
      try place.start(["generate", "a house", "--steps", "1", "--sampler", "ddim", "--count", "3", "-o", "p\(i).png", "-q"])
    }
    for process in processes { process.waitUntilExit() }
    #expect(processes.allSatisfy { $0.terminationStatus == 0 })
    let verified = try place.run("log", "verify", "--json")
    #expect(try verified.json()["lines"] as? Int == 12, "\(verified.errors)")
    let shown = try place.run("log", "show", "--last", "2")
    #expect(shown.lines.count == 3 && shown.output.contains("a house"))
  }

  @Test func verbs() throws {
    let place = try Workplace()
    expectError(try place.run("log", "verify"), 66, "no log is there")
    #expect(try place.run("generate", "a red house", "--steps", "1", "--sampler", "ddim", "-o", "p.png", "-q").code == 0)
    let run = try place.run("trace", "a red house", "--steps", "1", "--sampler", "ddim", "-q")
    #expect(run.code == 0)
    // Taken from the store, nothing is generated.
    #expect(try place.run("trace", "a red house", "--steps", "1", "--sampler", "ddim", "-q").code == 0)
    let shown = try place.run("log", "show", "--json")
    let entries = try #require(try shown.json()["entries"] as? [[String: Any]])
    #expect(entries.count == 2 && entries[0]["output"] as? String == "p.png" && entries[1]["output"] as? String == run.lines.first)
    #expect(try entries[0]["output_sha256"] as? String == ModelDigest.of(file: place.url("p.png")))
    #expect(try place.run("log", "verify").output.contains("2 lines as written"))
    // A changed prompt.
    let url = place.url("cache/log.jsonl")
    let text = try String(contentsOf: url, encoding: .utf8)
    try text.replacingOccurrences(
      of: "\"prompt\":\"a red house\",\"sampler\":\"ddim\",\"sdlab\"", with: "\"prompt\":\"a blue house\",\"sampler\":\"ddim\",\"sdlab\""
    )
    .write(to: url, atomically: true, encoding: .utf8)
    expectError(try place.run("log", "verify"), 65, "line 1 was changed")
    // The picture is made all the same, and the person hears of it.
    let other = try place.run("generate", "a house", "--steps", "1", "--sampler", "ddim", "-o", "q.png")
    #expect(other.code == 0 && other.errors.contains("not as it was left"), "\(other.errors)")
    #expect(try place.run("generate", "a house", "--steps", "1", "-o", "r.png", environment: ["SDLAB_LOG": "off"]).code == 0)
    expectError(try place.run("log", "verify", environment: ["SDLAB_LOG": "off"]), 64, "SDLAB_LOG is off")
    expectError(try place.run("log", "show", "--last", "0"), 64, "--last 0")
  }
}
