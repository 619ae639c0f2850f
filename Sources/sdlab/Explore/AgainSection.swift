import Analysis
import Engine
import Foundation
import Plots

extension ExploreStudy {
  /// How to make it again.
  func againSection() throws -> Report.Section {
    let p = run.parameters
    let m = base.manifest
    let reproduction = Report.Reproduction(
      command: CommandLine.commandLine,
      plan: [
        ("sampler", p.sampler), ("steps", "\(m.timesteps.count)"),
        ("timesteps", m.timesteps.map { "\(Int($0.rounded()))" }.joined(separator: " ")),
        ("guidance", decimal(p.guidance, 2)), ("seed", "\(p.seed)"),
        ("other seeds", "\(p.seed &+ 1) to \(p.seed &+ UInt64(max(1, plan.seeds - 1))), \(p.seed &+ 1000)"),
        ("generator", p.rng == "cpu" ? "torch on a processor (MT19937)" : "torch on an NVIDIA card (Philox)"),
        ("size", "\(p.width) × \(p.height)"),
        ("passes", "\(passes.count) runs in \(store.root.relativePath)"),
      ],
      digests: [("weights of \(p.model.name)", m.modelSha256)]
        + m.files.filter { $0.path.hasSuffix(".png") || $0.path == "latents.safetensors" }.map { ($0.path, $0.sha256) },
      versions: [
        ("sdlab", Sdlab.version), ("instruction set", m.instructionSet), ("threads", "\(m.threads)"),
        (
          "licence of the model",
          ModelLicence(run.model.source).map { "\($0.name), by \($0.file)" } ?? "not known to sdlab: see where the weights are from"
        ),
      ],
      timings: timings.map { (part: $0.0, seconds: $0.1) })
    return Report.Section(
      title: "How to make it again",
      shows: "The command, the plan, the digests of weights and outputs, the versions and where the time went.",
      limits: "Bit for bit the same needs the same build, processor and number of threads; otherwise results agree to rounding.",
      parts: [
        reproduction,
        Report.Prose(
          "The passes are kept: running the command again takes them from the disk. `sdlab runs` lists them, `sdlab heatmap` and the other verbs read them."
        ),
      ])
  }
}
