import Engine
import Foundation

extension Scene {
  /// A scene from one line of JSON with the factors' names; other keys (`index`, `caption`, `text`, `file_name`) are passed over.
  ///
  /// - Parameter place: what error lines call the line, such as `scenes.jsonl: line 7`.
  /// - Throws: `InputError` `.badData` when a factor is missing, unknown or cannot be drawn.
  public init(json line: some StringProtocol, place: String) throws {
    do {
      self = try JSONDecoder().decode(Scene.self, from: Data(line.utf8))
    } catch let error as DecodingError {
      throw InputError(.badData, "\(place): is no scene (\(Self.reason(error)))", hint: "expected the factors that sdlab scenes writes")
    }
    if let reason = flaw { throw InputError(.badData, "\(place): is no scene (\(reason))") }
  }

  /// Why the scene cannot be drawn; nil when it can.
  var flaw: String? {
    if objects.isEmpty || objects.count > 2 { return "expected 1 or 2 objects, found \(objects.count)" }
    if (relation == nil) != (objects.count == 1) { return "a relation belongs to two objects" }
    if (plain == nil) != (setting != .plain) { return "a background colour belongs to the setting plain" }
    if !(0...Self.side).contains(horizon) { return "horizon \(horizon), expected 0 to \(Self.side)" }
    for o in objects {
      if !(0.5...Self.side).contains(o.r) { return "r \(o.r), expected 0.5 to \(Self.side)" }
      if !(-Self.side...2 * Self.side).contains(o.x) || !(-Self.side...2 * Self.side).contains(o.y) {
        return "centre (\(o.x), \(o.y)) is too far outside"
      }
      if !(-7...7).contains(o.rot) { return "rot \(o.rot), expected -7 to 7" }
      if o.jit.count != 3 || !o.jit.allSatisfy({ (-1...1).contains($0) }) { return "expected three values of jit from -1 to 1" }
    }
    return nil
  }

  private static func reason(_ error: DecodingError) -> String {
    func path(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
      (context.codingPath + (last.map { [$0] } ?? [])).map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let key, let context): return "\(path(context, key)) is missing"
    case .valueNotFound(_, let context): return "\(path(context)) is null"
    case .typeMismatch(_, let context): return "\(path(context)) has another type"
    case .dataCorrupted(let context): return context.codingPath.isEmpty ? "not JSON" : "\(path(context)) has an unknown value"
    @unknown default: return "not readable"
    }
  }
}
