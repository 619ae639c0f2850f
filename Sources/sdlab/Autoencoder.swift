import Engine

extension ModelOptions {
  /// The VAE alone: `encode` and `decode` need no other network, so none is read.
  func loadVAE() throws -> (vae: VAE, source: ModelSource) {
    let source = try source()
    let vae = VAE(source.weights["vae"], try VAEConfig(source.vaeConfig))
    try source.weights.finish(ignoring: ["*"])
    return (vae, source)
  }
}
