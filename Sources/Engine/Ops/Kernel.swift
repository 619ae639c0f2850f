import Foundation
import Kernels

/// The SIMD loops for this processor, chosen once. `SDLAB_CPU=scalar|avx2|avx512|avx512bf16` forces a lower level (never a higher one).
package enum Kernel {
  static let levelNames = ["scalar", "avx2", "avx512", "avx512bf16"]

  static let level: Int = {
    let best = Int(sdl_cpu_level())
    guard let name = ProcessInfo.processInfo.environment["SDLAB_CPU"], let wanted = levelNames.firstIndex(of: name) else { return best }
    return min(best, wanted)
  }()

  package static let table: sdl_kernel_table = sdl_kernels(Int32(level)).pointee

  /// Whether products in bfloat16 have an instruction, and so twice the rate; elsewhere they are slower than in float32.
  static let hasBFloat16 = level >= SDL_AVX512BF16
}

/// What this process computes with, for reports: instruction set and number of threads.
public enum Processor {
  public static var instructionSet: String { Kernel.levelNames[Kernel.level] }
  public static var threads: Int { Threads.count }
}
