import Foundation
import Testing

extension Workplace {
  /// Lines of a training's log.
  func logLines(_ folder: String) -> [Substring] {
    ((try? String(contentsOf: url("\(folder)/log.csv"), encoding: .utf8)) ?? "").split(separator: "\n")
  }

  /// Trains until the log has some lines, then kills without warning.
  func killedTraining(_ arguments: [String], _ folder: String, after count: Int) throws {
    let process = try start(arguments + ["--out", folder])
    while process.isRunning, logLines(folder).count < count { usleep(2000) }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    #expect(process.terminationReason == .uncaughtSignal)
  }
}
