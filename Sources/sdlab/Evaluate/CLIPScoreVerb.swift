import Analysis
import ArgumentParser
import Engine
import Foundation
import Training

extension Evaluate {
  struct CLIPScoreVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "clip-score", abstract: "How well pictures fit their prompts, as CLIP sees it.",
      discussion: """
        100 times the cosine of a picture's and its prompt's embeddings, at least 0; the mean over all. Prompts come from metadata.jsonl in the folder, from .txt files beside the \
        pictures, or from what the pictures' own metadata say (sdlab, AUTOMATIC1111, ComfyUI).

        Example:
          sdlab evaluate clip-score pictures --clip clip-vit-large-patch14
        """)

    @Argument(help: ArgumentHelp("A folder of pictures.", valueName: "dir"))
    var folder: String

    @OptionGroup var clip: CLIPOptions
    @OptionGroup var options: EvaluationOptions
    @OptionGroup(title: "Reports") var report: ReportOptions

    func run() throws {
      try options.check()
      let (files, prompts) = try pairs()
      let model = try CLIP(clip.clip)
      let pictures = try PictureFolder.looked(files, "looking at \(folder)", quiet: report.quiet, model.embeddings)
      let (scores, mean) = CLIPScore.of(pictures, try model.embeddings(prompts), replicates: options.bootstrap, seed: options.seed)
      if report.json {
        return try StandardOutput.json(
          Report(
            value: mean.value, low: mean.interval?.lowerBound, high: mean.interval?.upperBound, bootstrap: mean.replicates, clip: clip.clip,
            pictures: files.indices.map { .init(file: files[$0].lastPathComponent, prompt: prompts[$0], score: scores[$0]) }))
      }
      var rows = [["clip-score", decimal(mean.value, 2)]]
      if let interval = mean.interval {
        rows.append([
          "95 % interval", "\(decimal(interval.lowerBound, 2)) to \(decimal(interval.upperBound, 2)) (\(mean.replicates) resamplings)",
        ])
      }
      rows.append(["pictures", grouped(files.count)])
      let order = scores.indices.sorted { scores[$0] < scores[$1] }
      if let low = order.first, let high = order.last, low != high {
        rows.append(["lowest", "\(decimal(scores[low], 2))  \(files[low].lastPathComponent): \(prompts[low].oneLine)"])
        rows.append(["highest", "\(decimal(scores[high], 2))  \(files[high].lastPathComponent): \(prompts[high].oneLine)"])
      }
      rows.append(["CLIP", clip.clip])
      try StandardOutput.line(table(rows))
    }

    private func pairs() throws -> (files: [URL], prompts: [String]) {
      guard PictureFolder.isFolder(folder) else { throw InputError(.missing, "\(folder): no such folder") }
      let url = URL(fileURLWithPath: folder)
      let pictures = try? PictureFolder(folder).files
      let hasCaptions =
        FileManager.default.fileExists(atPath: url.appendingPathComponent("metadata.jsonl").path)
        || pictures?.contains { FileManager.default.fileExists(atPath: $0.deletingPathExtension().appendingPathExtension("txt").path) }
          == true
      if hasCaptions {
        let captioned = try ImageFolder(url, duplicates: .keep)
        return ((0..<captioned.count).map(captioned.url), (0..<captioned.count).map { captioned.caption($0, epoch: 0) })
      }
      let files = try PictureFolder(folder).files
      let prompts = try files.map { file -> String in
        guard let prompt = PictureFolder.prompt(of: file) else {
          throw InputError(
            .badData, "\(file.relativePath): no prompt: neither metadata.jsonl, nor a .txt file beside it, nor its own metadata has one",
            hint: "write it into \(file.deletingPathExtension().lastPathComponent).txt")
        }
        return prompt
      }
      return (files, prompts)
    }

    private struct Report: Encodable {
      struct Pair: Encodable {
        let file: String
        let prompt: String
        let score: Double
      }
      let measure = "clip-score"
      let value: Double
      let low: Double?
      let high: Double?
      let bootstrap: Int
      let clip: String
      let pictures: [Pair]
    }
  }
}
