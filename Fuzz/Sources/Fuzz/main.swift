import CFuzzer
import Foundation

/// A reader is given bytes and must come back: with a result or with an error, never with a trap. Add yours here, seeds in seeds.py.
let targets: [String: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt] = [
  "config": config,
  "image-metadata": imageMetadata,
  "npy": npy,
  "npz": npz,
  "pickle": pickle,
  "safetensors": safetensors,
  "zip": zip,
]

guard CommandLine.argc > 1, let target = targets[CommandLine.arguments[1]] else {
  print("usage: Fuzz TARGET [libFuzzer's options and folders]; TARGET is one of \(targets.keys.sorted().joined(separator: ", "))")
  exit(64)
}
// The name of the target takes the place of the program's.
var count = CommandLine.argc - 1
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv + 1
exit(LLVMFuzzerRunDriver(&count, &arguments, target))
