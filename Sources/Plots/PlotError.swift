import CCairo

/// A drawing could not be made: one line says why.
public struct PlotError: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }

  /// Throws unless Cairo says that all went well.
  static func check(_ status: cairo_status_t, _ what: String) throws {
    guard status == CAIRO_STATUS_SUCCESS else { throw PlotError("\(what): \(String(cString: cairo_status_to_string(status)))") }
  }
}
