import Engine
import Foundation

// sdlab-bench MODEL unet|decode|encode [ROWS H W REPEATS] [bf16]: seconds of one forward pass, several times, and what it took of memory.
let arguments = CommandLine.arguments
let precision: ProductPrecision = arguments.contains("bf16") ? .bf16 : .f32
let source: ModelSource
do {
  source = try ModelSource.resolve(arguments.count > 1 && arguments[1] != "-" ? arguments[1] : nil, products: precision)
} catch {
  FileHandle.standardError.write(Data("sdlab-bench: \(error)\n".utf8))
  exit(66)
}
let what = arguments.count > 2 ? arguments[2] : "unet"
let numbers = arguments.dropFirst(3).compactMap(Int.init)
let rows = numbers.first ?? 2
let (h, w) = (numbers.count > 1 ? numbers[1] : 16, numbers.count > 2 ? numbers[2] : numbers.count > 1 ? numbers[1] : 16)
let repeats = numbers.count > 3 ? numbers[3] : 5

let clock = ContinuousClock()
let start = clock.now
let run: () throws -> Tensor
switch what {
case "unet":
  let unet = UNet(source.weights["unet"], try UNetConfig(source.unetConfig))
  let x = Tensor((0..<rows * h * w * unet.config.inChannels).map { sin(Float($0)) }, [rows, h, w, unet.config.inChannels])
  let width = unet.config.crossAttentionDim
  let text = Tensor((0..<rows * 77 * width).map { cos(Float($0)) }, [rows, 77, width])
  run = { try unet(x, timesteps: [500], text: text) }
default:
  let vae = VAE(source.weights["vae"], try VAEConfig(source.vaeConfig))
  let c = what == "decode" ? vae.config.latentChannels : 3
  let x = Tensor((0..<rows * h * w * c).map { sin(Float($0)) }, [rows, h, w, c])
  run = { what == "decode" ? try vae.decode(x) : try vae.encode(x).mean }
}
print(
  "\(what) rows \(rows) \(h)x\(w), \(precision.rawValue), \(Processor.instructionSet), \(Processor.threads) threads; load \(clock.now - start)"
)
/// Processor seconds of this process, all threads: what remains comparable when the machine is busy with something else.
func processorSeconds() -> Double {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6
}
/// The clock that `perf record -k CLOCK_MONOTONIC` stamps its samples with.
func monotonicSeconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
}
for _ in 0..<repeats {
  let cpu = processorSeconds()
  let before = BufferPool.current.statistics
  let began = monotonicSeconds()
  let t = clock.now
  let y = try run()
  let seconds = clock.now - t
  let ended = monotonicSeconds()
  let after = BufferPool.current.statistics
  let finite = y.array.allSatisfy(\.isFinite)
  print(
    "\(seconds), processor \(processorSeconds() - cpu) s, finite \(finite), buffers taken \(after.taken - before.taken), new \(after.allocated - before.allocated), peak \(after.peakBytesInUse >> 20) MiB, from \(began) to \(ended)"
  )
}
let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
print(status.split(separator: "\n").filter { $0.hasPrefix("VmHWM") || $0.hasPrefix("VmRSS") }.joined(separator: " "))
