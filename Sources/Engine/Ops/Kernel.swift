import Foundation
import Kernels

/// The SIMD loops for this processor, chosen once. `SDLAB_CPU=scalar|avx2|avx512` forces a lower level (never a higher one).
package enum Kernel {
  static let levelNames = ["scalar", "avx2", "avx512"]

  static let level: Int = {
    let best = Int(sdl_cpu_level())
    guard let name = ProcessInfo.processInfo.environment["SDLAB_CPU"], let wanted = levelNames.firstIndex(of: name) else { return best }
    return min(best, wanted)
  }()

  package static let table: sdl_kernel_table = sdl_kernels(Int32(level)).pointee
}

/// What this process computes with, for reports: instruction set and number of threads.
public enum Processor {
  public static var instructionSet: String { Kernel.levelNames[Kernel.level] }
  public static var threads: Int { Threads.count }
}
