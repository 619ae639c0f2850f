// swift-tools-version: 6.0
import PackageDescription

// One program for all readers of files from outside. `run.sh TARGET RUNS` builds it with libFuzzer and runs it.
let package = Package(
  name: "Fuzz",
  dependencies: [.package(name: "sdlab", path: "..")],
  targets: [
    .target(name: "CFuzzer"),
    .executableTarget(name: "Fuzz", dependencies: ["CFuzzer", .product(name: "Engine", package: "sdlab")]),
  ]
)
