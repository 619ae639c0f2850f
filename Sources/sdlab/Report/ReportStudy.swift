import Analysis
import Engine
import Foundation
import Plots

/// Stored runs on their way to a report: each with its model's tokenizer and decoder, and the sections in order.
struct ReportStudy {
  let views: [RunView]
  /// `A`, `B`, … where there are several.
  let names: [String]
  private let store: RunStore
  private let options: ModelOptions
  private let report: ReportOptions

  /// - Throws: `InputError` when the model of a run is not here or is another one.
  init(_ folders: [RunFolder], image: Int, _ store: RunStore, _ options: ModelOptions, _ report: ReportOptions) throws {
    (self.store, self.options, self.report) = (store, options, report)
    // Runs of one model share its decoder.
    var decoders: [String: VAE] = [:]
    let names = folders.indices.map { String(UnicodeScalar(UInt8(65 + $0 % 26))) }
    self.names = names
    views = try zip(folders, names).map { folder, name in
      let source = try folder.source(options, quiet: report.quiet)
      let p = folder.manifest.spec.parameters
      let key = "\(folder.manifest.modelSha256) \(p.vae?.name ?? "")"
      let vae: VAE
      if let known = decoders[key] {
        vae = known
      } else {
        vae = VAE(source.weights["vae"], try VAEConfig(source.vaeConfig))
        try source.weights.finish(ignoring: ["*"])
        decoders[key] = vae
      }
      let tiling = p.vaeTiling.flatMap(Tiling.init(rawValue:)) ?? .auto
      return try RunView(
        folder, image: image, name: folders.count > 1 ? name : "", prompt: folder.prompt(source),
        levels: try UNetConfig(source.unetConfig).blockOutChannels.count
      ) { Picture(try vae.pictures($0, tiling: tiling)) }
    }
  }

  var title: String {
    if views.count == 1 { return views[0].prompt.text }
    let prompts = Set(views.map(\.prompt.text))
    return prompts.count == 1 ? "\(views[0].prompt.text): \(views.count) runs" : "\(views.count) runs side by side"
  }

  var lead: String {
    views.count == 1
      ? "What the run \(views[0].folder.manifest.id) kept of the making of this picture."
      : "What \(views.count) runs kept of the making of their pictures, what differs between them first."
  }

  func sections() throws -> [Report.Section] {
    do {
      var out: [Report.Section] = []
      if views.count > 1 {
        out.append(try sideBySide())
        if let words = try wordsSideBySide() { out.append(words) }
      }
      for (view, name) in zip(views, names) {
        let causes = try view.causes(in: store) { try ModelOptions.load(view.folder.source(options, quiet: report.quiet), report) }
        var own = [try view.filmSection(), try view.wordSection(causes), try view.selfAttentionSection()]
        if !causes.isEmpty { own.append(try view.causeSection(causes)) }
        if views.count > 1 {
          for i in own.indices { own[i].title = "\(name): \(own[i].title.first?.lowercased() ?? "")\(own[i].title.dropFirst())" }
        }
        out += own
      }
      if let place = try placeSection() { out.append(place) }
      out.append(try againSection())
      return out
    } catch let error as PlotError {
      throw InputError(.cannotWrite, "the report cannot be drawn: \(error.description)")
    }
  }

  /// How to make the runs and the report again.
  private func againSection() throws -> Report.Section {
    var digests: [(name: String, sha256: String)] = []
    for (view, name) in zip(views, names) {
      let m = view.folder.manifest
      let before = views.count > 1 ? "\(name), " : ""
      digests.append(("\(before)weights of \(m.spec.parameters.model.name)", m.modelSha256))
      digests += m.files.filter { $0.path.hasSuffix(".png") || $0.path == "latents.safetensors" }.map { ("\(before)\($0.path)", $0.sha256) }
    }
    let threads = Set(views.map { "\($0.folder.manifest.threads)" }).sorted().joined(separator: ", ")
    let sets = Set(views.map(\.folder.manifest.instructionSet)).sorted().joined(separator: ", ")
    let commands = Report.Table(
      caption: "The commands that made the runs", header: ["run", "made", "command"],
      rows: zip(views, names).map { view, name in
        let m = view.folder.manifest
        return ["\(views.count > 1 ? "\(name): " : "")\(m.id)", m.created, m.command]
      })
    let parts = zip(views, names).flatMap { view, name in
      view.folder.manifest.seconds.sorted { $0.key < $1.key }.map { ("\(views.count > 1 ? "\(name): " : "")\($0.key)", $0.value) }
    }
    return Report.Section(
      title: "How to make it again",
      shows: "The command of this report, those of its runs, the digests of weights and outputs, and where the time of the runs went.",
      limits: "Bit for bit the same needs the same build, processor and number of threads; otherwise results agree to rounding.",
      parts: [
        Report.Reproduction(
          command: CommandLine.commandLine, plan: [], digests: digests,
          versions: [("sdlab", Sdlab.version), ("instruction set of the runs", sets), ("threads of the runs", threads)],
          timings: parts.map { (part: $0.0, seconds: $0.1) }),
        commands,
        Report.Prose(
          "Everything in this file has its SHA-256 at the end of it, the runs' manifests included: `sdlab report check FILE` compares them."
        ),
      ])
  }
}
