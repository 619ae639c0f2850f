import ArgumentParser
import Engine

/// The command line: verbs, their options and their manners. All that computes is in Engine.
@main
struct Sdlab: ParsableCommand {
  static let version = "0.1.0"

  static let configuration = CommandConfiguration(
    commandName: "sdlab",
    abstract: "Make pictures with Stable Diffusion on the processor, and look inside while it does.",
    discussion: """
      Without --model, a small model that comes with the program is used: 64x64 pictures of simple scenes, such as "a red house at night".

      Data goes to standard output, everything else to standard error. Exit codes: 0 done, 64 wrong usage, 65 bad data, 66 input or model missing, \
      73 cannot write, 130 interrupted. SDLAB_THREADS sets the number of threads, NO_COLOR turns colours off.
      """,
    version: version,
    subcommands: [
      Explore.self, ReportVerb.self, Generate.self, Encode.self, Decode.self, Tokenize.self, Inspect.self, Rerun.self, Trace.self,
      Heatmap.self, Attention.self, Patch.self, Lens.self, Features.self, Information.self, Attribute.self, Invert.self, Directions.self,
      Project.self,
      Interpolate.self, Grid.self, Sheet.self, Runs.self, Reference.self, Scenes.self, Train.self, Truth.self, Evaluate.self, Log.self,
      WatermarkVerb.self,
    ])

  static func main() {
    Interruption.watch()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      Failure.exit(error)
    }
  }
}
