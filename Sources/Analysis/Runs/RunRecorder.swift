import Engine
import Foundation

/// Streams captured sites to the files of a run while it is made.
final class RunRecorder {
  private struct Stream {
    let file: CaptureFile
    let capture: RunManifest.Capture
    /// Rows of the batch that are kept.
    let rows: [Int]
  }

  private let captures: [(spec: CaptureSpec, sites: Set<Int>)]
  private let folder: URL
  /// Index of the run's first step in its plan; known once the run is set up.
  var firstStep = 0
  private var streams: [String: Stream] = [:]
  private var order: [String] = []
  private var entries: [String: [Int]] = [:]
  /// Evaluations of the network so far.
  private(set) var calls: [RunManifest.Call] = []
  private let timeSite: Int?

  /// - Parameter sites: of the model.
  init(_ captures: [CaptureSpec], sites: [Site], folder: URL) {
    self.captures = captures.map { spec in (spec, Set(sites.filter { Glob.matches(spec.sites, $0.path) }.map(\.id))) }
    self.folder = folder
    timeSite = sites.first { $0.path == Self.clock }?.id
  }

  /// The first site of every evaluation: it counts them.
  private static let clock = "unet.time_embedding.out"

  /// A probe over all captured sites, which hands everything on to `other`.
  func probes(_ sites: [Site], and other: Probes.Handler?, patterns: [String]) throws -> Probes {
    try Probes(captures.map(\.spec.sites) + patterns + [Self.clock], sites: sites) { [self] site, moment, tensor in
      let replacement = try other?(site, moment, tensor)
      try record(site, moment, replacement ?? tensor)
      return replacement
    }
  }

  private func record(_ site: Site, _ moment: Moment, _ tensor: Tensor) throws {
    let step = moment.step - firstStep
    if site.id == timeSite { calls.append(.init(step: step, timestep: moment.timestep)) }
    for (spec, wanted) in captures where wanted.contains(site.id) && spec.wants(step) {
      let key = "\(spec.sites) \(spec.reduction) \(site.path)"
      let stream: Stream
      if let open = streams[key] { stream = open } else { stream = try open(key, spec, site, moment, tensor.shape) }
      try stream.file.append(stream.rows.flatMap { spec.reduced(tensor, row: $0) })
      entries[key, default: []].append(max(0, calls.count - 1))
    }
  }

  private func open(_ key: String, _ spec: CaptureSpec, _ site: Site, _ moment: Moment, _ shape: Shape) throws -> Stream {
    let rows = moment.rows.indices.filter { spec.wants(moment.rows[$0]) }
    guard !rows.isEmpty else {
      throw InputError(.usage, "\(spec.sites): the run has no \(spec.rows.rawValue) rows", hint: "give a guidance above 1, or --rows cond")
    }
    let inner = try spec.reducedShape(shape, site: site)
    let suffix = spec.reduction == .none ? "" : ".\(spec.reduction.rawValue)"
    let path = "captures/\(site.path)\(suffix).safetensors"
    guard !order.contains(where: { streams[$0]?.capture.file == path }) else {
      throw InputError(.usage, "\(site.path): captured twice with --reduce \(spec.reduction.rawValue)", hint: "make the patterns distinct")
    }
    let url = folder.appendingPathComponent(path)
    try? FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    let stream = Stream(
      file: try CaptureFile(url, shape: [rows.count] + inner, precision: spec.precision),
      capture: RunManifest.Capture(
        site: site.path, file: path, axes: site.axes, reduction: spec.reduction,
        rows: rows.map { .init(image: moment.rows[$0].image, half: moment.rows[$0].half.rawValue) }, calls: [], shape: []),
      rows: rows)
    streams[key] = stream
    order.append(key)
    return stream
  }

  /// Closes all files.
  func finish() throws -> [RunManifest.Capture] {
    try order.compactMap { key in
      guard let stream = streams[key] else { return nil }
      var capture = stream.capture
      capture.calls = entries[key] ?? []
      capture.shape = try stream.file.finish()
      return capture
    }
  }
}
