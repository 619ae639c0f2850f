import Engine
import Foundation
import Plots
import Training

/// The folder of a training: `training.json` (what it is), `log.csv` (a line a step), `loss.png`, sample sheets, `tensorboard`, checkpoints, what was trained.
struct TrainingFolder {
  let url: URL
  let checkpoints: Checkpoints
  /// True when the log has the signal-to-noise ratio of pictures that come back.
  let hasPSNR: Bool

  /// What a training is: the same again goes on, anything else is another one.
  struct Record: Codable, Equatable {
    var kind: String
    /// Digest of the weights that it begins with, and whether they were drawn anew.
    var base: String
    var fromScratch: Bool
    /// The data, in words that change when it does.
    var data: String
    var examples: Int
    var trainer: TrainerSettings
    var objective: DenoisingObjective.Settings
    /// How pictures are changed; absent where they are not.
    var augmentation: [String: String]?
    /// The number of threads decides the last bits.
    var threads: Int
    /// What else tells it from others of its kind; absent where there is nothing.
    var details: [String: String]?
  }

  /// Opens a folder, or makes it.
  /// - Throws: `InputError` when there is something else, or a training with other settings.
  init<Record: Codable>(_ url: URL, _ record: Record, kept: Int, hasPSNR: Bool = false) throws {
    (self.url, self.hasPSNR) = (url, hasPSNR)
    checkpoints = Checkpoints(url.appendingPathComponent("checkpoints"), kept: kept)
    let file = url.appendingPathComponent("training.json")
    let path = url.relativePath
    if let data = try? Data(contentsOf: file) {
      let old: Record
      do { old = try JSONDecoder().decode(Record.self, from: data) } catch {
        throw InputError(.badData, "\(file.relativePath): is no training's record", hint: "name another folder")
      }
      let changes = Self.differences(old, record)
      guard changes.isEmpty else {
        throw InputError(
          .usage, "\(path): holds another training: \(changes.joined(separator: "; "))",
          hint: "give the same options to go on with it, or another --out")
      }
    } else {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []
      guard names.allSatisfy({ $0.hasPrefix(".") }) else {
        throw InputError(.cannotWrite, "\(path): holds other things than a training", hint: "name a new folder")
      }
      do { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) } catch {
        throw InputError(.cannotWrite, "\(path): the folder cannot be made: \(error.localizedDescription)")
      }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try AtomicFile.write(encoder.encode(record) + Data("\n".utf8), to: file)
    }
    // What a killed process left half-written.
    for name in (try? FileManager.default.contentsOfDirectory(atPath: checkpoints.folder.path)) ?? []
    where name.hasPrefix(".") && name.hasSuffix(".part") {
      try? FileManager.default.removeItem(at: checkpoints.folder.appendingPathComponent(name))
    }
  }

  /// `batch 8, not 16`.
  private static func differences(_ old: some Encodable, _ new: some Encodable) -> [String] {
    func fields(_ record: some Encodable) -> [String: Any] {
      guard let data = try? JSONEncoder().encode(record) else { return [:] }
      return ((try? JSONSerialization.jsonObject(with: data)) as? [String: Any]) ?? [:]
    }
    func flat(_ fields: [String: Any]) -> [String: String] {
      fields.reduce(into: [:]) { out, field in
        if let inner = field.value as? [String: Any] {
          for (name, value) in flat(inner) { out[name] = value }
        } else {
          out[field.key] = "\(field.value)"
        }
      }
    }
    let (a, b) = (flat(fields(old)), flat(fields(new)))
    // Keys of both: what is absent in one may be there in the other.
    return Set(a.keys).union(b.keys).sorted().compactMap { key in
      a[key] == b[key] ? nil : "its \(key) is \(a[key] ?? "none"), not \(b[key] ?? "none")"
    }
  }

  // MARK: The log

  /// A line of `log.csv`.
  struct Line {
    let step: Int
    let loss: Double
    let norm: Double
    let rate: Double
    /// Of the averaged weights on examples that are not trained with, at checkpoints.
    let validation: Double?
    /// Of an autoencoder's pictures as they come back, in decibels, at checkpoints.
    let psnr: Double?

    func text(_ hasPSNR: Bool) -> String {
      let always = "\(step),\(loss),\(norm),\(rate),\(validation.map { "\($0)" } ?? "")"
      return hasPSNR ? "\(always),\(psnr.map { "\($0)" } ?? "")\n" : "\(always)\n"
    }

    init(_ report: Trainer.Report, validation: Double?, psnr: Double? = nil) {
      (step, loss, norm, rate, self.validation, self.psnr) = (report.step, report.loss, report.norm, report.rate, validation, psnr)
    }

    init?(_ text: Substring) {
      let parts = text.split(separator: ",", omittingEmptySubsequences: false)
      guard parts.count == 5 || parts.count == 6, let step = Int(parts[0]), let loss = Double(parts[1]), let norm = Double(parts[2]),
        let rate = Double(parts[3])
      else {
        return nil
      }
      (self.step, self.loss, self.norm, self.rate, validation) = (step, loss, norm, rate, Double(parts[4]))
      psnr = parts.count == 6 ? Double(parts[5]) : nil
    }
  }

  private var log: URL { url.appendingPathComponent("log.csv") }
  private var head: String { "step,loss,gradient_norm,rate,validation_loss\(hasPSNR ? ",validation_psnr" : "")\n" }

  /// Lines up to a step; what was logged beyond it is forgotten, for it is computed again.
  func lines(upTo step: Int) throws -> [Line] {
    let text = (try? String(contentsOf: log, encoding: .utf8)) ?? ""
    let lines = text.split(separator: "\n").dropFirst().compactMap(Line.init).filter { $0.step <= step }
    try AtomicFile.write(Data((head + lines.map { $0.text(hasPSNR) }.joined()).utf8), to: log)
    return lines
  }

  func append(_ line: Line) throws {
    guard let handle = try? FileHandle(forWritingTo: log) else { throw InputError(.cannotWrite, "\(log.relativePath): cannot be written") }
    defer { try? handle.close() }
    do {
      _ = try handle.seekToEnd()
      try handle.write(contentsOf: Data(line.text(hasPSNR).utf8))
    } catch { throw InputError(.cannotWrite, "\(log.relativePath): \(error.localizedDescription)") }
  }

  /// The curves.
  func draw(_ lines: [Line], title: String, measure: String = "weighted squared error") throws {
    guard lines.count > 1 else { return }
    let x = lines.map { Double($0.step) }
    // A running mean over a fiftieth of the steps: single batches are noisy.
    let window = max(1, lines.count / 50)
    var sums = [0.0]
    for line in lines { sums.append(sums[sums.count - 1] + line.loss) }
    let smooth = lines.indices.map { i -> Double in
      let from = max(0, i - window)
      return (sums[i + 1] - sums[from]) / Double(i + 1 - from)
    }
    let known = lines.filter { $0.validation != nil }
    var marks: [Mark] = [.line(x, smooth, label: "training, mean over \(window + 1) steps")]
    if !known.isEmpty {
      marks.append(
        .line(known.map { Double($0.step) }, known.map { $0.validation ?? .nan }, label: "validation, averaged weights", dots: true))
    }
    var panels = [
      Panel("loss", x: .linear("step"), y: .log("loss"), marks: marks),
      Panel("learning rate", x: .linear("step"), y: .linear("rate", zero: true), marks: [.line(x, lines.map(\.rate))]),
    ]
    let measured = lines.filter { $0.psnr != nil }
    if measured.count > 1 {
      panels.insert(
        Panel(
          "pictures that come back", x: .linear("step"), y: .linear("PSNR, dB"),
          marks: [.line(measured.map { Double($0.step) }, measured.map { $0.psnr ?? .nan }, dots: true)]), at: 1)
    }
    let figure = Figure(title: title, subtitle: measure, width: 640, panels: panels)
    try FigureOptions.write(figure, to: url.appendingPathComponent("loss.png"), .png, dpi: 144, theme: .light)
  }
}
