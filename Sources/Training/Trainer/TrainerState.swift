import Engine
import Foundation

extension Trainer {
  /// Metadata of a state's file.
  private static let format = "sdlab training state 1"

  /// Writes everything that the next step depends on: parameters, averages, the optimisers' means, counters. Float32, so that nothing is lost.
  public func save(to url: URL) throws {
    var tensors: [(name: String, tensor: Tensor)] = []
    func add(_ prefix: String, _ list: [(name: String, tensor: Tensor)]) { tensors += list.map { ("\(prefix).\($0.name)", $0.tensor) } }
    add("parameter", zip(trained.names, trained.values).map { ($0, $1) })
    add("average", zip(average.values.names, average.values.values).map { ($0, $1) })
    add("adam", adam.state)
    add("muon", muon.state)
    try Safetensors.write(
      tensors, metadata: ["format": Self.format, "step": "\(step)", "adam_steps": "\(adam.steps)", "average_steps": "\(average.steps)"],
      to: url)
  }

  /// Goes on from a state that was saved with the same settings.
  /// - Throws: `InputError` when the file is none, is damaged, or is of other parameters.
  public mutating func restore(from url: URL) throws {
    let contents = try Safetensors.read(url)
    guard contents.metadata["format"] == Self.format, let step = contents.metadata["step"].flatMap(Int.init),
      let adamSteps = contents.metadata["adam_steps"].flatMap(Int.init),
      let averageSteps = contents.metadata["average_steps"].flatMap(Int.init)
    else {
      throw InputError(
        .badData, "\(url.relativePath): is no state of a training", hint: "remove this checkpoint to go on from the one before")
    }
    var groups: [String: [String: Tensor]] = [:]
    for stored in contents.tensors {
      guard let dot = stored.name.firstIndex(of: ".") else { continue }
      // A copy: the file may be removed while the training goes on.
      var tensor = try stored.float32()
      try tensor.withUnsafeMutableBuffer { values in
        guard values.allSatisfy(\.isFinite) else { throw InputError(.badData, "\(url.relativePath): \(stored.name) is not finite") }
      }
      groups[String(stored.name[..<dot]), default: [:]][String(stored.name[stored.name.index(after: dot)...])] = tensor
    }
    func all(_ group: String, of names: [String], _ shapes: [Shape]) throws -> [Tensor] {
      try zip(names, shapes).map { name, shape in
        guard let tensor = groups[group]?[name], tensor.shape == shape else {
          throw InputError(.badData, "\(url.relativePath): \(group).\(name) is missing or of another shape", hint: "it is of another model")
        }
        return tensor
      }
    }
    let own = trained
    let shapes = own.values.map(\.shape)
    let (values, averages) = (try all("parameter", of: own.names, shapes), try all("average", of: own.names, shapes))
    let restored = Dictionary(uniqueKeysWithValues: zip(own.names, values))
    for (i, name) in parameters.names.enumerated() { if let value = restored[name] { parameters.values[i] = value } }
    average.restore(Parameters(zip(own.names, averages).map { ($0, $1) }), steps: averageSteps)
    adam.restore(groups["adam"] ?? [:], steps: adamSteps)
    muon.restore(groups["muon"] ?? [:])
    self.step = step
  }
}
