import ArgumentParser
import Engine
import Foundation
import Training

struct TrainVAE: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "vae",
    abstract: "Train the autoencoder (VAE) of a model: what turns pictures into latents and back.",
    discussion: """
      Data: the scenes world, or a folder of pictures; captions are not needed. The base is a diffusers folder, and what comes out is the same folder with another VAE. The \
      loss is the mean absolute and squared error of pictures that come back from a sample of their latents, with their edges, and the divergence from a normal \
      distribution. There is no perceptual and no adversarial part: both need networks with weights of their own.

      Unless --decoder-only is given, latents become others than those that the model's UNet has learnt: train it afterwards with `sdlab train ldm`.

      Examples:
        sdlab train vae --steps 500 --decoder-only --out sharper
        sdlab train vae --scratch --fold --steps 20000 --optimiser muon --out new
        sdlab train vae --data photos --model new/model --flip 0.5 --out mine
      """)

  @Option(help: ArgumentHelp("scenes, or a folder of pictures.", valueName: "scenes|dir"))
  var data = "scenes"

  @Option(help: ArgumentHelp("Scenes that are drawn. For --data scenes.", valueName: "n"))
  var examples = 10_000

  @Option(help: ArgumentHelp("Seed of the scenes. For --data scenes.", valueName: "k"))
  var dataSeed: UInt64 = 1000

  @Option(help: ArgumentHelp("Share of a folder's pictures that is kept for validation; 0 for none.", valueName: "x"))
  var validation = 0.05

  @Flag(help: "Draw the weights of what is trained anew.") var scratch = false

  @Flag(help: "Leave the encoder as it is: latents stay what they are, and the UNet still fits.") var decoderOnly = false

  @Option(
    help: ArgumentHelp(
      "Weight of the divergence of a picture's latents, in nats, in the summed absolute error of the picture: Stable Diffusion's is 1e-6.",
      valueName: "x"))
  var kl = 1e-6

  @Option(help: ArgumentHelp("Weight of the error of edges, the steps from pixel to pixel.", valueName: "x"))
  var edges = 0.5

  @Flag(
    help:
      "Fold mean and deviation of the latents into the weights that are written: each channel then has mean 0 and deviation 1 behind the scaling factor, which stays."
  )
  var fold = false

  @Flag(help: "Compute the inside of blocks twice instead of keeping it: less memory, more time.") var recompute = false

  @Option(help: ArgumentHelp("Pictures on the sample sheets, 0 to 24; 0 for no sheets.", valueName: "n"))
  var samples = 6

  @Flag(help: "Compute and write nothing; say what it would take.") var dryRun = false

  @OptionGroup(title: "Changes to pictures") var augmentation: AugmentationOptions
  @OptionGroup(title: "Changes to pictures") var composites: CompositeOptions
  @OptionGroup(title: "Training") var training: TrainingOptions
  @OptionGroup(title: "Model that it begins with") var model: ModelOptions
  @OptionGroup(title: "Reports") var report: ReportOptions

  func run() throws {
    let settings = try training.settings(rate: scratch ? 2e-3 : 2e-4)
    let changes = try augmentation.changes(composites: composites)
    try check()
    let base = try model.baseFolder()
    let loaded = try model.load(report)
    let config = loaded.vae.config
    guard config.inChannels == 3, config.outChannels == 3 else {
      throw InputError(
        .badData,
        "\(loaded.source.displayName): its VAE has \(config.inChannels) and \(config.outChannels) channels of colour, expected 3 and 3")
    }
    guard !fold || config.canFoldLatents else {
      throw InputError(
        .badData, "\(loaded.source.displayName): --fold needs a VAE with quant_conv and post_quant_conv", hint: "train without --fold")
    }
    let sets =
      try data == "scenes"
      ? ExampleSets(scenes: examples, seed: dataSeed, loaded)
      : ExampleSets(ImageFolder(URL(fileURLWithPath: data), captions: .ignored), data, loaded, validation: validation)
    let training = try AutoencoderTraining(self, loaded, base, sets.changing(changes), settings)
    if dryRun { try training.plan() } else { try training.run() }
  }

  private func check() throws {
    try demand((1...10_000_000).contains(examples), "examples", "\(examples)", "1 to 10000000")
    try demand((0..<1).contains(validation), "validation", "\(validation)", "a share from 0 to below 1")
    try demand(kl >= 0 && kl.isFinite, "kl", "\(kl)", "0 or more")
    try demand(edges >= 0 && edges.isFinite, "edges", "\(edges)", "0 or more")
    try demand((0...24).contains(samples), "samples", "\(samples)", "0 to 24")
    guard !(fold && decoderOnly) else {
      throw InputError(
        .usage, "--fold and --decoder-only: the one changes the latents, the other keeps them", hint: "leave one of them out")
    }
  }
}
