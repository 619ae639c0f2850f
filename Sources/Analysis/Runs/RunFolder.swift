import Engine
import Foundation

/// A finished run on the disk.
public struct RunFolder: Sendable {
  public let url: URL
  public let manifest: RunManifest

  /// Opens a run and checks that it is whole.
  /// - Throws: `InputError` when the folder is no run, of a later version, or when one of its files is missing or has another size.
  public init(_ url: URL) throws {
    self.url = url
    let file = url.appendingPathComponent("manifest.json")
    guard let data = try? Data(contentsOf: file) else {
      var isFolder: ObjCBool = false
      let there = FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder)
      throw InputError(
        .missing, "\(url.relativePath): \(there ? "is no run: there is no manifest.json in it" : "no such run")",
        hint: "`sdlab runs list` shows the runs; `sdlab trace \"PROMPT\"` makes one")
    }
    struct Schema: Decodable { let schema: Int }
    do {
      let found = try JSONDecoder().decode(Schema.self, from: data).schema
      guard found == RunManifest.schema else {
        throw InputError(
          .badData, "\(file.relativePath): schema: expected \(RunManifest.schema), found \(found)", hint: "use a newer sdlab")
      }
      manifest = try RunManifest.decoder.decode(RunManifest.self, from: data)
    } catch let error as InputError {
      throw error
    } catch DecodingError.keyNotFound(let key, _) {
      throw InputError(.badData, "\(file.relativePath): \(key.stringValue) is missing", hint: "the run is damaged: make it again")
    } catch {
      throw InputError(.badData, "\(file.relativePath): not a manifest of a run", hint: "the run is damaged: make it again")
    }
    for entry in manifest.files {
      let path = url.appendingPathComponent(entry.path).path
      let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size]) as? Int
      guard let size, size == entry.bytes else {
        throw InputError(
          .badData, "\(url.relativePath)/\(entry.path): expected \(entry.bytes) bytes, found \(size.map(String.init) ?? "no file")",
          hint: "the run is half there: delete it and make it again")
      }
    }
    guard manifest.latentSize.count == 2, manifest.latentSize.allSatisfy({ $0 > 0 }) else {
      throw InputError(.badData, "\(file.relativePath): latent_size: expected height and width, found \(manifest.latentSize)")
    }
  }

  /// Compares every file's SHA-256 with the manifest's.
  public func verify() throws {
    for entry in manifest.files {
      let found = try Digest.of(file: url.appendingPathComponent(entry.path))
      guard found == entry.sha256 else {
        throw InputError(
          .badData, "\(url.relativePath)/\(entry.path): SHA-256 \(entry.sha256.prefix(16)) expected, \(found.prefix(16)) found",
          hint: "the file was changed after the run was made")
      }
    }
  }

  public var latents: MapSize { MapSize(height: manifest.latentSize[0], width: manifest.latentSize[1]) }
  public var bytes: Int { manifest.files.reduce(0) { $0 + $1.bytes } }

  /// Final latents as the UNet sees them, `[n, h, w, c]`.
  public func finalLatents() throws -> Tensor { try tensor("latents.safetensors", "latents").nhwc() }

  /// Latents before the first and after every step, `[steps + 1, n, c, h, w]` in the file; here one `[n, h, w, c]` a step.
  public func trajectory() throws -> [Tensor] { try entries("trajectory.safetensors", "latents").map { $0.nhwc() } }

  /// The predicted x0 of every step, `[n, h, w, c]` each.
  public func predictions() throws -> [Tensor] { try entries("trajectory.safetensors", "predicted_original").map { $0.nhwc() } }

  /// Picture `image` as it was written.
  public func picture(_ image: Int) throws -> Picture { try Picture(url: url.appendingPathComponent("image-\(image).png")) }

  /// Shows the captured tensors to a handler, in the order of the run: whoever analyses a run live analyses a stored one with the same lines.
  ///
  /// Rows that were not kept are not there; `moment.rows` has the labels of those that are. Heads that were averaged count as one.
  /// - Parameters:
  ///   - pattern: site paths.
  ///   - reductions: which kinds of captures will do, best first; of each site the best is taken.
  /// - Throws: `InputError` when nothing that will do was captured.
  public func replay(_ pattern: String, _ reductions: [CaptureSpec.Reduction] = [.none], handler: Probes.Handler) throws {
    let matching = manifest.captures.filter { Glob.matches(pattern, $0.site) }
    var best: [String: RunManifest.Capture] = [:]
    for capture in matching {
      guard let rank = reductions.firstIndex(of: capture.reduction) else { continue }
      if let old = best[capture.site], let oldRank = reductions.firstIndex(of: old.reduction), oldRank <= rank { continue }
      best[capture.site] = capture
    }
    let chosen = manifest.captures.filter { best[$0.site] == $0 }
    guard !chosen.isEmpty else {
      let kept = matching.isEmpty ? "" : " (kept: reduced by \(Set(matching.map(\.reduction.rawValue)).sorted().joined(separator: ", ")))"
      throw InputError(
        .usage, "\(url.relativePath): the run has no captures of \(pattern) that can be used here\(kept)",
        hint: "make it again with `sdlab trace --sites '\(pattern)' --reduce \(reductions[0].rawValue)`")
    }
    let files = try chosen.map { try storedTensor($0.file, "values") }
    for (call, place) in manifest.calls.enumerated() {
      for (index, capture) in chosen.enumerated() {
        guard let entry = capture.calls.firstIndex(of: call) else { continue }
        let rows = try capture.rows.map { row in
          guard let half = RowLabel.Half(rawValue: row.half) else {
            throw InputError(.badData, "\(url.relativePath): \(capture.site): rows are \(row.half), expected cond or uncond")
          }
          return RowLabel(image: row.image, half: half)
        }
        let moment = Moment(step: place.step, timestep: place.timestep, rows: rows)
        let value = try files[index].entry(entry).float32()
        _ = try handler(Site(id: index, path: capture.site, axes: capture.axes), moment, value)
      }
    }
  }

  /// All values of one capture with its labels, for projections: `[calls * rows, features]`.
  public func storedTensor(_ file: String, _ name: String) throws -> StoredTensor {
    let contents = try Safetensors.read(url.appendingPathComponent(file))
    guard let found = contents.tensors.first(where: { $0.name == name }) else {
      throw InputError(.badData, "\(url.relativePath)/\(file): \(name) is missing", hint: "the run is damaged: make it again")
    }
    return found
  }

  private func tensor(_ file: String, _ name: String) throws -> Tensor { try storedTensor(file, name).float32() }

  private func entries(_ file: String, _ name: String) throws -> [Tensor] {
    let stored = try storedTensor(file, name)
    return try (0..<(stored.shape.first ?? 0)).map { try stored.entry($0).float32() }
  }
}
