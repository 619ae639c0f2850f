import ArgumentParser
import Engine
import Foundation

/// How the program ends when something went wrong: one line, perhaps one more with what to do, and an exit code of sysexits.
enum Failure {
  /// EX_SOFTWARE: an error that is not the person's.
  private static let internalError: Int32 = 70

  static func exit(_ error: any Error) -> Never {
    if let error = error as? InputError {
      Terminal.error(error.message, hint: error.hint)
      Foundation.exit(error.kind.rawValue)
    }
    let code = Sdlab.exitCode(for: error)
    if code == .success {
      // Help and version, as asked for.
      do { try StandardOutput.write(Sdlab.fullMessage(for: error) + "\n") } catch { Failure.exit(error) }
      Foundation.exit(0)
    }
    if code == .validationFailure {
      Terminal.error(oneLine(Sdlab.message(for: error)), hint: "`\(helpCommand) --help` lists what there is")
      Foundation.exit(InputError.Kind.usage.rawValue)
    }
    Terminal.error("internal error: \(String(describing: error).oneLine)", hint: "please report it with the command that led to it")
    Foundation.exit(internalError)
  }

  /// `sdlab generate` when that is what was called, else `sdlab`.
  private static var helpCommand: String {
    let verbs = Sdlab.configuration.subcommands.map { $0._commandName }
    let verb = CommandLine.arguments.dropFirst().first(where: verbs.contains)
    return ["sdlab", verb].compactMap { $0 }.joined(separator: " ")
  }

  /// The parser's lines as one; its first letters are capitals.
  private static func oneLine(_ message: String) -> String {
    var text = ""
    for line in message.split(whereSeparator: \.isNewline).map({ $0.trimmingCharacters(in: .whitespaces) }) {
      // Choices come as a list of lines with dashes.
      let isChoice = line.hasPrefix("- ")
      text += (text.isEmpty ? "" : isChoice && !text.hasSuffix(":") ? ", " : " ") + (isChoice ? line.dropFirst(2) : line[...])
    }
    text = text.oneLine
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}
