// swift-tools-version: 6.0
import PackageDescription

// Floors, top to bottom: sdlab -> Analysis, Training, Plots -> Engine -> Kernels and system libraries (ARCHITECTURE.md).
let package = Package(
  name: "sdlab",
  products: [
    .executable(name: "sdlab", targets: ["sdlab"]),
    .library(name: "Engine", targets: ["Engine"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
    .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CTurboJPEG", pkgConfig: "libturbojpeg", providers: [.apt(["libturbojpeg0-dev"])]),
    .systemLibrary(name: "CCairo", pkgConfig: "cairo", providers: [.apt(["libcairo2-dev"])]),
    .systemLibrary(name: "CPango", pkgConfig: "pangocairo", providers: [.apt(["libpango1.0-dev"])]),
    .target(name: "Kernels"),
    .target(
      name: "Engine",
      dependencies: ["Kernels", "COpenBLAS", "CZlib", "CPNG", "CTurboJPEG"]),
    .target(
      name: "Analysis", dependencies: ["Engine", "Kernels", "COpenBLAS", .product(name: "Crypto", package: "swift-crypto")]),
    .target(
      name: "Training", dependencies: ["Engine", "CCairo", .product(name: "Crypto", package: "swift-crypto")]),
    .target(
      name: "Plots",
      dependencies: [
        "CCairo", "CPango", "CPNG",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Mustache", package: "swift-mustache"),
      ]),
    .executableTarget(
      name: "sdlab",
      dependencies: [
        "Analysis", "Engine", "Plots", "Training",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Yams", package: "Yams"),
      ]),
    .executableTarget(name: "sdlab-bench", dependencies: ["Engine"], path: "Benchmarks/Sources"),
    .target(name: "TestSupport", dependencies: ["Engine"], path: "Tests/TestSupport"),
    .testTarget(name: "EngineTests", dependencies: ["Engine", "TestSupport"]),
    .testTarget(name: "AnalysisTests", dependencies: ["Analysis", "Engine", "TestSupport"]),
    .testTarget(name: "TrainingTests", dependencies: ["Training", "Engine", "TestSupport"]),
    .testTarget(name: "PlotsTests", dependencies: ["Plots"]),
    // They wait for processes of sdlab: to optimise them takes the compiler longer than it saves.
    .testTarget(name: "CommandTests", dependencies: ["sdlab", "Analysis", "Engine"], swiftSettings: [.unsafeFlags(["-Onone"])]),
  ]
)
