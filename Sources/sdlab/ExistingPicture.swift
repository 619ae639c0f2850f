import Analysis
import Engine
import Foundation

/// A picture that is there: a file, an image of a run, or what a prompt made.
struct ExistingPicture {
  let picture: Picture
  let name: String
  /// Of which it is an image; nil for a file.
  let run: URL?

  /// - Throws: `InputError` when there is neither a file nor a run of this name, or the run has no such image.
  init(_ name: String, index: Int, store: RunStore) throws {
    self.name = name
    var isFolder: ObjCBool = false
    let isFile = FileManager.default.fileExists(atPath: name, isDirectory: &isFolder) && !isFolder.boolValue
    let ending = URL(fileURLWithPath: name).pathExtension.lowercased()
    if isFile || ["png", "jpg", "jpeg"].contains(ending) {
      guard isFile else {
        let names =
          (try? FileManager.default.contentsOfDirectory(atPath: URL(fileURLWithPath: name).deletingLastPathComponent().path)) ?? []
        let near = EditDistance.nearest(to: URL(fileURLWithPath: name).lastPathComponent, among: names, count: 2, limit: 3)
        throw InputError(
          .missing, "\(name): there is no such picture",
          hint: near.isEmpty ? "give a PNG, a JPEG or a run" : "did you mean \(near.joined(separator: " or "))?")
      }
      picture = try Picture(url: URL(fileURLWithPath: name))
      run = nil
      return
    }
    guard store.names(name) else {
      throw InputError(.missing, "\(name): no picture and no run of this name", hint: "give a PNG, a JPEG or a run (`sdlab runs list`)")
    }
    (picture, run) = try Self.image(of: store.open(name), index, name)
  }

  /// The picture of a prompt, by a run that is made now or is there.
  init(prompt: String, index: Int, _ store: RunStore, again: Bool, run: () throws -> PictureRun) throws {
    name = prompt
    let run = try run()
    try Self.check(index, run.request.count, prompt)
    (picture, self.run) = try Self.image(of: run.trace(store, [], again: again), index, prompt)
  }

  /// True for what is neither written like a picture's file nor names a run.
  static func isPrompt(_ name: String, _ store: RunStore) -> Bool {
    var isFolder: ObjCBool = false
    let isThere = FileManager.default.fileExists(atPath: name, isDirectory: &isFolder)
    let ending = URL(fileURLWithPath: name).pathExtension.lowercased()
    return !isThere && !["png", "jpg", "jpeg"].contains(ending) && !store.names(name)
  }

  private static func image(of run: RunFolder, _ index: Int, _ name: String) throws -> (Picture, URL) {
    try check(index, run.manifest.spec.parameters.count, name)
    return (try run.picture(index), run.url)
  }

  private static func check(_ index: Int, _ count: Int, _ name: String) throws {
    guard (0..<count).contains(index) else { throw InputError(.usage, "--index \(index): \(name) has \(count) images") }
  }

  /// With sides that the VAE takes: rounded down to multiples of its factor, as `--init-image` is.
  func fitted(to vae: VAEConfig, _ report: ReportOptions) throws -> Picture {
    let factor = vae.factor
    guard picture.width >= factor, picture.height >= factor else {
      throw InputError(
        .badData, "\(name): a picture of \(picture.width)x\(picture.height), expected at least \(factor) pixels on each side")
    }
    let (width, height) = (picture.width / factor * factor, picture.height / factor * factor)
    if width == picture.width, height == picture.height { return picture }
    report.warn("\(name): \(picture.width)x\(picture.height) is resized to \(width)x\(height), multiples of \(factor)")
    return picture.resized(width: width, height: height, filter: .lanczos)
  }

  /// A pixel of the picture as given in the fitted one, and back.
  func scaled(_ p: Correspondence.Pixel, to fitted: Picture) -> Correspondence.Pixel {
    .init(x: (2 * p.x + 1) * fitted.width / (2 * picture.width), y: (2 * p.y + 1) * fitted.height / (2 * picture.height))
  }

  func original(_ p: Correspondence.Pixel, from fitted: Picture) -> Correspondence.Pixel {
    .init(x: (2 * p.x + 1) * picture.width / (2 * fitted.width), y: (2 * p.y + 1) * picture.height / (2 * fitted.height))
  }
}
