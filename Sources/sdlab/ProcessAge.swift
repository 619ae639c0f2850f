import Foundation

/// How long this process has been there, the loading of the program and its libraries included.
enum ProcessAge {
  /// Seconds, to a hundredth: the kernel counts a process' start in clock ticks since boot (proc(5), field 22 of /proc/self/stat). Nil where it does not tell.
  static var seconds: Double? {
    guard let line = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
      // Behind the program's name, which may hold anything, come the fields from the third on.
      let rest = line.split(separator: ")").last
    else { return nil }
    let fields = rest.split(separator: " ")
    guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
    var now = timespec()
    guard clock_gettime(CLOCK_BOOTTIME, &now) == 0 else { return nil }
    return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9 - ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}
