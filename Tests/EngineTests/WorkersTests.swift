import Foundation
import Synchronization
import Testing

@testable import Engine

/// Every piece of work is done once and whole, whoever asks, and however many ask.
@Suite struct WorkersTests {
  /// How often each number came.
  private func counts(_ tasks: Int, _ run: ((Int) -> Void) -> Void) -> [Int] {
    let found = Mutex([Int](repeating: 0, count: tasks))
    run { i in found.withLock { $0[i] += 1 } }
    return found.withLock { $0 }
  }

  @Test(arguments: [1, 2, 3, 17, 1000]) func eachTaskOnce(_ tasks: Int) {
    #expect(counts(tasks) { inParallel(tasks: tasks, $0) } == Array(repeating: 1, count: tasks))
    #expect(
      counts(tasks) { body in
        parallel(tasks) { for i in $0 { body(i) } }
      } == Array(repeating: 1, count: tasks))
  }

  /// Short pieces one after the other, with pauses in which the threads fall asleep.
  @Test func manyPieces() {
    var sum = 0
    for piece in 0..<3000 {
      if piece % 500 == 0 { usleep(20_000) }
      let found = counts(4) { inParallel(tasks: 4, $0) }
      sum += found.reduce(0, +)
    }
    #expect(sum == 12_000)
  }

  @Test func piecesWithinPieces() {
    let found = counts(60) { body in
      inParallel(tasks: 6) { outer in
        parallel(10) { for inner in $0 { body(outer * 10 + inner) } }
      }
    }
    #expect(found == Array(repeating: 1, count: 60))
  }

  @Test func severalAskAtOnce() async {
    await withTaskGroup(of: [Int].self) { group in
      for _ in 0..<8 {
        group.addTask {
          (0..<200).reduce(into: [Int](repeating: 0, count: 8)) { sum, _ in
            for (i, n) in self.counts(8, { inParallel(tasks: 8, $0) }).enumerated() { sum[i] += n }
          }
        }
      }
      for await found in group { #expect(found == Array(repeating: 200, count: 8)) }
    }
  }
}
