/// Patterns over site paths and tensor names.
public enum Glob {
  /// `*` stands for any run of characters, dots included; everything else for itself.
  public static func matches(_ pattern: String, _ text: String) -> Bool {
    let (p, t) = (Array(pattern.utf8), Array(text.utf8))
    let star = UInt8(ascii: "*")
    var (i, j) = (0, 0)
    var lastStar = -1
    var mark = 0
    while j < t.count {
      if i < p.count, p[i] == star {
        lastStar = i
        mark = j
        i += 1
      } else if i < p.count, p[i] == t[j] {
        i += 1
        j += 1
      } else if lastStar >= 0 {
        i = lastStar + 1
        mark += 1
        j = mark
      } else {
        return false
      }
    }
    while i < p.count, p[i] == star { i += 1 }
    return i == p.count
  }
}
