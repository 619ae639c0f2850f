import Analysis
import ArgumentParser
import Engine
import Foundation

struct Trace: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a picture and keep what happened inside: a run on the disk.",
    discussion: """
      A run is a folder with the pictures, the latents of every step, the captured tensors and a manifest.json; its path goes to standard output. \
      Before anything is computed, what will be written and how much memory it takes is printed. The same run is never made twice.

      Examples:
        sdlab trace "a red house at night"
        sdlab trace "a red house" --sites 'unet.*.attn1.probs' --reduce heads --at-steps 0,25,49
        sdlab trace "a red house" --sites unet.mid_block.out@pixels 'unet.up_blocks.*.resnets.*.out' --store f16
      """)

  @Argument(help: "What the picture shows.")
  var prompt: String

  @OptionGroup(title: "Captures") var captures: CaptureOptions
  @OptionGroup(title: "Inversion") var inverted: InversionOptions
  @OptionGroup(title: "Runs") var runs: RunOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Sampling") var sampling: SamplingOptions
  @OptionGroup(title: "Picture") var picture: PictureOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  @Flag(help: "Compute and write nothing; print what would be captured and what it would take.")
  var dryRun = false

  func run() throws {
    let (run, load) = try PictureRun.prepare(
      prompt, model, sampling, picture, report, inputs: inverted.inputs(picture, runs.store))
    let (specs, plan) = try captures.plan(run)
    if dryRun {
      let estimate = try Estimate(run, load: load, kept: plan)
      if report.json { return try StandardOutput.json(Plan(plan, diskBytes: estimate.diskBytes)) }
      try StandardOutput.line(Self.describe(plan))
      return try estimate.print(files: [runs.store.root], json: false)
    }
    if !report.quiet { Terminal.line(Self.describe(plan)) }
    let start = ContinuousClock.now
    let folder = try run.trace(runs.store, specs, again: runs.again)
    if report.json {
      try StandardOutput.json(
        Report(
          run: folder.url.relativePath, id: folder.manifest.id, bytes: folder.bytes, images: run.request.count,
          captures: folder.manifest.captures.map { .init(site: $0.site, file: $0.file, shape: $0.shape) }, seconds: seconds(.now - start)))
    } else {
      try StandardOutput.line(folder.url.relativePath)
    }
  }

  /// A table of what is captured, its sum and the memory it needs beside the run.
  static func describe(_ plan: CapturePlan) -> String {
    let shown = plan.entries.count > 12 ? Array(plan.entries.prefix(10)) : plan.entries
    var rows = [["capture", "reduced", "shape (calls, rows, …)", "size"]]
    rows += shown.map { entry in
      [entry.site, entry.reduction.rawValue, entry.shape.map(String.init).joined(separator: "x"), bytes(Double(entry.bytes))]
    }
    if shown.count < plan.entries.count { rows.append(["… \(plan.entries.count - shown.count) more"]) }
    let peak = plan.peakBytes > 0 ? ", and at most \(bytes(Double(plan.peakBytes))) of memory beside the run" : ""
    return table(rows) + "\n\(plan.entries.count) captures, \(bytes(Double(plan.bytes))) on the disk\(peak)"
  }

  private struct Plan: Encodable {
    struct Entry: Encodable {
      let site: String
      let reduction: String
      let shape: [Int]
      let bytes: Int
    }
    let captures: [Entry]
    /// Of the captures alone, and at most of the whole run.
    let bytes: Int
    let diskBytes: Double
    let peakBytes: Int
    init(_ plan: CapturePlan, diskBytes: Double) {
      self.diskBytes = diskBytes
      captures = plan.entries.map { .init(site: $0.site, reduction: $0.reduction.rawValue, shape: $0.shape, bytes: $0.bytes) }
      bytes = plan.bytes
      peakBytes = plan.peakBytes
    }
  }

  private struct Report: Encodable {
    struct Capture: Encodable {
      let site: String
      let file: String
      let shape: [Int]
    }
    let run: String
    let id: String
    let bytes: Int
    let images: Int
    let captures: [Capture]
    let seconds: Double
  }
}
