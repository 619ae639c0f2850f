/// What one direction of a panel means: its name, its unit and how values become places.
public struct Axis: Sendable, Equatable {
  public enum Kind: Sendable, Equatable {
    case linear
    /// Base 10. Values that are not above 0 have no place: they are left out, and the figure's note counts them.
    case log
    /// Seconds since 1970-01-01 00:00 UTC.
    case time
    /// Value i (0, 1, ...) is the place of the i-th label. Along y, the first is on top.
    case categorical([String])
  }
  public var kind: Kind
  public var name: String
  /// Written behind the name in parentheses; may be empty.
  public var unit: String
  /// What is shown; nil for all values and a little room around them.
  public var domain: ClosedRange<Double>?
  /// Runs the other way: y downwards, x leftwards.
  public var reversed: Bool
  /// The automatic domain reaches to zero.
  public var zero: Bool
  /// An x axis over the plot instead of under it: for tables of pictures.
  public var onTop: Bool
  /// Only whole numbers are labelled: for steps and other counts.
  public var whole: Bool
  /// An axis that is not visible has no labels, no lines and takes no room.
  public var visible: Bool

  public init(
    _ kind: Kind, name: String = "", unit: String = "", domain: ClosedRange<Double>? = nil, reversed: Bool = false, zero: Bool = false,
    onTop: Bool = false, whole: Bool = false, visible: Bool = true
  ) {
    self.kind = kind
    self.name = name
    self.unit = unit
    self.domain = domain
    self.reversed = reversed
    self.zero = zero
    self.onTop = onTop
    self.whole = whole
    self.visible = visible
  }

  public static func linear(
    _ name: String = "", unit: String = "", domain: ClosedRange<Double>? = nil, zero: Bool = false, reversed: Bool = false,
    whole: Bool = false
  ) -> Axis {
    Axis(.linear, name: name, unit: unit, domain: domain, reversed: reversed, zero: zero, whole: whole)
  }
  public static func log(_ name: String = "", unit: String = "", domain: ClosedRange<Double>? = nil, reversed: Bool = false) -> Axis {
    Axis(.log, name: name, unit: unit, domain: domain, reversed: reversed)
  }
  public static func time(_ name: String = "", domain: ClosedRange<Double>? = nil) -> Axis { Axis(.time, name: name, domain: domain) }
  public static func categorical(_ name: String = "", _ labels: [String]) -> Axis { Axis(.categorical(labels), name: name) }
  /// For pictures: places without labels.
  public static let hidden = Axis(.linear, visible: false)

  /// Name, unit and the power of ten that the labels leave out.
  func caption(exponent: Int) -> String {
    let factor = exponent == 0 ? "" : "×10\(NumberFormat.superscript(exponent))"
    let inner = [factor, unit].filter { !$0.isEmpty }.joined(separator: " ")
    if name.isEmpty { return inner }
    return inner.isEmpty ? name : "\(name) (\(inner))"
  }
}
