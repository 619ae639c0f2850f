import Engine
import Foundation

/// Where the signal handler writes. Set once, before any handler is there.
nonisolated(unsafe) private var wakeUp: Int32 = -1

/// Ctrl-C, a polite kill and a closed terminal end the program at once, and nothing half-written stays.
///
/// A handler may do next to nothing, so it only writes the signal's number into a pipe; a thread that waits at the other end removes the temporary
/// files and ends the process. The computing threads are not asked: a step of a large model can take many seconds.
enum Interruption {
  static func watch() {
    // Writing to a closed pipe is seen where the writing is done.
    signal(SIGPIPE, SIG_IGN)
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let readEnd = ends[0]
    wakeUp = ends[1]
    var unblocked = sigset_t()
    sigemptyset(&unblocked)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      // nohup has SIGHUP ignored: so it stays.
      if number == SIGHUP, isIgnored(number) { continue }
      signal(number) { number in
        let saved = errno
        var byte = UInt8(truncatingIfNeeded: number)
        _ = Foundation.write(wakeUp, &byte, 1)
        errno = saved
      }
      sigaddset(&unblocked, number)
    }
    // Programs that start others from their worker threads hand a mask down that blocks everything.
    pthread_sigmask(SIG_UNBLOCK, &unblocked, nil)
    Thread.detachNewThread {
      var byte: UInt8 = 0
      while read(readEnd, &byte, 1) != 1 { if errno != EINTR { return } }
      AtomicFile.removeUnfinished()
      Terminal.write((Terminal.isInteractive ? "\n" : "") + "sdlab: interrupted\n")
      // Exit handlers could wait for the computing threads.
      _exit(128 + Int32(byte))
    }
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0, let handler = action.__sigaction_handler.sa_handler else { return false }
    return unsafeBitCast(handler, to: Int.self) == 1  // SIG_IGN
  }
}
