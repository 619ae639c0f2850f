import Engine
import Foundation

/// Progress on standard error as tqdm shows it: `name:  45%|███   | 9/20 [00:03<00:04, 2.91it/s]`.
///
/// Where no terminal listens there is no animation: a line per 10 %.
struct ProgressBar {
  /// What is under way; may change, to carry a figure such as the loss.
  var name: String
  private let total: Int
  private let isShown: Bool
  private let start = ContinuousClock.now
  private var done = 0
  private var lastDrawn: ContinuousClock.Instant?
  private var lastTenth = 0

  /// - Parameter total: number of steps, at least 1.
  init(_ name: String, total: Int, quiet: Bool) {
    self.name = name
    self.total = max(1, total)
    isShown = !quiet
    draw(force: true)
  }

  mutating func advance(by steps: Int = 1) {
    done = min(total, done + steps)
    draw(force: done == total)
  }

  /// Leaves the bar as it stands, for what is written after it.
  func leave() { if isShown, Terminal.isInteractive, done < total { Terminal.write("\n") } }

  private mutating func draw(force: Bool) {
    guard isShown else { return }
    let now = ContinuousClock.now
    if Terminal.isInteractive {
      guard force || lastDrawn.map({ now - $0 > .milliseconds(100) }) ?? true else { return }
      lastDrawn = now
      // To the line's beginning; what is left of a longer line is erased.
      Terminal.write("\r" + text(elapsed: seconds(now - start), columns: Terminal.columns) + "\u{1b}[K" + (done == total ? "\n" : ""))
    } else {
      let tenth = done * 10 / total
      guard tenth > lastTenth else { return }
      lastTenth = tenth
      Terminal.line(text(elapsed: seconds(now - start), columns: 80))
    }
  }

  private func text(elapsed: Double, columns: Int) -> String {
    Self.text(name: name, done: done, total: total, elapsed: elapsed, columns: columns, unicode: Terminal.isUnicode)
  }

  /// One line of at most `columns` characters.
  static func text(name: String, done: Int, total: Int, elapsed: Double, columns: Int, unicode: Bool) -> String {
    let fraction = Double(done) / Double(max(1, total))
    let rate = elapsed > 0 ? Double(done) / elapsed : 0
    let left = done > 0 && rate > 0 ? clock(Double(total - done) / rate) : "?"
    let speed = done == 0 || rate == 0 ? "?it/s" : rate >= 1 ? "\(decimal(rate, 2))it/s" : "\(decimal(1 / rate, 2))s/it"
    let percent = String(Int((fraction * 100).rounded()))
    let before = "\(name): \(String(repeating: " ", count: max(0, 3 - percent.count)))\(percent)%|"
    let after = "| \(done)/\(total) [\(clock(elapsed))<\(left), \(speed)]"
    // One column stays free: some terminals wrap when the last one is written.
    let width = max(0, min(columns - 1, 120) - before.count - after.count)
    return before + bar(fraction, width: width, unicode: unicode) + after
  }

  private static func bar(_ fraction: Double, width: Int, unicode: Bool) -> String {
    let eighths = Array(unicode ? " ▏▎▍▌▋▊▉" : "        ")
    let parts = Int(fraction * Double(width * 8))
    var out = String(repeating: unicode ? "█" : "#", count: parts / 8)
    if parts / 8 < width { out.append(eighths[parts % 8]) }
    return out + String(repeating: " ", count: max(0, width - parts / 8 - 1))
  }
}

/// `03:07`, or `1:03:07` from an hour on.
func clock(_ seconds: Double) -> String {
  let s = seconds.isFinite ? Int(min(seconds, 1e9)) : 0
  func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
  return s < 3600 ? "\(two(s / 60)):\(two(s % 60))" : "\(s / 3600):\(two(s / 60 % 60)):\(two(s % 60))"
}

func seconds(_ duration: Duration) -> Double { duration.inSeconds }
