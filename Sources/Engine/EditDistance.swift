/// How far two texts are apart, for suggestions when a name fits nothing.
public enum EditDistance {
  /// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string alignment).
  static func between(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    // Far longer than any name that is worth proposing.
    if max(a.count, b.count) > 256 { return max(a.count, b.count) }
    var older: [Int] = []
    var old = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        var best = min(row[j] + 1, old[j + 1] + 1, old[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, older[j - 1] + 1) }
        row.append(best)
      }
      (older, old) = (old, row)
    }
    return old[b.count]
  }

  static func between(_ a: String, _ b: String) -> Int { between(Array(a.unicodeScalars), Array(b.unicodeScalars)) }

  /// At most `count` candidates whose distance to `text` is not above `limit`, capitals aside; nearest first, then by name.
  public static func nearest(to text: String, among candidates: some Sequence<String>, count: Int, limit: Int = .max) -> [String] {
    let key = text.lowercased()
    return candidates.map { (between(key, $0.lowercased()), $0) }.filter { $0.0 <= limit }.sorted { $0 < $1 }.prefix(count).map(\.1)
  }
}
