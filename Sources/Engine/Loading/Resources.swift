import Foundation

/// Files that come with the program: the embedded model.
///
/// Sought, in this order, in `SDLAB_RESOURCES`; beside the executable (`sdlab_resources`, `Resources`, `../share/sdlab`); in the package
/// that the executable was built in (the nearest folder above it with `Package.swift` and `Resources`), or above the working folder. No
/// path is compiled in, so a moved binary gives an error line.
public enum Resources {
  /// - Throws: `InputError(.missing)` with the searched folders.
  public static func url(_ name: String) throws -> URL {
    try url(name, environment: ProcessInfo.processInfo.environment, executable: executable)
  }

  /// The embedded Stable Diffusion model, a diffusers folder.
  public static func embeddedModel() throws -> URL { try url("scenes-model") }

  static func url(_ name: String, environment: [String: String], executable: URL?) throws -> URL {
    var searched: [String] = []
    func there(_ folder: URL) -> URL? {
      searched.append(folder.path)
      let url = folder.appendingPathComponent(name)
      return FileManager.default.fileExists(atPath: url.path) ? url : nil
    }
    let hint = "keep the Resources folder beside the program, or set SDLAB_RESOURCES to it"
    if let given = environment["SDLAB_RESOURCES"], !given.isEmpty {
      if let url = there(URL(fileURLWithPath: given)) { return url }
      throw InputError(.missing, "resource \(name) is not in SDLAB_RESOURCES (\(given))", hint: hint)
    }
    if let executable {
      let folder = executable.deletingLastPathComponent()
      for near in ["sdlab_resources", "Resources", "../share/sdlab"] {
        if let url = there(folder.appendingPathComponent(near).standardizedFileURL) { return url }
      }
      if let package = package(above: folder), let url = there(package.appendingPathComponent("Resources")) { return url }
    }
    // Test runners live in the toolchain: they find the package from where they were started.
    let working = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
    if let package = package(above: working), let url = there(package.appendingPathComponent("Resources")) { return url }
    throw InputError(.missing, "resource \(name) not found in \(searched.joined(separator: ", "))", hint: hint)
  }

  private static var executable: URL? {
    var buffer = [CChar](repeating: 0, count: 4096)
    let length = readlink("/proc/self/exe", &buffer, buffer.count)
    guard length > 0, length < buffer.count else { return nil }
    return URL(fileURLWithPath: String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self))
  }

  /// The nearest folder at or above `folder` that holds this package.
  private static func package(above folder: URL) -> URL? {
    var folder = folder.standardizedFileURL
    for _ in 0..<64 {
      if ["Package.swift", "Resources"].allSatisfy({ FileManager.default.fileExists(atPath: folder.appendingPathComponent($0).path) }) {
        return folder
      }
      if folder.path == "/" { return nil }
      folder.deleteLastPathComponent()
    }
    return nil
  }
}
